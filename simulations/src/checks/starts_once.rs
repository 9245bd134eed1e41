//! The profile starts once: all engines agree on the instant, and none is told another.

use crate::clock::{MS, TrueTime};
use crate::world::World;

/// How far engines may disagree: clocks that drift by 1 % each way over a run, and a start
/// that a successor knows from a beat's delay only.
const TOLERANCE: TrueTime = 1_500 * MS;

pub(super) fn check(world: &World) -> Result<(), String> {
    if let Some(nonsense) = &world.nonsense {
        return Err(nonsense.clone());
    }
    let starts = world
        .hosts
        .iter()
        .filter(|h| h.node.is_some())
        .filter_map(|h| Some(h.clock.true_time(h.engine.start()?)));
    let (min, max) = starts.fold((TrueTime::MAX, 0), |(lo, hi), s| (lo.min(s), hi.max(s)));
    if max > min && max - min > TOLERANCE {
        return Err(format!("engines start {} ms apart", (max - min) / MS));
    }
    Ok(())
}
