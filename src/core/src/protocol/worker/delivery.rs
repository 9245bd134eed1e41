//! Delivery of the worker's snapshots to its coordinator.

use super::*;

/// Deliveries of a final snapshot after the end, unless its coordinator appears again: 20 s at two
/// per second, longer than a test without a coordinator lasts.
const LATE_DELIVERIES: u32 = 40;

/// The last snapshot, and its delivery.
#[derive(Debug)]
pub(super) struct Delivery {
    last: Option<Snapshot>,
    /// Newest snapshot that the coordinator has acknowledged.
    acknowledged: Option<u64>,
    /// Time of the next delivery.
    pub(super) next: Time,
    /// Deliveries left once the test has ended on this node.
    left: Option<u32>,
}

impl Default for Delivery {
    fn default() -> Delivery {
        Delivery {
            last: None,
            acknowledged: None,
            next: Time::MAX,
            left: None,
        }
    }
}

impl Delivery {
    /// A final snapshot is delivered again to a new coordinator.
    pub(super) fn new_coordinator(&mut self, now: Time) {
        if self.last.as_ref().is_some_and(|s| s.is_final) {
            self.acknowledged = None;
            self.next = now;
        }
    }

    /// The test has ended.
    pub(super) fn end(&mut self) {
        self.left = Some(LATE_DELIVERIES);
        if !self.final_is_missing() {
            self.next = Time::MAX;
        }
    }

    /// Whether the coordinator has not acknowledged the final snapshot.
    fn final_is_missing(&self) -> bool {
        let unacknowledged = |s: &Snapshot| s.is_final && Some(s.number) > self.acknowledged;
        self.last.as_ref().is_some_and(unacknowledged)
    }

    /// Whether another delivery is allowed; counts it.
    fn take_attempt(&mut self) -> bool {
        match &mut self.left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

impl Worker {
    /// The engine measured. A final snapshot is delivered until it is acknowledged.
    pub fn measured(&mut self, now: Time, snapshot: Snapshot, fx: &mut Effects) {
        self.finished |= snapshot.is_final;
        let is_final = snapshot.is_final;
        self.in_flight = in_flight(&snapshot);
        self.delivery.last = Some(snapshot);
        self.deliver(now, fx);
        if is_final && matches!(self.contact.stage, Stage::Registered { .. }) {
            self.send_heartbeat(now, fx);
        }
        if !is_final {
            self.delivery.next = Time::MAX;
        }
    }

    pub(super) fn deliver(&mut self, now: Time, fx: &mut Effects) {
        if !self.delivery.take_attempt() {
            self.delivery.next = Time::MAX;
            return;
        }
        if let (Some(snapshot), Some((_, coordinator))) =
            (&self.delivery.last, &self.contact.coordinator)
            && *coordinator != self.me
        {
            let request = Request::Metrics(snapshot.clone());
            fx.send(&self.me, &coordinator.peer, request);
            self.delivery.next = now + self.timings.authority_lease / 2;
        } else {
            self.delivery.next = Time::MAX;
        }
    }

    /// The coordinator has acknowledged a snapshot.
    pub fn delivered(&mut self, number: u64) {
        let delivery = &mut self.delivery;
        delivery.acknowledged = delivery.acknowledged.max(Some(number));
        let last = delivery.last.as_ref();
        if last.is_some_and(|s| Some(s.number) <= delivery.acknowledged) {
            delivery.next = Time::MAX;
        }
    }

    /// This coordinator ended the test: a final snapshot that it lacks is delivered to it.
    pub fn report_to(&mut self, now: Time, term: u64, coordinator: &NodeId) {
        let known = self.contact.coordinator.as_ref();
        if known.is_none_or(|(_, c)| c != coordinator) {
            self.delivery.acknowledged = None;
        }
        self.contact.coordinator = Some((term, coordinator.clone()));
        self.delivery.left = Some(LATE_DELIVERIES);
        if self.delivery.final_is_missing() {
            self.delivery.next = now;
        }
    }
}

fn in_flight(snapshot: &Snapshot) -> u32 {
    let steps = snapshot.pieces.iter().filter_map(|p| match p {
        Piece::Counters(steps) => Some(steps),
        Piece::Histogram { .. } => None,
    });
    let sum: u64 = steps.flatten().map(|s| s.counters.in_flight).sum();
    u32::try_from(sum).unwrap_or(u32::MAX)
}
