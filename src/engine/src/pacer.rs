//! What the open and the closed model have in common: how an engine thread drives them.

use std::rc::Rc;

use vajra_task::Task;

use super::clock::LeaseInstant;
use super::control::ShareChange;
use super::engine::{Engine, Model};

/// Turns the plan into requests: the open or the closed model.
pub trait Pacer<T: Task>: Model<T> {
    /// Called when the start becomes known or changes.
    fn started(self: &Rc<Self>, engine: &Rc<Engine<T>>);

    /// Called when the share changes. `started`: the start is known.
    fn share(self: &Rc<Self>, engine: &Rc<Engine<T>>, change: ShareChange, started: bool);

    /// Called when the share changes after the load has ended, while requests are in flight:
    /// nothing new is started.
    fn shrink(self: &Rc<Self>, engine: &Rc<Engine<T>>, change: &ShareChange);

    /// Called when the load profile changes; takes the new one from `engine`. No later change of
    /// the share takes effect at or before `now`.
    fn reload(self: &Rc<Self>, engine: &Rc<Engine<T>>, now: LeaseInstant, started: bool);

    /// Processes what is due at `now`, before which no later change of the share takes effect.
    /// Returns when it must be called again.
    fn process(self: &Rc<Self>, engine: &Rc<Engine<T>>, now: LeaseInstant) -> Option<LeaseInstant>;

    /// Interrupts requests whose time is up although the load continues. Returns when it must be
    /// called again.
    fn interrupt(&self, engine: &Engine<T>, now: LeaseInstant) -> Option<LeaseInstant>;

    /// Called when no more arrivals will follow.
    fn end(&self, engine: &Engine<T>);

    /// Whether no more arrivals will follow although the profile continues.
    fn exhausted(&self, engine: &Engine<T>) -> bool;
}

/// Part `i` of a limit that `n` threads share.
pub fn portion(limit: u32, i: u32, n: u32) -> u32 {
    let cut = |i: u32| (u64::from(limit) * u64::from(i) / u64::from(n)) as u32;
    cut(i + 1) - cut(i)
}
