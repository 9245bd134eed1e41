//! The command `start-test`: finds or makes a swarm, runs one test on it, shows the result.

use super::args::{RunArgs, StartArgs};
use super::backend::{Address, Backend};
use super::baseline;
use super::dry_run;
use super::exit::{Exit, Failure};
use super::exports::{self, Exports, recorded};
use super::find_max;
use super::follow::{Followed, OnInterrupt};
use super::interrupt::Interrupts;
use super::join::{join, wait_for};
use super::layer::Layer;
use super::local::LocalSwarm;
use super::logging;
use super::out_file::OutFile;
use super::outcome::outcome;
use super::output::{line, note, out};
use super::plan_args::Wanted;
use super::preflight;
use super::product::Product;
use super::resolve::{environment, layers, resolve_for_one_test};
use super::screen;
use super::suite;
use vajra_plan::{Local, Plan};
use vajra_report::export::Needs;
use vajra_report::text;
use vajra_results::TestResult;
use vajra_results::compare::{Comparison, compare};
use vajra_results::result_file::ResultFile;
use vajra_runtime::config::{LogLevel, NodeConfig};
use vajra_runtime::run::RunningNode;

/// Stands in for a local target's URL while nothing is started yet.
pub(super) const STAND_IN_URL: &str = "http://127.0.0.1:8080/";

/// Data of so many bytes takes time that people wonder about.
const WORTH_A_NOTE: usize = 1 << 20;

/// Runs a test.
///
/// # Errors
/// Whatever keeps it from running; nothing is left running then.
pub async fn run(args: &StartArgs, product: &Product) -> Result<Exit, Failure> {
    // All that was typed is checked before anything starts.
    if let Some(suite) = suite::read(args)? {
        return suite::run(args, &suite, product).await;
    }
    let wanted = Wanted::read(args)?;
    let stand_in = wanted.needs_target().then_some(STAND_IN_URL);
    let plan = wanted.plan(&args.load, stand_in)?;
    let settings = Settings::of(args, product)?;
    if args.run.dry_run {
        return dry_run::show(&plan, args.run.json.as_deref());
    }
    if args.run.find_max {
        find_max::check(&plan, &args.run)?;
    }
    logging::start(settings.config.log_level, settings.config.log_format);
    let files = Files::open(&args.run)?;

    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let (local, needs_target) = (wanted.local(), wanted.needs_target());
    let session = Session::open(args, local, needs_target, settings, &mut interrupts).await?;
    let result = session.test(args, &wanted, files, &mut interrupts).await;
    session.close().await;
    result
}

/// Where a test is to run.
pub(super) struct Settings {
    /// The node that this becomes, if there is none.
    pub config: NodeConfig,
    address: Address,
}

impl Settings {
    /// What was typed, and what is in the environment.
    ///
    /// # Errors
    /// Something of it makes no sense.
    pub fn of(args: &StartArgs, product: &Product) -> Result<Settings, Failure> {
        let flags = Layer::from_swarm_args(&args.swarm)?;
        let mut layer = layers(
            flags,
            args.swarm.config.as_deref(),
            &environment,
            &product.profiles,
        )?;
        layer.log_level.get_or_insert(LogLevel::Warn);
        Ok(Settings {
            config: resolve_for_one_test(layer, args.run.standalone)?,
            address: Address::of(&args.api, &environment)?,
        })
    }
}

/// A swarm to run tests on, with whatever was started for them.
pub(super) struct Session {
    /// The node talked to.
    pub backend: Backend,
    node: Option<RunningNode>,
    local: Option<LocalSwarm>,
}

