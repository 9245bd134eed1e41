//! Starts once: all engines follow one timeline. A profile that began twice would be a second
//! load beside the plan's.

use std::time::Duration;

use super::Checker;
use crate::world::World;

/// Compares the instants at which engines were told to start.
#[derive(Debug, Default)]
pub struct StartsOnce;

/// How far apart two nodes' ideas of one start may be, in a network that delays messages by
/// seconds. A second start comes a share lease later, at the earliest.
const SKEW: Duration = Duration::from_millis(1_500);

impl Checker for StartsOnce {
    fn name(&self) -> &'static str {
        "starts once"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), String> {
        let (Some(first), Some(last)) = (world.started, world.started_last) else {
            return Ok(());
        };
        if last <= first + SKEW {
            return Ok(());
        }
        Err(format!(
            "one engine started at {:.3} s and another at {:.3} s",
            first.as_secs_f64(),
            last.as_secs_f64()
        ))
    }
}
