//! The commands: their output and exit codes.

use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use vajra_core::protocol::planted::Bug;

use crate::arguments::RunArguments;
use crate::mutants::{Caught, hunt};
use crate::run::run as run_scenario;
use crate::scenario::{Faults, Scenario};
use crate::shrink::shrink;
use crate::sweep::{Until, sweep as run_seeds};
use crate::trace::Trace;

fn load_scenario(arguments: &RunArguments) -> anyhow::Result<Scenario> {
    let mut scenario = match &arguments.scenario {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            Scenario::from_toml(&text)
                .with_context(|| format!("{} is not a scenario", file.display()))?
        }
        None => {
            let seed = arguments.seed.unwrap_or_default();
            Scenario::from_seed(seed, arguments.nodes, arguments.faults.into())
        }
    };
    scenario.seed = arguments.seed.unwrap_or(scenario.seed);
    Ok(scenario)
}

/// `simulate run`
pub fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let mut scenario = load_scenario(arguments)?;
    if arguments.shrink
        && let Some(shrunk) = shrink(scenario.clone(), arguments.plant)
    {
        eprintln!("shrunk in {} runs", shrunk.runs);
        scenario = shrunk.scenario;
    }
    if arguments.show {
        print!("{}", scenario.to_toml()?);
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "seed {}: {} nodes, a plan of {:.1} s, {:?} on loss, {:?}",
        scenario.seed,
        scenario.machines.len(),
        scenario.plan.length.as_secs_f64(),
        scenario.plan.on_lost_worker,
        scenario.plan.load
    );
    if let Some(second) = &scenario.second {
        println!(
            "second test after {:.3} s: {:?}",
            second.after.as_secs_f64(),
            second.plan.load
        );
    }
    for (i, machine) in scenario.machines.iter().enumerate() {
        if !machine.able() || machine.inspection.is_some() {
            println!("n{i}: {:?}", machine);
        }
    }
    if let Some(story) = &scenario.story {
        println!("{story}");
    }
    for fault in &scenario.faults.0 {
        println!("{fault}");
    }
    let outcome = run_scenario(scenario, Trace::new(arguments.trace), arguments.plant);
    println!("coverage: {}", outcome.coverage);
    println!(
        "{} events in {:.3} s of virtual time, trace hash {:016x}",
        outcome.events,
        outcome.lasted.as_secs_f64(),
        outcome.hash
    );
    Ok(match outcome.violation {
        Some(violation) => {
            println!("FAILED: {violation}");
            ExitCode::FAILURE
        }
        None => {
            println!("no invariant violated");
            ExitCode::SUCCESS
        }
    })
}

/// `simulate sweep`
pub fn sweep(
    seeds: Range<u64>,
    nodes: Option<usize>,
    jobs: usize,
    failed: &Path,
) -> anyhow::Result<ExitCode> {
    // A panic is reported as a violated invariant.
    std::panic::set_hook(Box::new(|_| {}));
    let swept = run_seeds(seeds, nodes, jobs, None, Until::Done);
    let seconds = swept.took.as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s, {:.1} seeds/s, {} events",
        swept.seeds,
        swept.seeds as f64 / seconds,
        swept.events
    );
    println!("coverage: {}", swept.coverage);
    for (seed, violation) in &swept.failed {
        println!("seed {seed}: {violation}");
        let scenario = Scenario::from_seed(*seed, nodes, Faults::All);
        if let Some(shrunk) = shrink(scenario, None) {
            std::fs::create_dir_all(failed)?;
            let file = failed.join(format!("seed-{seed}.toml"));
            std::fs::write(&file, shrunk.scenario.to_toml()?)
                .with_context(|| format!("cannot write {}", file.display()))?;
            println!(
                "  {} nodes and {} faults are enough; replay: simulate run --trace --scenario {}",
                shrunk.scenario.machines.len(),
                shrunk.scenario.faults.0.len(),
                file.display()
            );
        }
    }
    let missing = swept.coverage.missing();
    if !missing.is_empty() {
        println!(
            "never occurred, so not covered by this sweep: {}",
            missing.join(", ")
        );
    }
    if swept.failed.is_empty() {
        println!("no invariant violated");
    } else {
        println!("{} seeds FAILED", swept.failed.len());
    }
    Ok(if swept.failed.is_empty() && missing.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `simulate mutants`
pub fn mutants(seeds: Range<u64>, only: Option<Bug>, jobs: usize) -> anyhow::Result<ExitCode> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    println!("| bug | faulty behaviour | detected after | by |");
    println!("|---|---|---|---|");
    for bug in Bug::ALL.iter().filter(|b| only.is_none_or(|o| o == **b)) {
        let (after, by) = match hunt(*bug, seeds.clone(), jobs) {
            Caught::Sweep {
                seed,
                after,
                violation,
            } => (
                format!("{after} seeds"),
                format!("\"{}\" (seed {seed})", violation.invariant),
            ),
            Caught::Rule { description } => (
                "at once".to_owned(),
                format!("a check of the rule: {description}"),
            ),
            Caught::Missed => {
                missed.push(bug.key());
                (
                    format!("not in {} seeds", seeds.end - seeds.start),
                    "MISSED".into(),
                )
            }
        };
        println!(
            "| `{}` | {} | {after} | {by} |",
            bug.key(),
            bug.description()
        );
    }
    if missed.is_empty() {
        println!("\nall bugs were detected");
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nMISSED: {}", missed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// `simulate scale`
pub fn scale(
    nodes: &[usize],
    seconds: u64,
    seed: u64,
    picture: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let mut lines = Vec::new();
    for nodes in nodes {
        lines.push(crate::scale::measure(
            *nodes,
            Duration::from_secs(seconds),
            seed,
        )?);
    }
    print!("{}", crate::scale::table(&lines));
    if let Some(file) = picture {
        std::fs::write(file, crate::scale::picture(&lines))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
