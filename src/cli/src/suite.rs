//! `start-test` with a suite: its plans one after the other or at the same time, on one swarm,
//! with one report.

use std::cell::RefCell;
use std::path::Path;

use serde::Serialize;

use super::args::{RunArgs, StartArgs, ValidateArgs};
use super::backend::Backend;
use super::exit::{Exit, Failure};
use super::follow::{Followed, OnInterrupt, follow};
use super::interrupt::Interrupts;
use super::join::wait_for;
use super::logging;
use super::out_file::OutFile;
use super::outcome::outcome;
use super::output::{line, note, out};
use super::plan_args::{beside, for_one_plan, read_data, read_limited, vars};
use super::preflight;
use super::product::Product;
use super::start_test::{STAND_IN_URL, Session, Settings};
use super::terminal::ProgressLines;
use vajra_plan::{
    Mode, Passed, Plan, Scalar, StopOn, Suite, SuiteError, SuitePlan, Values, is_suite, parse_suite,
};
use vajra_report::export::Format;
use vajra_report::{junit_of_suite, text};
use vajra_results::{PlanOutcome, PlanPreview, PlanResult, SuiteResult, TestResult, measured};

/// The suite that a command names; none if it names something else.
///
/// # Errors
/// It is a suite, and something is wrong with it.
pub fn read(args: &StartArgs) -> Result<Option<Suite>, Failure> {
    let Some(path) = args.what.as_deref().filter(|what| !what.contains("://")) else {
        return Ok(None);
    };
    // What is on stdin can be read once only; and what can't be read is told as a plan's file.
    let text = match path {
        "-" => return Ok(None),
        path => read_limited(Path::new(path)).unwrap_or_default(),
    };
    if !is_suite(&text) {
        return Ok(None);
    }
    check(args)?;
    let parsed = parse(Path::new(path), &text, &vars(&args.load.vars));
    parsed
        .map(Some)
        .map_err(|e| Failure::input(format_args!("{path}: {e}")))
}

/// `validate` of a suite: shows what would run.
///
/// # Errors
/// [`Exit::BadInput`] with what is wrong, in which plan, where, and the line itself.
pub fn validate(args: &ValidateArgs, text: &str) -> Result<Exit, Failure> {
    let name = args.plan.display().to_string();
    let suite = parse(&args.plan, text, &vars(&args.vars)).map_err(|e| Failure {
        exit: Exit::BadInput,
        message: e.show(&name, text),
    })?;
    let plans = suite.plans.len();
    line(&format!(
        "{name} is a valid suite of {plans} plans, {}",
        suite.mode
    ))?;
    for plan in &suite.plans {
        for warning in plan.file.credential_warnings() {
            note(&format!("warning: plan {:?}: {warning}", plan.name));
        }
    }
    outline(&suite, None)
}

fn parse(path: &Path, text: &str, vars: &Values) -> Result<Suite, SuiteError> {
    let read = |file: &str| read_data(&beside(path).join(file));
    parse_suite(text, &read, vars)
}

/// Options that a suite can't follow.
fn check(args: &StartArgs) -> Result<(), Failure> {
    let run = &args.run;
    let option = match () {
        () if run.find_max => Some("--find-max"),
        () if run.detach => Some("--detach"),
        () if run.timeline => Some("--timeline"),
        () if run.baseline.is_some() => Some("--baseline"),
        () if run.exports.html.is_some() => Some("--html"),
        () if run.exports.csv.is_some() => Some("--csv"),
        () if run.exports.hlog.is_some() => Some("--hlog"),
        () if run.exports.hgrm.is_some() => Some("--hgrm"),
        () => for_one_plan(&args.load),
    };
    match option {
        Some(option) => Err(Failure::usage(format_args!(
            "{option} is for one plan, and this is a suite of several: leave it out, or write it in \
             the plans (--var, --threshold, --strict and the options of the swarm go with suites)"
        ))),
        None => Ok(()),
    }
}

/// What `--dry-run --json` says.
#[derive(Serialize)]
struct SuiteOutline<'a> {
    suite: Option<&'a str>,
    mode: String,
    plans: Vec<PlanOutline<'a>>,
}

#[derive(Serialize)]
struct PlanOutline<'a> {
    name: &'a str,
    outline: PlanPreview<'a>,
}