impl Session {
    /// Finds or makes the swarm, with the local one and its target that are asked for.
    ///
    /// # Errors
    /// Whatever keeps it from being there; nothing is left running then.
    pub async fn open(
        args: &StartArgs,
        wanted: Option<&Local>,
        needs_target: bool,
        Settings { config, address }: Settings,
        interrupts: &mut Interrupts,
    ) -> Result<Session, Failure> {
        let elsewhere = args.run.standalone || address.explicit;
        let local = match wanted {
            Some(local) => {
                let mut local = local.clone();
                if elsewhere {
                    local.nodes = 0;
                }
                // Dropping a swarm that is half started kills what there is of it.
                tokio::select! {
                    started = LocalSwarm::start(&local, needs_target) => Some(started?),
                    () = interrupts.next() => {
                        return Err(Failure::stopped("interrupted before the test began"));
                    }
                }
            }
            None => None,
        };
        if let Some(api) = local.as_ref().and_then(|local| local.api.as_deref()) {
            let api = api.parse().map_err(Failure::run)?;
            let here = Address {
                api,
                explicit: true,
                token: None,
            };
            let backend = Backend::probe(&here).await?.map_err(Failure::run)?;
            let nodes = wanted.map_or(0, |local| local.nodes);
            wait_for(&backend, nodes, interrupts).await?;
            note(&format!("{nodes} local nodes started for this test"));
            return Ok(Session {
                backend,
                node: None,
                local,
            });
        }
        let (backend, node) = reach(&args.run, config, &address, interrupts).await?;
        if let (Backend::Api(_, at), true) = (&backend, asks_to_discover(args)) {
            note(&format!(
                "a node answers at {at}: its swarm is used, whatever else was asked for"
            ));
        }
        Ok(Session {
            backend,
            node,
            local,
        })
    }

    /// The local target's URL, if there is one.
    pub fn target_url(&self) -> Option<&str> {
        self.local.as_ref()?.target_url.as_deref()
    }

    async fn test(
        &self,
        args: &StartArgs,
        wanted: &Wanted,
        files: Files,
        interrupts: &mut Interrupts,
    ) -> Result<Exit, Failure> {
        let mut plan: Plan = wanted.plan(&args.load, self.target_url())?;
        for threshold in &args.run.threshold {
            let checked = threshold.check_scope(&plan.task);
            checked.map_err(|why| Failure::input(format_args!("--threshold: {why}")))?;
        }
        if !args.run.find_max {
            plan.thresholds.extend(args.run.threshold.iter().cloned());
        }
        if args.run.wait_for > 1 {
            wait_for(&self.backend, args.run.wait_for, interrupts).await?;
        }
        if !args.run.no_preflight {
            preflight::before(&self.backend, &plan, args.run.yes, interrupts).await?;
        }
        self.bring(wanted, interrupts).await?;
        if args.run.find_max {
            return find_max::run(&self.backend, plan, &args.run, files.json, interrupts).await;
        }
        let id = tokio::select! {
            started = self.backend.start(plan) => started?,
            () = interrupts.next() => {
                return Err(Failure::stopped("interrupted before the test began"));
            }
        };
        if args.run.detach {
            line(&id)?;
            return Ok(Exit::Success);
        }
        note(&format!("test {id}"));
        let stop = OnInterrupt::StopTest;
        let followed = screen::follow(&self.backend, &id, interrupts, stop, args.run.plain).await;
        match followed? {
            Followed::Ended(result) => self.report(&args.run, *result, files).await,
            Followed::Left => Ok(Exit::Success),
        }
    }

    /// Writes and shows a result, and says how it counts.
    async fn report(
        &self,
        args: &RunArgs,
        result: TestResult,
        files: Files,
    ) -> Result<Exit, Failure> {
        let mut recorded = recorded(&self.backend, result, files.needs).await;
        // What never ran is not compared with what did.
        let baseline = files.baseline.filter(|_| recorded.result.totals.sent > 0);
        recorded.comparison = baseline.map(|baseline| Comparison {
            limit: args.fail_on_regression,
            ..compare(&baseline, &recorded)
        });
        let compared = recorded.comparison.clone();
        let only_json = files.json.as_ref().is_some_and(OutFile::is_stdout);
        let quiet = only_json || files.exports.on_stdout();
        let written = files.exports.write(&recorded);
        if !args.timeline {
            recorded.timeline = None;
        }
        let exit = show_recorded(&recorded, files.json, args.strict, quiet)?;
        let against = match compared {
            Some(compared) => baseline::show(&compared, quiet)?,
            None => Exit::Success,
        };
        written?;
        Ok(Exit::first([exit, against]))
    }

