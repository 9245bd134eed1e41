//! The worker's share: its lease, the orders that change it, and the start of the profile.

use super::*;

impl Worker {
    /// Time at which this worker must drop its share, unless the lease is renewed.
    pub(super) fn expiry(&self) -> Time {
        let expired = planted(Bug::ExpiredReported) && self.lease.until == Time::ZERO;
        let holds = !self.lease.share.is_empty() || !self.lease.held().is_empty();
        if holds && !self.lapsed && !self.hold_mode() && !expired {
            self.lease.until
        } else {
            Time::MAX
        }
    }

    pub(super) fn drop_share(&mut self, fx: &mut Effects) {
        self.lease.waiting = None;
        if !self.lease.share.is_empty() {
            self.set_share(Slots::EMPTY, Duration::ZERO, fx);
        }
    }

    fn set_share(&mut self, slots: Slots, floor: Duration, fx: &mut Effects) {
        let change = self.lease.set_share(slots.clone());
        let order = EngineOrder::Share {
            change,
            slots,
            floor,
        };
        fx.engine(self.test, order);
    }

    /// The engine reported what it acts on after a change of the share.
    pub fn engine_held(&mut self, now: Time, held: EngineHeld, fx: &mut Effects) {
        if self.lease.engine_held(held) {
            self.contact.heartbeat_soon(now);
        }
        // Under hold a worker keeps what it was granted.
        let keeps = self.hold_mode() && !self.lease.held().is_empty();
        if self.lease.has_idle_numbers() && !keeps {
            fx.engine(self.test, EngineOrder::ReturnNumbers);
        }
    }

    /// All slots that this node may act on.
    pub fn held(&self) -> Slots {
        self.lease.held()
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
            if let Some(list) = &a.list {
                self.check_list(list, a.allocation, fx);
            }
            self.apply(now, &a.order, Some(a.allocation), fx);
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

    /// Acts on an order. Slots that it takes away are given up at once; new slots are acted on only
    /// once this worker has checked that the allocation gives them to no other worker.
    pub(super) fn apply(
        &mut self,
        now: Time,
        order: &Order,
        allocation: Option<AllocationName>,
        fx: &mut Effects,
    ) {
        // Without the setup's values nothing can be sent; the order is repeated.
        let waits = self.spec.setup.is_some() && setup_values(&self.log).is_none();
        if self.lease.is_old(order.number) || !order.share.within_whole() || waits {
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
        let grows = !self.lease.share.contains_all(&order.share);
        if grows && !self.lease.is_checked(&self.me, order) {
            let kept = self.lease.share.intersection(&order.share);
            if kept != self.lease.share {
                self.set_share(kept, Duration::ZERO, fx);
                self.contact.heartbeat_soon(now);
            }
            self.lease.waiting = Some(order.clone());
            self.fetch_allocation(allocation, fx);
            return;
        }
        self.lease.waiting = None;
        self.lease.applied = order.number;
        if self.lease.share != order.share {
            self.set_share(order.share.clone(), order.floor, fx);
        }
        self.lapsed = false;
        self.send_deadline(fx);
        self.start.measure(now);
        self.send_heartbeat(now, fx);
    }

    fn fetch_allocation(&mut self, allocation: Option<AllocationName>, fx: &mut Effects) {
        let (Some(name), Some((_, coordinator))) = (allocation, &self.contact.coordinator) else {
            return;
        };
        self.lease.requested = Some(name.digest);
        let request = Request::FetchAllocation {
            test: self.test,
            digest: Some(name.digest),
        };
        fx.send(&self.me, &coordinator.peer, request);
    }

    /// The list of an allocation arrived.
    pub fn allocation_arrived(
        &mut self,
        now: Time,
        list: Option<&Arc<Allocation>>,
        fx: &mut Effects,
    ) {
        let (Some(list), Some(digest)) = (list, self.lease.requested) else {
            return;
        };
        let name = AllocationName {
            number: list.number,
            digest,
        };
        self.check_list(list, name, fx);
        if let Some(order) = self.lease.waiting.clone()
            && self.lease.is_checked(&self.me, &order)
        {
            self.apply(now, &order, None, fx);
        }
    }

    /// Keeps the list of an allocation if it is that of its name, of this coordinator, and grants no
    /// slot twice.
    pub(super) fn check_list(
        &mut self,
        list: &Arc<Allocation>,
        name: AllocationName,
        fx: &mut Effects,
    ) {
        let newer = self
            .lease
            .list
            .as_ref()
            .is_none_or(|l| l.number < list.number);
        let of_coordinator = self
            .contact
            .coordinator
            .as_ref()
            .is_some_and(|(term, node)| {
                (list.term, &list.coordinator, list.test) == (*term, node, self.test)
            });
        if !newer || !of_coordinator || list.name() != name {
            return;
        }
        match list.check() {
            Ok(()) => self.lease.list = Some(list.clone()),
            Err(why) => fx.outputs.push(Output::Log(format!(
                "allocation {} of test {} is not acted on: {why}",
                list.number, self.test
            ))),
        }
    }
}
