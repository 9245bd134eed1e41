//! Delivery of the worker's snapshots to its coordinator.

use super::state::LATE_DELIVERIES;
use super::*;

impl Worker {
    /// The engine measured. A final snapshot is delivered until it is acknowledged.
    pub fn measured(&mut self, now: Time, snapshot: Snapshot, fx: &mut Effects) {
        if snapshot.is_final {
            self.lease.return_unused();
        }
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
