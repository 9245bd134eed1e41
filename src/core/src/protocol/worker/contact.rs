//! The worker's contact with its coordinator: registration and heartbeats.

use super::super::spec::MAX_WORKERS;
use super::*;

impl Worker {
    /// A beat of a coordinator arrived. The worker registers with a new one at once, and reports
    /// its share if the lease still runs.
    pub fn follow(&mut self, now: Time, term: u64, coordinator: &NodeId, fx: &mut Effects) {
        let new = match &self.contact.coordinator {
            Some((known, _)) if term < *known => return,
            Some((known, node)) => term > *known || node != coordinator,
            None => true,
        };
        if !new || (self.leaving && self.finished) {
            return;
        }
        self.contact.coordinator = Some((term, coordinator.clone()));
        self.start.set_coordinator(*coordinator == self.me);
        self.lease.reset_orders();
        if planted(Bug::ShareDropped) {
            self.drop_share(fx);
        }
        self.register_again(now, fx);
        self.delivery.new_coordinator(now);
    }

    pub(super) fn register_again(&mut self, now: Time, fx: &mut Effects) {
        self.contact.start_registration();
        self.register(now, fx);
    }

    pub(super) fn register(&mut self, now: Time, fx: &mut Effects) {
        let Some((term, coordinator)) = &self.contact.coordinator else {
            return;
        };
        let held = self.lease.report_held();
        let runs = self.hold_mode() || now < self.lease.until || planted(Bug::ExpiredReported);
        let report = ShareReport {
            share: self.lease.share.clone(),
            held,
        };
        let runs = runs && !report.held.is_empty();
        let request = Request::Register(Register {
            test: self.test,
            term: *term,
            node: self.me.clone(),
            number: self.contact.registration,
            name: self.local.name.clone(),
            capacity: self.local.capacity,
            task_types: self.local.task_types.clone(),
            version: self.local.version.clone(),
            labels: self.local.labels.clone(),
            unable: self.unable.clone(),
            report: runs.then_some(report),
            since_start: self.start.local.map(|s| now.signed_since(s)),
            stop: self.known_stop.clone(),
            finished: self.finished,
            sent: now.into(),
        });
        fx.send(&self.me, &coordinator.peer, request);
        self.contact.stage = Stage::Registering {
            next: now + self.timings.authority_lease / 2,
        };
    }

    /// Whether a message names this registration and incarnation.
    pub(super) fn is_addressed(&self, registration: u64, incarnation: Incarnation) -> bool {
        let registration =
            registration == self.contact.registration || planted(Bug::OtherRegistrations);
        let incarnation = incarnation == self.me.incarnation || planted(Bug::IncarnationsUnnamed);
        registration && incarnation
    }

    /// The coordinator answered a registration.
    pub fn registered(&mut self, now: Time, r: &RegisterReply, fx: &mut Effects) {
        let waiting = matches!(self.contact.stage, Stage::Registering { .. });
        let addressed = self.is_addressed(r.number, r.incarnation);
        if !waiting || !addressed || !self.contact.is_current_term(r.term) {
            return;
        }
        if !r.accepted {
            self.drop_share(fx);
            self.contact.stage = match self.unable {
                Some(_) => Stage::NoCoordinator,
                None => Stage::Registering {
                    next: now + self.timings.authority_lease * 2,
                },
            };
            return;
        }
        self.lease.order_floor = r.order_floor;
        // Orders of earlier registrations are not known to this one.
        self.lease.applied = 0;
        let (least, most) = (
            self.timings.beat_interval(),
            self.timings.heartbeat_interval(MAX_WORKERS),
        );
        self.contact.interval = r.heartbeat_interval.clamp(least, most);
        if !r.honoured {
            self.drop_share(fx);
        }
        self.send_heartbeat(now, fx);
    }

    pub(super) fn send_heartbeat(&mut self, now: Time, fx: &mut Effects) {
        let Some((term, coordinator)) = self.contact.coordinator.clone() else {
            return;
        };
        let number = self.contact.start_heartbeat(now);
        self.lease.report_returned(number);
        // It leaves once the engine acts on nothing any more.
        let status = match self.leaving {
            true if self.lease.held().is_empty() || planted(Bug::LeavesWhileSending) => {
                Status::Leaving
            }
            true => Status::Draining,
            false if self.draining => Status::Draining,
            false if self.lease.share.is_empty() => Status::Idle,
            _ if self.overloaded => Status::Overloaded,
            _ => Status::Running,
        };
        let request = Request::Heartbeat(Heartbeat {
            test: self.test,
            term,
            node: self.me.clone(),
            registration: self.contact.registration,
            number,
            answered: self.contact.answered,
            applied: self.lease.applied,
            held: self.lease.reported_held(),
            handled_until: self.lease.handled_until(),
            since_start: self.start.local.map(|s| now.signed_since(s)),
            unused: self.lease.unused(),
            returned: self.lease.returned().clone(),
            load: self.in_flight,
            status,
            finished: self.finished,
            stop: self.known_stop.clone(),
            idle: self.lease.is_idle() && !self.hold_mode(),
            log_len: self.log.len() as u32,
            sent: now.into(),
        });
        fx.send(&self.me, &coordinator.peer, request);
        self.contact.stage = Stage::Registered {
            next: now + self.contact.interval,
        };
    }

    /// The coordinator answered a heartbeat.
    pub fn heartbeat_answered(&mut self, now: Time, r: &HeartbeatReply, fx: &mut Effects) {
        if !self.accepts(r.registration, r.incarnation, r.term) {
            return;
        }
        let Some(sent) = self.contact.sent_at(r.number) else {
            return;
        };
        let coordinator = self.contact.coordinator.as_ref();
        let remote = coordinator.is_some_and(|(_, c)| *c != self.me);
        // A slower exchange (one of the nodes was suspended) is too inaccurate to start by.
        if remote && now.since(sent) <= self.timings.authority_lease {
            self.start.clock.add(sent, r.clock, now);
        }
        self.lease.confirm_returned(r.number);
        let first = self.contact.answered == 0;
        let is_newest = r.number > self.contact.answered;
        self.contact.answered = self.contact.answered.max(r.number);
        if r.register_again {
            if !self.hold_mode() {
                self.drop_share(fx);
            }
            self.register_again(now, fx);
            return;
        }
        self.update_log(&r.log, fx);
        if let Some(lease) = r.lease {
            let longest = self.timings.share_lease(MAX_WORKERS);
            let lease = match planted(Bug::LeaseUnbounded) {
                true => lease,
                false => lease.min(longest),
            };
            let from = if planted(Bug::LeaseFromReceipt) {
                now
            } else {
                sent
            };
            let until = from + for_holder(lease);
            if until > self.lease.until {
                self.lease.until = until;
                self.send_deadline(fx);
            }
        }
        if let Some(order) = &r.order {
            self.apply(now, order, r.allocation, fx);
        }
        if let Some(grant) = &r.numbers
            && is_newest
            && let Some(added) = self.lease.grant_numbers(grant)
        {
            let last = grant.last;
            fx.engine(self.test, EngineOrder::Numbers { added, last });
        }
        self.start.measure(now);
        if first {
            // The coordinator waits for this confirmation before it assigns any share.
            self.send_heartbeat(now, fx);
        }
    }

    /// Whether an answer or order is for the current registration.
    pub(super) fn accepts(&self, registration: u64, incarnation: Incarnation, term: u64) -> bool {
        matches!(self.contact.stage, Stage::Registered { .. })
            && self.is_addressed(registration, incarnation)
            && self.contact.is_current_term(term)
            && !self.leaving
    }
}
