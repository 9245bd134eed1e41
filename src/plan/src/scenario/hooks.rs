//! Setup and teardown: steps that one node carries out once for the whole test, before its
//! load and after it.

use std::collections::BTreeSet;
use std::time::Duration;

use vajra_core::Hook;

use super::{Scenario, Scenarios, Step};
use crate::{HttpTask, ThinkTime};
use vajra_core::splitmix::hash;

/// Most steps of a setup, and of a teardown.
pub const MAX_ONCE_STEPS: usize = 16;
/// The longest that either may take, whatever its steps may.
const LONGEST: Duration = Duration::from_secs(300);
/// For what is no step's own time: resolving names, reading secrets.
const READY: Duration = Duration::from_secs(1);

impl Scenarios {
    /// The steps of a phase.
    pub fn once(&self, phase: Hook) -> &[Step] {
        match phase {
            Hook::Setup => &self.setup,
            Hook::Teardown => &self.teardown,
        }
    }

    /// Most time for the setup: its steps' time-outs and pauses and a second, at most five
    /// minutes; zero without one.
    pub fn setup_limit(&self) -> Duration {
        self.limit(Hook::Setup)
    }

    /// The same for the teardown.
    pub fn teardown_limit(&self) -> Duration {
        self.limit(Hook::Teardown)
    }

    /// The same for either.
    pub fn limit(&self, phase: Hook) -> Duration {
        let steps = self.once(phase);
        if steps.is_empty() {
            return Duration::ZERO;
        }
        let timeouts: Duration = steps
            .iter()
            .map(|s| s.timeout.unwrap_or(self.http.timeout))
            .sum();
        let before_last = &steps[..steps.len() - 1];
        let pauses = before_last.iter().enumerate();
        let pauses: Duration = pauses
            .map(|(i, s)| pause(&s.think, phase.number(), i))
            .sum();
        (timeouts + pauses + READY).min(LONGEST)
    }

    /// What the setup's steps find, and all scenarios and the teardown may use.
    pub fn setup_names(&self) -> BTreeSet<&str> {
        let names = self.setup.iter().flat_map(|s| s.extract.keys());
        names.map(String::as_str).collect()
    }

    /// A phase as a plan of its own whose only scenario it is.
    pub fn only(&self, phase: Hook) -> Scenarios {
        Scenarios {
            http: HttpTask {
                headers: self.headers_for(phase),
                ..self.http.clone()
            },
            scenarios: vec![Scenario {
                name: phase.to_string(),
                weight: 1,
                steps: self.once(phase).to_vec(),
            }],
            data: Default::default(),
            setup: Vec::new(),
            teardown: Vec::new(),
            vars: self.vars.clone(),
        }
    }
}

/// The pause after a step of an iteration: the same whenever and wherever it is carried out.
pub fn pause(think: &ThinkTime, iteration: u64, step: usize) -> Duration {
    let draw = hash(iteration, step as u64);
    Duration::from_nanos(think.draw_ns((draw >> 32) as u32, draw as u32))
}
