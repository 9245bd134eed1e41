//! From a plan's bytes to what the protocol must know of it, and whether this node will
//! carry it.

use std::collections::BTreeMap;
use std::time::Duration;

use vajra_core::protocol::messages::TaskDescription;
use vajra_core::protocol::spec;
use vajra_plan::{Balance, Hook, Model, OnLostWorker, Plan, Profile, Task};

/// A setup that takes too long says so itself, and what it was doing; only then is it given up.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the protocol must know of a plan.
pub fn spec_of(plan: &Plan) -> spec::TestSpec {
    let profile = Profile::of(&plan.load);
    let limit = |phase| match &plan.task {
        Task::Scenarios(s) if !s.hook_steps(phase).is_empty() => Some(s.limit(phase) + FAREWELL),
        _ => None,
    };
    spec::TestSpec {
        length: profile.last_due(),
        end: profile.end(),
        setup: limit(Hook::Setup),
        teardown: limit(Hook::Teardown),
        // A moment more than the engines take, so that what they say at last is heard.
        grace: plan.graceful_timeout() + Duration::from_millis(500),
        min_workers: plan.swarm.min_workers,
        balance: match plan.swarm.balance {
            Balance::Capacity => spec::Balance::Capacity,
            Balance::Equal => spec::Balance::Equal,
        },
        on_lost: match plan.swarm.on_lost_worker {
            OnLostWorker::Reassign => spec::OnLost::Reassign,
            OnLostWorker::Hold => spec::OnLost::Hold,
            OnLostWorker::Fail => spec::OnLost::Fail,
        },
        labels: plan.swarm.labels.clone(),
        task: describe(plan, &profile),
    }
}

fn describe(plan: &Plan, profile: &Profile) -> TaskDescription {
    let mut parameters = BTreeMap::new();
    match &plan.task {
        Task::Http(http) => {
            parameters.insert("url".into(), http.url.clone());
            parameters.insert("method".into(), http.method.clone());
        }
        Task::Sleep { ms } | Task::Cpu { ms } => {
            parameters.insert("ms".into(), ms.to_string());
        }
        Task::Scenarios(scenarios) => {
            parameters.insert("url".into(), scenarios.http.url.clone());
        }
    }
    let rate = match plan.load.model {
        Model::Open => plan.load.rate.unwrap_or(0.0),
        Model::Closed => 0.0,
    };
    TaskDescription {
        task_type: plan.task.type_name().into(),
        parameters,
        target_rate_milli: (rate * 1000.0).round() as u64,
        duration: profile.end(),
        ramp_up: plan.load.ramp_up,
        max_concurrency: plan.load.users.or(plan.load.max_in_flight).unwrap_or(0),
    }
}
