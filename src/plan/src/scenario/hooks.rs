//! Setup and teardown hooks: steps that one node carries out once for the whole test, before and
//! after its load.

use std::collections::BTreeSet;
use std::time::Duration;

use vajra_core::Hook;

use super::model::{Scenario, Scenarios, Step};
use crate::http::HttpTask;
use crate::think::ThinkTime;
use vajra_core::splitmix::hash;

/// Longest duration of a hook, regardless of its steps.
const LONGEST: Duration = Duration::from_secs(300);
/// Allowance for work outside of the steps: resolving names, reading secrets.
const PREPARATION: Duration = Duration::from_secs(1);

impl Scenarios {
    /// The steps of a hook.
    pub fn hook_steps(&self, hook: Hook) -> &[Step] {
        match hook {
            Hook::Setup => &self.setup,
            Hook::Teardown => &self.teardown,
        }
    }

    /// Longest duration of the setup: its steps' timeouts and pauses plus 1 s, at most 5 min; zero
    /// without a setup.
    pub fn setup_limit(&self) -> Duration {
        self.limit(Hook::Setup)
    }

    /// Longest duration of the teardown, likewise.
    pub fn teardown_limit(&self) -> Duration {
        self.limit(Hook::Teardown)
    }

    /// Longest duration of a hook, likewise.
    pub fn limit(&self, hook: Hook) -> Duration {
        let steps = self.hook_steps(hook);
        if steps.is_empty() {
            return Duration::ZERO;
        }
        let timeouts: Duration = steps
            .iter()
            .map(|s| s.timeout.unwrap_or(self.http.timeout))
            .sum();
        let before_last = &steps[..steps.len() - 1];
        let pauses = before_last.iter().enumerate();
        let pauses: Duration = pauses.map(|(i, s)| pause(&s.think, hook.number(), i)).sum();
        (timeouts + pauses + PREPARATION).min(LONGEST)
    }

    /// Names of the values that the setup extracts for all scenarios and the teardown.
    pub fn setup_names(&self) -> BTreeSet<&str> {
        let names = self.setup.iter().flat_map(|s| s.extract.keys());
        names.map(String::as_str).collect()
    }

    /// A hook as the only scenario of a plan.
    pub fn only(&self, hook: Hook) -> Scenarios {
        Scenarios {
            http: HttpTask {
                headers: self.headers_for(hook),
                ..self.http.clone()
            },
            scenarios: vec![Scenario {
                name: hook.to_string(),
                weight: 1,
                steps: self.hook_steps(hook).to_vec(),
            }],
            data: Default::default(),
            setup: Vec::new(),
            teardown: Vec::new(),
            vars: self.vars.clone(),
        }
    }
}

/// Pause after a step of an iteration. Depends only on the arguments, so that it is the same on every
/// node and in every run.
pub fn pause(think: &ThinkTime, iteration: u64, step: usize) -> Duration {
    let draw = hash(iteration, step as u64);
    Duration::from_nanos(think.draw_ns((draw >> 32) as u32, draw as u32))
}
