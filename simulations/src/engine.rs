//! A load engine that obeys the protocol's orders and counts what it would have sent.

use vajra_node::protocol::{EngineOrder, Time};

use crate::clock::{Clock, SECOND, TrueTime};

/// Requests a second of the whole plan.
pub const RATE: u64 = 1_000;
/// Slots of the whole plan, times nanoseconds, for one request at [`RATE`].
const ONE_REQUEST: u128 = SECOND as u128 / RATE as u128 * vajra_node::protocol::spec::SLOTS as u128;

/// One node's engine for the one test of the world.
#[derive(Clone, Debug)]
pub struct Engine {
    length: u64,
    prepared: bool,
    start: Option<Time>,
    slots: u32,
    lease: Time,
    stopped: Option<TrueTime>,
    counted_until: TrueTime,
    /// Slot-nanoseconds sent.
    sent: u128,
    done: bool,
}

impl Engine {
    /// An engine for a profile of `length` nanoseconds.
    pub fn new(length: u64) -> Engine {
        Engine {
            length,
            prepared: false,
            start: None,
            slots: 0,
            lease: Time::ZERO,
            stopped: None,
            counted_until: 0,
            sent: 0,
            done: false,
        }
    }

    /// Obeys. A second, different start is what no engine could obey: it is returned.
    pub fn obey(
        &mut self,
        now: TrueTime,
        clock: &Clock,
        order: &EngineOrder,
    ) -> Result<(), String> {
        self.count(now, clock);
        match order {
            EngineOrder::Prepare => self.prepared = true,
            EngineOrder::Start(at) => match self.start {
                Some(known) if known != *at => {
                    return Err(format!("told to start at {at:?} after {known:?}"));
                }
                _ => self.start = Some(*at),
            },
            EngineOrder::Share { slots, .. } => self.slots = *slots,
            EngineOrder::Lease(until) => self.lease = *until,
            EngineOrder::Stop(_) => {
                self.stopped.get_or_insert(now);
            }
        }
        Ok(())
    }

    /// The slots it sends at this moment.
    pub fn sending(&self, now: TrueTime, clock: &Clock) -> u32 {
        let local = clock.local(now);
        let runs = self
            .start
            .is_some_and(|s| local >= s && local.since(s).as_nanos() < u128::from(self.length));
        if runs && self.prepared && self.stopped.is_none() && local < self.lease {
            self.slots
        } else {
            0
        }
    }

    /// Counts what was sent since the last time. The gate may have closed in between.
    pub fn count(&mut self, now: TrueTime, clock: &Clock) {
        if let (Some(start), None) = (self.start, self.stopped) {
            let from = clock.true_time(start).max(self.counted_until);
            let end = clock.true_time(Time(start.0.saturating_add(self.length)));
            let to = now.min(end).min(clock.true_time(self.lease));
            self.sent += u128::from(to.saturating_sub(from)) * u128::from(self.slots);
        }
        self.counted_until = now;
    }

    /// Does nothing from here on until `now`: a pause.
    pub fn skip_to(&mut self, now: TrueTime) {
        self.counted_until = now;
    }

    /// Requests sent.
    pub fn requests(&self) -> u64 {
        (self.sent / ONE_REQUEST) as u64
    }

    /// When its load is over, as far as is known.
    pub fn ends_at(&self, clock: &Clock) -> Option<TrueTime> {
        if !self.prepared || self.done {
            return None;
        }
        let planned = self
            .start
            .map(|s| clock.true_time(Time(s.0.saturating_add(self.length))));
        match (planned, self.stopped) {
            (Some(p), Some(s)) => Some(p.min(s)),
            (p, s) => p.or(s),
        }
    }

    /// Its load is over and its final snapshot has been taken.
    pub fn finish(&mut self) {
        self.done = true;
    }

    /// It measures: it has been prepared, and its final snapshot is still to come.
    pub fn measures(&self) -> bool {
        self.prepared && !self.done
    }

    /// The start of the profile on the node's clock.
    pub fn start(&self) -> Option<Time> {
        self.start
    }
}