fn outline(suite: &Suite, json: Option<OutFile>) -> Result<Exit, Failure> {
    let given = Given {
        passed: Values::new(),
        typed: Values::new(),
        target: Some(STAND_IN_URL),
        thresholds: &[],
    };
    let made = suite.plans.iter().map(|plan| given.outlined(plan));
    let plans: Vec<Plan> = made.collect::<Result<_, _>>().map_err(Failure::input)?;
    let each = suite.plans.iter().zip(&plans);
    match json {
        Some(json) => json.write_json(&SuiteOutline {
            suite: suite.name.as_deref(),
            mode: suite.mode.to_string(),
            plans: each
                .map(|(entry, plan)| PlanOutline {
                    name: &entry.name,
                    outline: PlanPreview::of(plan),
                })
                .collect(),
        })?,
        None => {
            for (entry, plan) in each {
                out(&format!(
                    "plan {:?} {}",
                    entry.name,
                    PlanPreview::of(plan).summary()
                ))?;
            }
        }
    }
    Ok(Exit::Success)
}

/// Runs a suite.
///
/// # Errors
/// Whatever keeps all of it from running; nothing is left running then.
pub async fn run(args: &StartArgs, suite: &Suite, product: &Product) -> Result<Exit, Failure> {
    let settings = Settings::of(args, product)?;
    let json = args.run.json.as_deref();
    let json = json.map(|path| OutFile::open("json", path)).transpose()?;
    if args.run.dry_run {
        return outline(suite, json);
    }
    let junit = args.run.exports.junit.as_deref();
    let junit = junit.map(|path| OutFile::open(Format::Junit.name(), path));
    let junit = junit.transpose()?;
    logging::start(settings.config.log_level, settings.config.log_format);
    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let needs_target = suite.plans.iter().any(|plan| plan.file.needs_target());
    let given = Given {
        passed: Values::new(),
        typed: Values::new(),
        target: Some(STAND_IN_URL),
        thresholds: &args.run.threshold,
    };
    for entry in &suite.plans {
        given.outlined(entry).map_err(Failure::input)?;
    }
    let local = suite.local.as_ref();
    let session = Session::open(args, local, needs_target, settings, &mut interrupts).await?;
    let files = Files { json, junit };
    let ended = test(args, suite, &session, files, &mut interrupts).await;
    session.close().await;
    ended
}

/// Where the result goes.
struct Files {
    json: Option<OutFile>,
    junit: Option<OutFile>,
}

async fn test(
    args: &StartArgs,
    suite: &Suite,
    session: &Session,
    Files { json, junit }: Files,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    if args.run.wait_for > 1 {
        wait_for(&session.backend, args.run.wait_for, interrupts).await?;
    }
    let taken = junit.as_ref().is_some_and(OutFile::is_stdout);
    let only_json = json.as_ref().is_some_and(OutFile::is_stdout) || taken;
    let running = Running {
        backend: &session.backend,
        run: &args.run,
        progress: RefCell::new(ProgressLines::on_stderr(match suite.mode {
            Mode::Sequential => 1,
            Mode::Parallel => suite.plans.len(),
        })),
        quiet: only_json,
    };
    let given = Given {
        passed: Values::new(),
        typed: vars(&args.load.vars),
        target: session.target_url(),
        thresholds: &args.run.threshold,
    };
    let (ended, interrupted) = match suite.mode {
        Mode::Sequential => running.in_order(suite, given, interrupts).await?,
        Mode::Parallel => running.at_once(suite, &given, interrupts).await?,
    };
    let stopped = interrupted.then_some(Exit::Stopped);
    let exits = ended.iter().filter_map(|ended| ended.exit);
    let exit = Exit::first(exits.chain(stopped));
    let plans = suite.plans.iter().zip(ended);
    let result = SuiteResult {
        schema: 1,
        suite: suite.name.clone(),
        mode: suite.mode.to_string(),
        outcome: plan_outcome(Some(exit)),
        plans: plans.map(|(plan, ended)| ended.of(plan)).collect(),
    };
    if let Some(junit) = junit {
        let xml = junit_of_suite(&result).map_err(Failure::run)?;
        junit.write(&xml)?;
    }
    if let Some(json) = json {
        json.write_json(&result)?;
    }
    if !only_json {
        out(&text::suite(&result))?;
    }
    Ok(exit)
}

