//! `start-test`: runs one test, or a suite, and shows the result.

use super::args::{RunArgs, StartArgs};
use super::baseline;
use super::dry_run;
use super::exit::{Exit, Failure};
use super::exports::{self, Exports, with_timeline};
use super::find_max;
use super::follow::{Followed, OnInterrupt};
use super::interrupt::{BEFORE_START, Interrupts};
use super::join::wait_for;
use super::logging;
use super::out_file::OutFile;
use super::outcome::show;
use super::output::{line, note};
use super::plan_args::PlanSource;
use super::plan_file::STAND_IN_URL;
use super::preflight;
use super::product::Product;
use super::screen;
use super::session::{Session, Settings};
use super::suite;
use vajra_plan::Plan;
use vajra_report::export::Needs;
use vajra_results::TestResult;
use vajra_results::compare::{Comparison, compare};
use vajra_results::result_file::ResultFile;

/// Size of data files in bytes from which their transfer takes noticeable time.
const LARGE_DATA: usize = 1 << 20;

/// Runs a test or a suite.
///
/// # Errors
/// It cannot run; nothing is left running then.
pub async fn run(args: &StartArgs, product: &Product) -> Result<Exit, Failure> {
    // The whole command line is checked before anything starts.
    if let Some(suite) = suite::read(args)? {
        return suite::run(args, &suite, product).await;
    }
    let source = PlanSource::read(args)?;
    let stand_in = source.needs_target().then_some(STAND_IN_URL);
    let plan = source.plan(&args.load, stand_in)?;
    let settings = Settings::of(args, product)?;
    if args.run.dry_run {
        return dry_run::show(&plan, args.run.json.as_deref());
    }
    if args.run.find_max {
        find_max::check(&plan, &args.run)?;
    }
    logging::start(settings.log);
    let files = Files::open(&args.run)?;

    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let (local, needs_target) = (source.local(), source.needs_target());
    let session = Session::open(args, local, needs_target, settings, &mut interrupts).await?;
    let result = run_on(&session, args, &source, files, &mut interrupts).await;
    session.close().await;
    result
}

async fn run_on(
    session: &Session,
    args: &StartArgs,
    source: &PlanSource,
    files: Files,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let backend = &session.backend;
    let mut plan: Plan = source.plan(&args.load, session.target_url())?;
    for threshold in &args.run.threshold {
        let checked = threshold.check_scope(&plan.task);
        checked.map_err(|e| Failure::input(format_args!("--threshold: {e}")))?;
    }
    if !args.run.find_max {
        plan.thresholds.extend(args.run.threshold.iter().cloned());
    }
    if args.run.wait_for > 1 {
        wait_for(backend, args.run.wait_for, interrupts).await?;
    }
    if !args.run.no_preflight {
        preflight::before_start(backend, &plan, args.run.yes, interrupts).await?;
    }
    upload_data(session, source, interrupts).await?;
    if args.run.find_max {
        return find_max::run(backend, plan, &args.run, files.json, interrupts).await;
    }
    let id = tokio::select! {
        started = backend.start(plan) => started?,
        () = interrupts.next() => return Err(Failure::stopped(BEFORE_START)),
    };
    if args.run.detach {
        line(&id)?;
        return Ok(Exit::Success);
    }
    note(&format!("test {id}"));
    let stop = OnInterrupt::StopTest;
    match screen::follow(backend, &id, interrupts, stop, args.run.plain).await? {
        Followed::Ended(result) => report(session, &args.run, *result, files).await,
        Followed::Left => Ok(Exit::Success),
    }
}

/// Writes and shows a result. Returns its exit code.
async fn report(
    session: &Session,
    args: &RunArgs,
    result: TestResult,
    files: Files,
) -> Result<Exit, Failure> {
    let mut recorded = with_timeline(&session.backend, result, files.needs).await;
    // A test that sent nothing cannot be compared.
    let baseline = files.baseline.filter(|_| recorded.result.totals.sent > 0);
    recorded.comparison = baseline.map(|baseline| Comparison {
        limit: args.fail_on_regression,
        ..compare(&baseline, &recorded)
    });
    let comparison = recorded.comparison.clone();
    let json_on_stdout = files.json.as_ref().is_some_and(OutFile::is_stdout);
    let quiet = json_on_stdout || files.exports.on_stdout();
    let written = files.exports.write(&recorded);
    if !args.timeline {
        recorded.timeline = None;
    }
    let exit = show(&recorded, files.json, args.strict, quiet)?;
    let compared = match comparison {
        Some(comparison) => baseline::show(&comparison, quiet)?,
        None => Exit::Success,
    };
    written?;
    Ok(Exit::first([exit, compared]))
}

/// Uploads the data files of the plan to the node.
async fn upload_data(
    session: &Session,
    source: &PlanSource,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let bytes: usize = source.blobs().iter().map(|b| b.bytes.len()).sum();
    if bytes >= LARGE_DATA {
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        note(&format!(
            "every node fetches {mebibytes:.1} MiB of data before the test starts"
        ));
    }
    tokio::select! {
        uploaded = session.backend.upload(source.blobs()) => uploaded,
        () = interrupts.next() => Err(Failure::stopped(BEFORE_START)),
    }
}

/// The baseline and the output files, all opened before anything starts.
struct Files {
    json: Option<OutFile>,
    exports: Exports,
    baseline: Option<ResultFile>,
    /// Data that the reports and the comparison need.
    needs: Needs,
}

impl Files {
    fn open(args: &RunArgs) -> Result<Files, Failure> {
        let baseline = args.baseline.as_deref();
        let hint = "give --baseline a file written by --json";
        let baseline = baseline.map(|path| baseline::read("--baseline", path, hint));
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