    /// Hands the plan's data files over.
    async fn bring(&self, wanted: &Wanted, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let bytes: usize = wanted.blobs().iter().map(|b| b.bytes.len()).sum();
        if bytes >= WORTH_A_NOTE {
            let mebibytes = bytes as f64 / f64::from(1 << 20);
            note(&format!(
                "{mebibytes:.1} MiB of data: every node fetches it before the test begins"
            ));
        }
        tokio::select! {
            brought = self.backend.bring(wanted.blobs()) => brought,
            () = interrupts.next() => Err(Failure::stopped("interrupted before the test began")),
        }
    }

    /// Ends whatever was started.
    pub async fn close(self) {
        if let Some(node) = self.node {
            node.shutdown().await;
        }
        if let Some(local) = self.local
            && let Some(served) = local.end().await
        {
            note(&format!("the local target received {served} requests"));
        }
    }
}

/// The node at the API's address, or else one in this process.
async fn reach(
    args: &RunArgs,
    config: NodeConfig,
    address: &Address,
    interrupts: &mut Interrupts,
) -> Result<(Backend, Option<RunningNode>), Failure> {
    if !args.standalone {
        match Backend::probe(address).await? {
            Ok(backend) => return Ok((backend, None)),
            Err(why) if address.explicit => {
                return Err(Failure::run(format_args!(
                    "no node answers at {} ({why}); start one there with `vajra-node --api {}`, or \
                     leave out --api",
                    address.api, address.api
                )));
            }
            Err(_) if args.detach => {
                return Err(Failure::run(format_args!(
                    "no node answers at {}, and --detach needs one that stays: start one with \
                     `vajra-node`",
                    address.api
                )));
            }
            Err(_) => {}
        }
    }
    let standalone = config.standalone;
    let node = join(config, interrupts).await?;
    let backend = Backend::Here(node.handle.clone());
    if !standalone {
        let nodes = backend.nodes().await?.pool.healthy;
        note(&format!(
            "no node answers at {}: this process takes its share of the load, as one of {nodes} \
             in the swarm",
            address.api
        ));
    }
    Ok((backend, Some(node)))
}

fn asks_to_discover(args: &StartArgs) -> bool {
    let swarm = &args.swarm;
    !swarm.bootstrap.is_empty()
        || !swarm.listen.is_empty()
        || swarm.no_mdns
        || swarm.swarm.is_some()
        || swarm.swarm_key.is_some()
}

/// What a run reads and writes besides the plan; all of it is there before anything starts.
struct Files {
    json: Option<OutFile>,
    exports: Exports,
    baseline: Option<ResultFile>,
    /// What all of them are made from.
    needs: Needs,
}

impl Files {
    fn open(args: &RunArgs) -> Result<Files, Failure> {
        let baseline = args.baseline.as_deref();
        let baseline = baseline.map(|path| baseline::read("--baseline", path));
        let baseline = baseline.transpose()?;
        let needs = match args.timeline || baseline.is_some() {
            true => Needs::Histograms,
            false => exports::needs(&args.exports),
        };
        let json = args.json.as_deref();
        Ok(Files {
            baseline,
            json: json.map(|path| OutFile::open("json", path)).transpose()?,
            exports: Exports::open(&args.exports, args.json.as_deref())?,
            needs,
        })
    }
}

/// Shows a result, and says how it counts.
pub fn show(result: &TestResult, json: Option<OutFile>, strict: bool) -> Result<Exit, Failure> {
    let quiet = json.as_ref().is_some_and(OutFile::is_stdout);
    show_recorded(&ResultFile::of(result.clone()), json, strict, quiet)
}

/// The same with what goes along; `quiet` if stdout carries something else.
fn show_recorded(
    recorded: &ResultFile,
    json: Option<OutFile>,
    strict: bool,
    quiet: bool,
) -> Result<Exit, Failure> {
    let result = &recorded.result;
    let verdict = outcome(result, strict);
    let written = json.map_or(Ok(()), |json| json.write_json(recorded));
    if !quiet && (verdict.is_ok() || result.totals.sent > 0) {
        out(&text::summary(result))?;
    }
    // What came out is shown also where it cannot be kept.
    written?;
    verdict
}