/// How a plan ended; without an exit it was not begun.
struct Ended {
    exit: Option<Exit>,
    why: Option<String>,
    result: Option<Box<TestResult>>,
}

impl Ended {
    fn not_begun(why: String) -> Ended {
        Ended {
            exit: None,
            why: Some(why),
            result: None,
        }
    }

    fn failed(failure: Failure) -> Ended {
        Ended {
            exit: Some(failure.exit),
            why: Some(failure.message),
            result: None,
        }
    }

    fn with(result: Box<TestResult>, strict: bool) -> Ended {
        let (exit, why) = match outcome(&result, strict) {
            Ok(exit) => (exit, None),
            Err(failure) => (failure.exit, Some(failure.message)),
        };
        Ended {
            exit: Some(exit),
            why,
            result: Some(result),
        }
    }

    fn of(self, plan: &SuitePlan) -> PlanResult {
        PlanResult {
            name: plan.name.clone(),
            outcome: plan_outcome(self.exit),
            why: self.why,
            result: self.result,
        }
    }

    /// It could not run, or did not keep a threshold.
    fn is_failure(&self) -> bool {
        let kept = [Some(Exit::Success), Some(Exit::NotValid), None];
        !kept.contains(&self.exit)
    }
}

/// An exit as the report names it.
fn plan_outcome(exit: Option<Exit>) -> PlanOutcome {
    match exit {
        None => PlanOutcome::NotStarted,
        Some(Exit::Success) => PlanOutcome::Passed,
        Some(Exit::Stopped) => PlanOutcome::Stopped,
        Some(Exit::Thresholds) => PlanOutcome::ThresholdsFailed,
        Some(Exit::NotValid) => PlanOutcome::NotValid,
        Some(Exit::CouldNotRun | Exit::Usage | Exit::BadInput) => PlanOutcome::CouldNotRun,
    }
}

/// What plans get besides what they say themselves.
struct Given<'a> {
    /// From plans that have ended.
    passed: Values,
    /// From the command line; nothing replaces it.
    typed: Values,
    /// The local target's URL, if there is one.
    target: Option<&'a str>,
    thresholds: &'a [vajra_plan::Threshold],
}

impl Given<'_> {
    /// The plan that is to run.
    fn plan(&self, entry: &SuitePlan) -> Result<Plan, String> {
        let mut file = entry.file.clone();
        file.set_vars(&self.passed);
        file.set_vars(&self.typed);
        let missing: Vec<String> = file.drop_missing_vars().into_iter().collect();
        self.finished(file).map_err(|why| match missing.is_empty() {
            true => why,
            false => format!(
                "the plans before it did not pass on {}: {why}",
                missing.join(", ")
            ),
        })
    }

    /// The plan as far as it is known before anything has run.
    fn outlined(&self, entry: &SuitePlan) -> Result<Plan, String> {
        let finished = self.finished(entry.file.clone());
        finished.map_err(|why| format!("plan {:?}: {why}", entry.name))
    }

    fn finished(&self, file: vajra_plan::PlanFile) -> Result<Plan, String> {
        let plan = match (file.needs_target(), self.target) {
            (true, Some(target)) => file.with_url(target),
            _ => file.into_plan(),
        };
        let mut plan = plan.map_err(|e| e.to_string())?;
        plan.thresholds.extend(self.thresholds.iter().cloned());
        plan.validate().map_err(|e| e.to_string())?;
        Ok(plan)
    }
}

/// What a plan that has ended passes on; what there is not is left out.
fn passed_on(entry: &SuitePlan, result: &TestResult) -> Values {
    let of = |passed: &Passed| match passed {
        Passed::Setup(name) => result.values.get(name).cloned(),
        Passed::Measured(m) => {
            let value = measured(m.metric, m.scope.as_ref(), result)?;
            Some(Scalar::Float(value)).filter(|_| value.is_finite())
        }
    };
    let all = entry.pass.iter();
    all.filter_map(|(name, passed)| Some((name.clone(), of(passed)?)))
        .collect()
}

/// A suite that is running.
struct Running<'a> {
    backend: &'a Backend,
    run: &'a RunArgs,
    progress: RefCell<ProgressLines>,
    /// Stdout carries JSON and nothing else.
    quiet: bool,
}

