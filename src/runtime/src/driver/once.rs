//! Setup and teardown: run on a thread of their own, for as long as this node has authority.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use vajra_core::Hook;
use vajra_core::protocol::log::MAX_VALUES;
use vajra_plan::{MAX_VALUES_BYTES, Task, Values, decode_values, encode_values};
use vajra_task::TestOrigin;
use vajra_tasks::run_hook;

// What a plan may hand on, the protocol carries.
const _: () = assert!(MAX_VALUES_BYTES <= MAX_VALUES);

/// How setup or teardown of a test ended.
pub(super) type Ran = (TestId, Hook, Result<Arc<[u8]>, String>);

/// Until when this node may send in a test's setup or teardown, on the lease clock.
#[derive(Debug, Clone, Default)]
pub(super) struct Authority(Arc<AtomicU64>);

impl Driver {
    pub(super) fn run_once(&mut self, test: TestId, once: Hook) {
        let Some(plan) = self.tests.get(&test).and_then(|s| s.plan.clone()) else {
            let why = "the plan is not here".to_owned();
            return self.input(Input::HookFinished(test, once, Err(why.into())));
        };
        let Task::Scenarios(scenarios) = &plan.task else {
            // The spec says so of no other.
            return self.input(Input::HookFinished(
                test,
                once,
                Err("it has no scenarios".into()),
            ));
        };
        let known = self.core.tests().get(&test).and_then(|t| t.setup_values());
        let values = known.and_then(|bytes| decode_values(bytes).ok());
        let values: Values = values.unwrap_or_default();
        let authority = Authority::default();
        self.served(test).authority = authority.clone();
        self.tell_authority();
        let clock = self.room.clock;
        let may_send = move || clock.now().0 < authority.0.load(Ordering::Acquire);
        let own = self.served(test).own;
        let site = self.room.site.clone();
        let work = run_hook(scenarios, once, values, site, TestOrigin::of(own), may_send);
        let told = self.ran.clone();
        tokio::spawn(async move {
            let how = work.await.map_err(|e| e.to_string());
            let how = how.and_then(|values| encode_values(&values).map_err(|e| e.to_string()));
            // The driver may have ended meanwhile.
            let _ = told.send((test, once, how.map(Into::into))).await;
        });
    }

    /// Keeps up to date until when setups and teardowns that run here may send.
    pub(super) fn tell_authority(&self) {
        for (id, served) in &self.tests {
            let t = self.core.tests().get(id);
            let until = t.map_or(Time::ZERO, |t| t.election().authority_until());
            served.authority.0.store(until.0, Ordering::Release);
        }
    }
}
