//! Pre-flight checks: whether a plan would run, before it does.
//!
//! | module | contents |
//! |---|---|
//! | `requirements` | connections, ports and memory that a node's share of a plan needs |
//! | `machine` | what the machine has |
//! | `checks` | the comparison of both |
//! | `query` | asking all nodes |
//! | `report` | the results of all nodes in one report |
//!
//! The target policy applies first, with the same rules as for tests, so pre-flight checks cannot be
//! used to scan a network. Then the node connects to a few addresses of each target and closes the
//! connections; nothing is sent.

mod checks;
mod machine;
mod query;
mod report;
mod requirements;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use self::machine::Machine;
use self::requirements::Requirements;
use crate::answer::{Answer, admit};
use crate::engine::EngineHost;
use crate::plans::spec_of;
use vajra_core::protocol::messages::{Reply, Status};
use vajra_core::protocol::preflight::{Check, Finding, Preflight, PreflightReply};
use vajra_core::protocol::{Digest, Node, Time};
use vajra_plan::{Plan, Task};
use vajra_task::{PrepareError, Refusal, TaskContext, TestOrigin};
use vajra_tasks::{self as tasks, HttpPrepared, Prepared, Probe};

/// Most pre-flight checks on a node at once. Each has a plan of up to 1 MiB in memory, and uses a
/// thread while a name is resolved.
const AT_ONCE: usize = 4;
/// Time limit for the checks on a node.
const LIMIT: Duration = Duration::from_secs(5);
/// Timeout of the asking node: the limit, and a round trip.
const TIMEOUT: Duration = Duration::from_secs(6);

/// Timeout of a connection: allows two retransmissions of a lost packet.
const CONNECT: Duration = Duration::from_secs(4);
/// Most targets checked; scenarios have a few.
const MAX_TARGETS: usize = 32;
/// Targets connected to at the same time.
const TARGETS_AT_ONCE: usize = 8;
/// Text for a node that takes no new shares.
const DRAINING: &str = "the node is draining";

/// This node, as far as a plan needs it.
#[derive(Debug)]
pub struct Local {
    /// Secrets, data and target policy.
    pub context: Arc<TaskContext>,
    /// Engine threads.
    pub threads: usize,
    /// Task types it can run.
    pub task_types: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// It takes no new shares.
    pub draining: bool,
}

impl Local {
    /// This node as it is now.
    pub fn of(core: &Node, now: Time, engine: &EngineHost) -> Local {
        let me = core.local();
        Local {
            context: engine.context.clone(),
            threads: engine.threads,
            task_types: me.task_types.clone(),
            labels: me.labels.clone(),
            draining: matches!(core.status(now), Status::Draining | Status::Leaving),
        }
    }
}

/// The pre-flight checks in progress on this node.
pub struct Preflights {
    permits: Arc<Semaphore>,
}

