//! Single start: all engines have the same start. A profile that started twice would add a second
//! load.

use std::time::Duration;

use super::checker::Checker;
use crate::violation::Violation;
use crate::world::World;

/// Compares the starts of all engines.
#[derive(Debug)]
pub struct SingleStart {
    /// Index of the test.
    pub of: usize,
}

/// Largest difference of two nodes' estimates of one start, in a network with delays of seconds. A
/// second start follows a share lease later at the earliest.
const SKEW: Duration = Duration::from_millis(1_500);

impl Checker for SingleStart {
    fn name(&self) -> &'static str {
        "single start"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), Violation> {
        let test = &world.tests[self.of];
        let (Some(first), Some(last)) = (test.started, test.started_last) else {
            return Ok(());
        };
        // A captured elector may keep from a misinformed candidate when the profile started.
        let informed = world.honest_majority_alive(self.of);
        if last <= first + SKEW || !informed {
            return Ok(());
        }
        Err(world.violation(
            self.name(),
            format!(
                "one engine started at {:.3} s and another at {:.3} s",
                first.as_secs_f64(),
                last.as_secs_f64()
            ),
        ))
    }
}
