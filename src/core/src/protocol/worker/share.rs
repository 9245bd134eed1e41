//! The worker's share: its lease, the orders that change it, and the start of the profile.

use super::*;

impl Worker {
    /// Time at which this worker must drop its share, unless the lease is renewed.
    pub(super) fn expiry(&self) -> Time {
        let expired = planted(Bug::ExpiredReported) && self.lease.until == Time::ZERO;
        if self.lease.share.slots > 0 && !self.hold_mode() && !expired {
            self.lease.until
        } else {
            Time::MAX
        }
    }

    pub(super) fn drop_share(&mut self, fx: &mut Effects) {
        if self.lease.share.slots > 0 {
            self.lease.share.slots = 0;
            self.send_share(fx);
        }
    }

    fn send_share(&self, fx: &mut Effects) {
        let ShareReport { slots, offset } = self.lease.share;
        fx.engine(self.test, EngineOrder::Share { slots, offset });
    }

    /// Sends the engine its deadline: the lease, or none under `hold` once the profile runs.
    pub(super) fn send_deadline(&mut self, fx: &mut Effects) {
        let until = if self.hold_mode() {
            Time::MAX
        } else {
            self.lease.until
        };
        fx.engine(self.test, EngineOrder::Lease(until));
    }

    /// A share was pushed. It does not renew the lease; only answers to heartbeats do.
    pub fn assigned(&mut self, now: Time, a: &Assign, fx: &mut Effects) -> AssignReply {
        let refusal = if a.digest != self.digest {
            Some("another plan")
        } else if !self.accepts(a.registration, a.incarnation, a.term) {
            Some("not of this registration")
        } else {
            self.apply(now, a.order, fx);
            None
        };
        let total =
            a.description.target_rate_milli as f64 / 1000.0 * a.description.duration.as_secs_f64();
        AssignReply {
            test: self.test,
            accepted: refusal.is_none(),
            message: refusal.unwrap_or_default().into(),
            estimated_tasks: total as u64,
        }
    }

    pub(super) fn apply(&mut self, now: Time, order: Order, fx: &mut Effects) {
        // Without the setup's values nothing can be sent; the order is repeated.
        let waits = self.spec.setup.is_some() && setup_values(&self.log).is_none();
        if self.lease.is_old(order.number) || order.slots > SLOTS || waits {
            return;
        }
        if let Some(remote) = order.start {
            self.start.remote = Some(remote);
            if self.start.local.is_none() {
                let Some(at) = self.start.clock.to_local(remote) else {
                    return;
                };
                self.start.set(now, at);
                fx.engine(self.test, EngineOrder::Start(at));
            }
        }
        self.lease.applied = order.number;
        self.lease.share = ShareReport {
            slots: order.slots,
            offset: order.offset,
        };
        self.send_share(fx);
        self.send_deadline(fx);
        self.start.measure(now);
        self.send_heartbeat(now, fx);
    }
}
