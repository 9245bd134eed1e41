//! Setup and teardown hooks: they run on a thread of their own while this node has authority.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::engine::EngineHost;
use crate::plans::Plans;
use vajra_core::Hook;
use vajra_core::protocol::log::MAX_VALUES;
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::{Node, TestId, Time};
use vajra_plan::{MAX_VALUES_BYTES, Task, Values, decode_values, encode_values};
use vajra_task::TestOrigin;
use vajra_tasks::run_hook;

// The protocol can carry all values that a plan may produce.
const _: () = assert!(MAX_VALUES_BYTES <= MAX_VALUES);

/// A hook has failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HookError {
    /// The plan has not arrived at this node.
    #[error("the plan is not on this node")]
    NoPlan,
    /// The plan has no scenarios, and therefore no hooks.
    #[error("the plan has no scenarios")]
    NoScenarios,
    /// A request or check failed, or the time limit was reached.
    #[error("{0}")]
    Failed(String),
    /// The values cannot be encoded.
    #[error("{0}")]
    Values(String),
}

/// A hook that has run.
pub struct HookRun {
    /// The test.
    pub test: TestId,
    /// The hook.
    pub hook: Hook,
    /// The encoded values of the setup hook.
    pub outcome: Result<Arc<[u8]>, HookError>,
}

/// The end of this node's authority on the lease clock, shared with a hook.
#[derive(Debug, Clone, Default)]
struct Authority(Arc<AtomicI64>);

/// The hooks that run on this node.
#[derive(Default)]
pub struct Hooks {
    authority: HashMap<TestId, Authority>,
}

impl Hooks {
    /// Runs a hook.
    pub fn run(
        &mut self,
        core: &Node,
        plans: &Plans,
        engine: &EngineHost,
        test: TestId,
        hook: Hook,
    ) -> Result<impl Future<Output = HookRun> + Send + use<>, HookError> {
        let plan = plans.get(test).ok_or(HookError::NoPlan)?;
        let Task::Scenarios(scenarios) = &plan.task else {
            return Err(HookError::NoScenarios);
        };
        let t = core.tests().get(&test);
        let values = t.and_then(|t| t.setup_values());
        let values: Values = values
            .and_then(|bytes| decode_values(bytes).ok())
            .unwrap_or_default();
        let authority = Authority::default();
        authority.set(t);
        self.authority.insert(test, authority.clone());
        let clock = engine.clock;
        let may_send = move || clock.now().0 < authority.0.load(Ordering::Acquire);
        let origin = TestOrigin::of(plans.is_own(test));
        let context = engine.context.clone();
        let run = run_hook(scenarios, hook, values, context, origin, may_send);
        Ok(async move {
            let values = run.await.map_err(|e| HookError::Failed(e.to_string()));
            let outcome = values.and_then(|values| {
                let bytes = encode_values(&values);
                bytes.map_err(|e| HookError::Values(e.to_string()))
            });
            HookRun {
                test,
                hook,
                outcome: outcome.map(Into::into),
            }
        })
    }

    /// Updates the authority of the hooks that run.
    pub fn update_authority(&self, core: &Node) {
        for (id, authority) in &self.authority {
            authority.set(core.tests().get(id));
        }
    }

    /// Forgets all other tests.
    pub fn retain<T>(&mut self, tests: &BTreeMap<TestId, T>) {
        self.authority.retain(|id, _| tests.contains_key(id));
    }
}

impl Authority {
    fn set(&self, t: Option<&TestRun>) {
        let until = t.map_or(Time::ZERO, |t| t.election().authority_until());
        self.0.store(until.0, Ordering::Release);
    }
}