impl Default for Preflights {
    fn default() -> Preflights {
        Preflights {
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Preflights {
    /// Checks a plan for another node.
    pub fn answer(&self, local: Local, request: Preflight) -> Answer {
        match admit(&self.permits) {
            Some(permit) => Answer::task(async move {
                Reply::Preflight(examine(local, request, false, permit).await)
            }),
            None => Answer::now(Reply::Refused(busy())),
        }
    }
}

fn busy() -> String {
    format!("the node is busy with {AT_ONCE} other pre-flight checks; retry")
}

/// A plan that was read and prepared.
struct Inspected {
    plan: Plan,
    prepared: Result<Prepared, PrepareError>,
}

/// Checks whether a plan would run on this node. `own` means that the test would start here. The
/// permit is kept until all work is done, also beyond [`LIMIT`].
async fn examine(
    local: Local,
    request: Preflight,
    own: bool,
    permit: OwnedSemaphorePermit,
) -> PreflightReply {
    let until = Instant::now() + LIMIT;
    let (slots, size) = (request.slots, request.plan.len() as u64);
    let local = Arc::new(local);
    let (node, permit) = (local.clone(), Arc::new(permit));
    let blocking_permit = permit.clone();
    // Parsing a large plan and resolving a name may block.
    let inspecting = tokio::task::spawn_blocking(move || {
        let _permit = blocking_permit;
        inspect(&node, &request, own)
    });
    let inspected = match timeout_at(until, inspecting).await {
        Ok(Ok(inspected)) => inspected,
        Ok(Err(e)) => Err(unable(format!("cannot check the plan: {e}"))),
        Err(_) => Err(unable(format!(
            "the target's name does not resolve within {} s",
            LIMIT.as_secs()
        ))),
    };
    let (inspected, mut checks) = match inspected {
        Ok(inspected) => inspected,
        Err(check) => {
            return PreflightReply {
                able: false,
                checks: vec![*check],
            };
        }
    };
    let prepared = match inspected.prepared {
        Ok(prepared) => prepared,
        Err(e) => {
            checks.push(not_prepared(&e));
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
    checks.extend(probes.iter().map(checks::target));
    let best = probes.iter().filter_map(Probe::best).map(|r| r.connecting);
    let requirements = Requirements {
        plan: &inspected.plan,
        slots,
        threads: local.threads,
        endpoints: endpoints.len(),
        spread: endpoints.iter().map(|e| e.spread()).min().unwrap_or(1),
        min_time: best.min().unwrap_or_default(),
        size,
    };
    let loopback = |p: &Probe| p.tried.iter().all(|(a, _)| a.ip().is_loopback());
    let machine = Machine::read(local.context.sources.len(), probes.iter().all(loopback));
    checks.extend(checks::machine(&requirements, &machine));
    PreflightReply { able: true, checks }
}

fn inspect(
    local: &Local,
    request: &Preflight,
    own: bool,
) -> Result<(Inspected, Vec<Check>), Box<Check>> {
    let mut plan = Plan::from_bytes(&request.plan).map_err(|e| {
        let text = format!("this node cannot read the plan: {e}");
        let check = Check::new("plan", Finding::Fail, text);
        Box::new(check.hint("use the same version on all nodes"))
    })?;
    let spec = spec_of(&plan);
    let read = checks::plan(request.digest, Digest::of(&plan.to_bytes()));
    if local.draining {
        return Err(unfit(DRAINING.into()));
    }
    if let Some(why) = spec.exclusion(&local.task_types, &local.labels) {
        return Err(unfit(why));
    }
    // The body is not needed here, and may be large.
    if let Task::Http(http) = &mut plan.task {
        http.body.clear();
        http.body_size = None;
    }
    // Data is fetched when the test starts; the targets do not depend on it.
    let mut task = plan.task.clone();
    if let Task::Scenarios(scenarios) = &mut task {
        scenarios.data.clear();
    }
    let prepared = tasks::prepare_blocking(&task, &local.context, TestOrigin::of(own));
    Ok((Inspected { plan, prepared }, vec![read]))
}

/// The node takes no part by the plan's own rules.
fn unfit(why: String) -> Box<Check> {
    Box::new(Check::new("able", Finding::Skip, why))
}

/// The node cannot take part.
fn unable(why: String) -> Box<Check> {
    Box::new(Check::new("able", Finding::Warn, why))
}

fn not_prepared(e: &PrepareError) -> Check {
    let hint = match e {
        PrepareError::Refused(Refusal::Unresolved(_)) => {
            "check the name, and the name resolution on this node"
        }
        // The error text contains the advice.
        PrepareError::Refused(Refusal::Forbidden(_)) | PrepareError::Secret(_) => "",
        PrepareError::Request(_)
        | PrepareError::Parameter(_)
        | PrepareError::Tls(_)
        | PrepareError::Data(_) => "check the plan and this machine",
    };
    unable(e.to_string()).hint(hint)
}

async fn probe(endpoints: &[Arc<HttpPrepared>], until: Instant) -> Vec<Probe> {
    let timeout = CONNECT.min(until.saturating_duration_since(Instant::now()));
    let targets = endpoints.iter().take(MAX_TARGETS);
    let probes: Vec<_> = targets.map(|e| e.probe(timeout)).collect();
    futures::stream::iter(probes)
        .buffered(TARGETS_AT_ONCE)
        .collect()
        .await
}

#[cfg(test)]
#[path = "examine_tests.rs"]
mod tests;
