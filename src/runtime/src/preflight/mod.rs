//! Pre-flight: whether a plan would run, before it does.
//!
//! | module | what it does |
//! |---|---|
//! | `part` | what a node's part of a plan needs: connections, ports, memory |
//! | `machine` | what the machine has |
//! | `judge` | the one held against the other |
//! | `swarm` | what all nodes found, as one report |
//!
//! A node looks at a plan as it would for a test, and no further: its target policy decides
//! first, by the same rule for others' plans, so that nobody can use it to find out what
//! answers where. Then it connects to a few addresses of each target and hangs up; nothing is
//! sent.

mod judge;
mod machine;
mod part;
mod swarm;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use self::machine::Machine;
use self::part::Part;
use super::inspect::spec_of;
use vajra_core::protocol::Digest;
use vajra_core::protocol::preflight::{Check, Finding, Preflight, PreflightReply};
use vajra_plan::{Plan, Task};
use vajra_task::{PrepareError, Refusal, TaskContext, TestOrigin};
use vajra_tasks::{self as tasks, HttpPrepared, Prepared, Probe};

pub use self::swarm::{Answer, Asked, Swarm, report};

/// Most pre-flights on a node at once: each holds a plan of up to a mebibyte, and a thread
/// while a name is resolved.
pub const AT_ONCE: usize = 4;
/// Longest that a node looks at a plan.
pub const LOOK: Duration = Duration::from_secs(5);
/// Longest that the asker waits: so long, and the way there and back.
pub const WAIT: Duration = Duration::from_secs(6);

/// Longest that an address may take to answer: two repetitions of a lost packet.
const CONNECT: Duration = Duration::from_secs(4);
/// Most targets that are looked at; scenarios have a few.
const MAX_TARGETS: usize = 32;
/// Targets that are connected to at the same time.
const TARGETS_AT_ONCE: usize = 8;

/// A node, as far as a plan needs it.
#[derive(Debug)]
pub struct Local {
    /// What plans may use of it.
    pub site: Arc<TaskContext>,
    /// Engine threads.
    pub threads: usize,
    /// Task types it can run.
    pub task_types: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// It takes no new share.
    pub draining: bool,
}

/// A plan that was read and made ready.
struct Looked {
    plan: Plan,
    ready: Result<Prepared, PrepareError>,
}

/// Looks whether a plan would run on this node. `own` tells that it would be started from
/// here. The permit is held for as long as there is work, also after [`LOOK`].
pub async fn examine(
    local: Local,
    request: Preflight,
    own: bool,
    permit: OwnedSemaphorePermit,
) -> PreflightReply {
    let until = Instant::now() + LOOK;
    let (slots, size) = (request.slots, request.plan.len() as u64);
    let local = Arc::new(local);
    let (node, permit) = (local.clone(), Arc::new(permit));
    let held = permit.clone();
    // Reading a large plan and resolving a name take their time.
    let looking = tokio::task::spawn_blocking(move || {
        let _held = held;
        look(&node, &request, own)
    });
    let looked = match timeout_at(until, looking).await {
        Ok(Ok(looked)) => looked,
        Ok(Err(e)) => Err(unable(format!("the plan can't be looked at: {e}"))),
        Err(_) => Err(unable(format!(
            "the target's name does not resolve within {} s",
            LOOK.as_secs()
        ))),
    };
    let (looked, mut checks) = match looked {
        Ok(found) => found,
        Err(check) => {
            return PreflightReply {
                able: false,
                checks: vec![*check],
            };
        }
    };
    let prepared = match looked.ready {
        Ok(prepared) => prepared,
        Err(e) => {
            checks.push(not_ready(&e));
            return PreflightReply {
                able: false,
                checks,
            };
        }
    };
    checks.push(Check::new("able", Finding::Pass, "takes part"));
    let endpoints = prepared.endpoints();
    let probes = probe(&endpoints, until).await;
    drop(permit);
    checks.extend(probes.iter().map(judge::target));
    let best = probes.iter().filter_map(Probe::best).map(|r| r.connecting);
    let part = Part {
        plan: &looked.plan,
        slots,
        threads: local.threads,
        endpoints: endpoints.len(),
        spread: endpoints.iter().map(|e| e.spread()).min().unwrap_or(1),
        least: best.min().unwrap_or_default(),
        size,
    };
    let loopback = |p: &Probe| p.tried.iter().all(|(a, _)| a.ip().is_loopback());
    let machine = Machine::read(local.site.sources.len(), probes.iter().all(loopback));
    checks.extend(judge::machine(&part, &machine));
    PreflightReply { able: true, checks }
}

fn look(local: &Local, request: &Preflight, own: bool) -> Result<(Looked, Vec<Check>), Box<Check>> {
    let mut plan = Plan::from_bytes(&request.plan).map_err(|e| {
        let text = format!("this node can't read it: {e}");
        let check = Check::new("plan", Finding::Fail, text);
        Box::new(check.hint("use the same version on all nodes"))
    })?;
    let spec = spec_of(&plan);
    let read = judge::plan(request.digest, Digest::of(&plan.to_bytes()));
    if local.draining {
        return Err(unfit("it is being drained".into()));
    }
    if let Some(why) = spec.exclusion(&local.task_types, &local.labels) {
        return Err(unfit(why));
    }
    // The body is not looked at, and may be large.
    if let Task::Http(http) = &mut plan.task {
        http.body.clear();
        http.body_size = None;
    }
    // Its rows are fetched when it runs; what it connects to does not depend on them.
    let mut task = plan.task.clone();
    if let Task::Scenarios(scenarios) = &mut task {
        scenarios.data.clear();
    }
    let ready = tasks::prepare_blocking(&task, &local.site, TestOrigin::of(own));
    Ok((Looked { plan, ready }, vec![read]))
}

/// Takes no part, as the plan wants it.
fn unfit(why: String) -> Box<Check> {
    Box::new(Check::new("able", Finding::Skip, why))
}

/// Takes no part, though it might.
fn unable(why: String) -> Box<Check> {
    Box::new(Check::new("able", Finding::Warn, why))
}

fn not_ready(e: &PrepareError) -> Check {
    let hint = match e {
        PrepareError::Refused(Refusal::Unresolved(_)) => {
            "check the name, and that this node can resolve it"
        }
        // The text says what would allow it.
        PrepareError::Refused(Refusal::Forbidden(_)) | PrepareError::Secret(_) => "",
        PrepareError::Request(_)
        | PrepareError::Parameter(_)
        | PrepareError::Tls(_)
        | PrepareError::Data(_) => "check the plan, and this machine",
    };
    unable(e.to_string()).hint(hint)
}

async fn probe(endpoints: &[Arc<HttpPrepared>], until: Instant) -> Vec<Probe> {
    let wait = CONNECT.min(until.saturating_duration_since(Instant::now()));
    let targets = endpoints.iter().take(MAX_TARGETS);
    let probes: Vec<_> = targets.map(|e| e.probe(wait)).collect();
    futures::stream::iter(probes)
        .buffered(TARGETS_AT_ONCE)
        .collect()
        .await
}

#[cfg(test)]
#[path = "examine_tests.rs"]
mod tests;
