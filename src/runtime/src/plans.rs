//! The plans of tests: what the protocol needs of a plan, whether this node can run it, and the
//! load that it plans for an instant.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::EngineHost;
use crate::load_changes::load_changes;
use vajra_core::protocol::TestId;
use vajra_core::protocol::messages::TaskDescription;
use vajra_core::protocol::spec::{self, LocalNode, TestSpec};
use vajra_core::protocol::test_run::TestRun;
use vajra_plan::{Balance, Hook, LoadChange, Model, OnLostWorker, Plan, PlanError, Profile, Task};
use vajra_results::RedactedPlan;

/// Added to the time limit of a hook: the hook itself reports that it takes too long, with details,
/// before the protocol gives up.
const HOOK_REPORT_TIME: Duration = Duration::from_secs(1);
/// Added to the graceful stop, so that the final reports of the engines still arrive.
const FINAL_REPORT_TIME: Duration = Duration::from_millis(500);
/// Instants of an interval at which its planned rate is sampled; any number is exact for a linear
/// ramp.
const RATE_SAMPLES: u32 = 32;

/// The plans of the tests that the protocol tracks.
pub struct Plans {
    max_pause: Duration,
    tests: HashMap<TestId, KnownPlan>,
}

#[derive(Default)]
struct KnownPlan {
    /// The plan, once it was read.
    plan: Option<Arc<Plan>>,
    /// What results show of the plan.
    redacted: Option<Arc<RedactedPlan>>,
    /// The test was started on this node.
    is_own: bool,
}

/// The load that a plan asks for at an instant.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct PlannedLoad {
    /// Arrivals per second; 0 in the closed model and for scenarios, whose number of requests is
    /// not known in advance.
    pub rate: f64,
    /// Users; 0 in the open model.
    pub users: u32,
    /// Length of the profile in seconds.
    pub duration_s: f64,
}

impl Plans {
    /// No plans. `max_pause` is the longest pause of a test.
    pub fn new(max_pause: Duration) -> Plans {
        Plans {
            max_pause,
            tests: HashMap::new(),
        }
    }

    /// A test was announced.
    pub fn announced(&mut self, test: TestId, is_own: bool) {
        self.tests.entry(test).or_default().is_own = is_own;
    }

    /// The plan of a test was read.
    pub fn insert(&mut self, test: TestId, plan: Arc<Plan>, redacted: Arc<RedactedPlan>) {
        let known = self.tests.entry(test).or_default();
        (known.plan, known.redacted) = (Some(plan), Some(redacted));
    }

    /// The plan of a test; none before it was read.
    pub fn get(&self, test: TestId) -> Option<&Arc<Plan>> {
        self.tests.get(&test)?.plan.as_ref()
    }

    /// What results show of the plan of a test; none before it was read.
    pub fn redacted(&self, test: TestId) -> Option<&Arc<RedactedPlan>> {
        self.tests.get(&test)?.redacted.as_ref()
    }

    /// Whether the test was started on this node.
    pub fn is_own(&self, test: TestId) -> bool {
        self.tests.get(&test).is_some_and(|known| known.is_own)
    }

    /// Forgets all other tests.
    pub fn retain<T>(&mut self, tests: &BTreeMap<TestId, T>) {
        self.tests.retain(|id, _| tests.contains_key(id));
    }

    /// The load changes of a test.
    pub fn changes(&self, t: &TestRun) -> Vec<LoadChange> {
        load_changes(t.log(), self.max_pause)
    }

    /// The load planned at an instant of the profile; 0 before the plan was read.
    pub fn planned(&self, t: &TestRun, at: Duration) -> PlannedLoad {
        let Some((plan, profile)) = self.profile(t) else {
            return PlannedLoad::default();
        };
        PlannedLoad {
            rate: match plan.task {
                Task::Scenarios(_) => 0.0,
                _ => profile.rate_at(at),
            },
            users: profile.users_at(at),
            duration_s: profile.end_if_resumed(at).as_secs_f64(),
        }
    }

    /// Mean of the planned arrivals per second between two instants of the profile.
    pub fn planned_rate(&self, t: &TestRun, from: Duration, to: Duration) -> f64 {
        match self.profile(t) {
            Some((plan, profile)) if !matches!(plan.task, Task::Scenarios(_)) => {
                let part = to.saturating_sub(from) / RATE_SAMPLES;
                let middles = (0..RATE_SAMPLES).map(|i| from + part * i + part / 2);
                middles.map(|at| profile.rate_at(at)).sum::<f64>() / f64::from(RATE_SAMPLES)
            }
            _ => 0.0,
        }
    }

    /// The plan of a test, and its profile with all load changes.
    fn profile(&self, t: &TestRun) -> Option<(&Plan, Profile)> {
        let plan = self.get(t.id())?;
        let profile = Profile::changed(&plan.load, &self.changes(t));
        Some((plan, profile))
    }
}

/// A plan that was read for a test.
pub struct Inspected {
    /// The test.
    pub test: TestId,
    /// The outcome.
    pub outcome: Result<ReadPlan, PlanError>,
}

/// A valid plan.
pub struct ReadPlan {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What results show of it. Kept, because results are built several times per second.
    pub redacted: Arc<RedactedPlan>,
    /// What the protocol needs of it.
    pub spec: TestSpec,
    /// The reason why this node cannot or may not run it, if any.
    pub unable: Option<String>,
}

/// Reads the plan of a test, and checks whether this node can run it. Resolves the target's name.
pub async fn inspect(
    test: TestId,
    bytes: Arc<[u8]>,
    is_own: bool,
    engine: EngineHost,
    local: LocalNode,
) -> Inspected {
    let outcome = match Plan::from_bytes(&bytes) {
        Ok(plan) => {
            let spec = spec_of(&plan);
            let unable = match spec.exclusion(&local.task_types, &local.labels) {
                Some(unfit) => Some(unfit),
                None => engine.unable(&plan, is_own).await,
            };
            Ok(ReadPlan {
                redacted: Arc::new(RedactedPlan::of(&plan)),
                plan: Arc::new(plan),
                spec,
                unable,
            })
        }
        Err(e) => Err(e),
    };
    Inspected { test, outcome }
}

/// What the protocol needs of a plan.
pub fn spec_of(plan: &Plan) -> TestSpec {
    let profile = Profile::of(&plan.load);
    let limit = |hook| match &plan.task {
        Task::Scenarios(s) if !s.hook_steps(hook).is_empty() => {
            Some(s.limit(hook) + HOOK_REPORT_TIME)
        }
        _ => None,
    };
    let closed = plan.load.model == Model::Closed;
    TestSpec {
        length: profile.last_due(),
        end: profile.end(),
        setup: limit(Hook::Setup),
        teardown: limit(Hook::Teardown),
        grace: plan.graceful_timeout() + FINAL_REPORT_TIME,
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
        users: closed.then(|| profile.peak().round() as u32),
        requests: plan.load.requests.filter(|_| closed),
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