impl Running<'_> {
    /// Also tells whether it was interrupted in a pause, where no test is there to be stopped.
    async fn in_order(
        &self,
        suite: &Suite,
        mut given: Given<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<(Vec<Ended>, bool), Failure> {
        let (mut all, mut interrupted) = (Vec::<Ended>::new(), false);
        let mut over: Option<String> = None;
        for entry in &suite.plans {
            let began = all.iter().any(|ended| ended.exit.is_some());
            if over.is_none() && began && !suite.pause.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(suite.pause) => {}
                    () = interrupts.next() => {
                        interrupted = true;
                        over = Some("the suite was stopped".into());
                    }
                }
            }
            if let Some(why) = &over {
                all.push(Ended::not_begun(why.clone()));
                continue;
            }
            let ended = match self.ready(entry, &given, interrupts).await {
                Ok(plan) => self.one(entry, 0, plan, interrupts).await,
                Err(failure) => Ended::failed(failure),
            };
            if let Some(result) = &ended.result {
                given.passed.extend(passed_on(entry, result));
            }
            over = match ended.exit {
                Some(Exit::Stopped) => Some(format!("{} was stopped", entry.name)),
                _ if suite.stop_on == StopOn::Failure && ended.is_failure() => {
                    Some(format!("{} failed, and stop_on is \"failure\"", entry.name))
                }
                _ => None,
            };
            self.show(entry, &ended)?;
            all.push(ended);
        }
        Ok((all, interrupted))
    }

    async fn at_once(
        &self,
        suite: &Suite,
        given: &Given<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<(Vec<Ended>, bool), Failure> {
        // All are looked at before any runs: none is in the way of another's look.
        let mut ready = Vec::new();
        for entry in &suite.plans {
            ready.push(self.ready(entry, given, interrupts).await);
        }
        let plans = suite.plans.iter().zip(ready).enumerate();
        let each = plans.map(async |(place, (entry, plan))| {
            // Each hears of every Ctrl-C, and stops its own test.
            let own = plan.and_then(|p| Ok((p, Interrupts::new().map_err(Failure::run)?)));
            match own {
                Ok((plan, mut own)) => self.one(entry, place, plan, &mut own).await,
                Err(failure) => Ended::failed(failure),
            }
        });
        let all = futures::future::join_all(each).await;
        for (entry, ended) in suite.plans.iter().zip(&all) {
            self.show(entry, ended)?;
        }
        Ok((all, false))
    }

    /// A plan that the swarm has looked at.
    async fn ready(
        &self,
        entry: &SuitePlan,
        given: &Given<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<Plan, Failure> {
        let plan = given.plan(entry).map_err(Failure::run)?;
        if !self.run.no_preflight {
            preflight::before(self.backend, &plan, self.run.yes, interrupts).await?;
        }
        Ok(plan)
    }

    /// Runs a plan to its end; `place` is its line of progress.
    async fn one(
        &self,
        entry: &SuitePlan,
        place: usize,
        plan: Plan,
        interrupts: &mut Interrupts,
    ) -> Ended {
        let ended = async {
            let start = async {
                self.backend.bring(entry.file.blobs()).await?;
                self.backend.start(plan).await
            };
            let id = tokio::select! {
                id = start => id?,
                () = interrupts.next() => {
                    return Err(Failure::stopped("interrupted before the test began"));
                }
            };
            note(&format!("plan {:?}: test {id}", entry.name));
            follow(self.backend, &id, interrupts, OnInterrupt::StopTest, |p| {
                let line = text::named_progress(&entry.name, p);
                self.progress.borrow_mut().show(place, line);
                Ok(())
            })
            .await
        };
        match ended.await {
            Ok(Followed::Ended(result)) => Ended::with(result, self.run.strict),
            Ok(Followed::Left) => Ended::failed(Failure::stopped("interrupted")),
            Err(failure) => Ended::failed(failure),
        }
    }

    /// A plan's own summary, and why it failed.
    fn show(&self, entry: &SuitePlan, ended: &Ended) -> Result<(), Failure> {
        if let Some(why) = &ended.why {
            note(&format!("plan {:?}: {why}", entry.name));
        }
        match &ended.result {
            Some(result) if !self.quiet && (ended.why.is_none() || result.totals.sent > 0) => {
                out(&text::plan_title(&entry.name))?;
                out(&text::summary(result))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "suite_tests.rs"]
mod tests;
