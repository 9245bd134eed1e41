//! Registration of workers, their heartbeats, and their loss.

use super::super::spec::MAX_WORKERS;
use super::*;

impl Coordinator {
    /// Handles a registration. Must be called only under authority.
    pub fn register(&mut self, now: Time, r: &Register, fx: &mut Effects) -> RegisterReply {
        let refusal = self.refuse_registration(r);
        let mut reply = RegisterReply {
            test: r.test,
            term: self.init.term,
            incarnation: r.node.incarnation,
            number: r.number,
            accepted: refusal.is_none(),
            message: refusal.unwrap_or_default(),
            heartbeat_interval: self.timings.heartbeat_interval(self.active_count + 1),
            metrics_interval: self.timings.metrics_interval(self.active_count + 1),
            order_floor: self.last_order,
            honoured: false,
            clock: clock_reply(now),
        };
        if !reply.accepted {
            return reply;
        }
        if let Some(m) = self.workers.get(&r.node)
            && m.registration == r.number
        {
            reply.honoured = m.honoured;
            reply.order_floor = m.order_floor;
            reply.accepted = m.unable.is_none();
            reply.message = m.unable.clone().unwrap_or_default();
            return reply;
        }
        // In the first term nobody knows a start before the coordinator chooses it.
        let may_know = self.init.term > 1 || self.start.is_some();
        if let Some(since) = r.since_start.filter(|_| may_know)
            && !planted(Bug::StartForgotten)
        {
            // Delays make a start appear later than it was, so the earliest value is the most
            // accurate.
            let start = now.shifted(since.saturating_neg());
            let tolerance = self.timings.authority_lease.as_nanos() as u64;
            let far = |known: Time| known.signed_since(start).unsigned_abs() > tolerance;
            if !self.start.is_some_and(far) {
                self.start = Some(self.start.map_or(start, |s| s.min(start)));
                self.event_log.start_known(now, start);
                self.state = self.state.max(TestState::Running);
            }
        }
        self.needs_tick = true;
        self.supersede(now, &r.node, fx);
        let honoured = r
            .report
            .as_ref()
            .filter(|report| self.accepts_report(now, &r.node, report));
        reply.honoured = honoured.is_some();
        self.add_worker(now, r, honoured.cloned(), fx);
        if let Some(m) = self.workers.get(&r.node)
            && let Some(reason) = &m.unable
        {
            reply.accepted = false;
            reply.message = reason.clone();
        }
        reply
    }

    pub(super) fn refuse_registration(&self, r: &Register) -> Option<String> {
        if r.term != self.init.term {
            return Some(format!("this is term {}", self.init.term));
        }
        let newer = self
            .workers
            .range(newest_of(&r.node))
            .next()
            .is_some_and(|(n, _)| n.peer == r.node.peer && n.incarnation > r.node.incarnation);
        if newer {
            return Some("a newer incarnation of this node has registered".into());
        }
        match self.workers.get(&r.node) {
            Some(m) if r.number < m.registration => Some("an older registration".into()),
            None if self.workers.len() >= MAX_WORKERS => {
                Some(format!("a test has at most {MAX_WORKERS} workers"))
            }
            _ => None,
        }
    }

    /// A report is honoured once per incarnation and term, while unreported slots are kept free,
    /// and only if none of its slots is reserved for another worker.
    pub(super) fn accepts_report(&self, now: Time, node: &NodeId, report: &ShareReport) -> bool {
        let member = self.workers.get(node);
        let slots = report.held.union(&report.share);
        let own = member.map_or(Slots::EMPTY, |m| m.ledger.reserved_without_expiry());
        if self.hold_mode() && member.is_some() && own.contains_all(&slots) {
            return true;
        }
        let first = !member.is_some_and(|m| m.reported) || planted(Bug::ReportedTwice);
        let open = now < self.reports_until || planted(Bug::ReportedLate);
        let in_time = self.init.term > 1 && (open || self.hold_mode());
        first && in_time && slots.within_whole() && self.reserved(now).is_disjoint(&slots)
    }

    /// Ignores older incarnations of a node from now on; their shares stay reserved.
    pub(super) fn supersede(&mut self, now: Time, newer: &NodeId, fx: &mut Effects) {
        let older: Vec<NodeId> = self
            .workers
            .iter()
            .filter(|(n, m)| n.peer == newer.peer && n.incarnation < newer.incarnation && m.active)
            .map(|(n, _)| n.clone())
            .collect();
        for node in older {
            self.mark_lost(now, &node, "restarted".into(), fx);
            if planted(Bug::RestartFreesShare)
                && let Some(m) = self.workers.get_mut(&node)
            {
                m.ledger.release();
            }
        }
    }

    pub(super) fn add_worker(
        &mut self,
        now: Time,
        r: &Register,
        honoured: Option<ShareReport>,
        fx: &mut Effects,
    ) {
        let unable = r
            .unable
            .clone()
            .or_else(|| self.init.spec.exclusion(&r.task_types, &r.labels));
        let lease = self.timings.share_lease;
        // Under `hold` the share of a lost worker was not reassigned: a worker that registers again
        // keeps the share that it reports, and orders of earlier registrations no longer count.
        let keeps = self.hold_mode();
        let joined = self.state >= TestState::Running;
        let known = self.workers.contains_key(&r.node);
        let m = self
            .workers
            .entry(r.node.clone())
            .or_insert_with(|| WorkerEntry {
                name: r.name.clone(),
                capacity: r.capacity,
                registration: 0,
                registered_at: now,
                order_floor: 0,
                honoured: false,
                reported: false,
                unable: None,
                active: false,
                last_heartbeat: 0,
                status: Status::Unknown,
                finished: false,
                had_share: false,
                weight: 1_000,
                overloaded: false,
                next_reduction: now,
                ledger: Ledger::default(),
                last_snapshot: None,
                lost_at: None,
                leased_until: Duration::ZERO,
            });
        if m.ledger.lease_until() > now {
            let lease = (m.ledger.lease_until(), m.leased_until);
            self.earlier_leases.push(lease);
        }
        m.registration = r.number;
        m.registered_at = now;
        m.order_floor = self.last_order;
        m.honoured = honoured.is_some();
        m.reported |= honoured.is_some();
        m.had_share |= honoured.is_some() || r.finished;
        m.capacity = r.capacity;
        m.last_heartbeat = 0;
        m.finished = r.finished;
        m.active = unable.is_none();
        if keeps {
            m.ledger.release();
        }
        let refused = unable.as_ref().map(|why| format!("{}: {why}", r.name));
        let text = refused.unwrap_or_else(|| match &honoured {
            None => format!("{}, capacity {}", r.name, r.capacity),
            Some(h) => format!("{}, keeps {:.1} %", r.name, percent(&h.share)),
        });
        let kept = honoured.is_some();
        m.ledger.register(now, lease, honoured);
        m.unable = unable.clone();
        let kind = match (&unable, joined, known) {
            (Some(_), _, _) => EventKind::Refused,
            (None, true, false) if !kept => EventKind::Joined,
            (None, _, true) => EventKind::Rejoined,
            _ => EventKind::Registered,
        };
        self.count_active();
        self.event(now, kind, Some(&r.node), text, fx);
    }

    /// Handles a heartbeat. Must be called only under authority. `None` means no answer.
    pub fn heartbeat(
        &mut self,
        now: Time,
        hb: &Heartbeat,
        fx: &mut Effects,
    ) -> Option<HeartbeatReply> {
        let renews = self
            .log
            .may_renew(self.since_start(now).unwrap_or_default());
        if hb.term != self.init.term || !renews {
            return None;
        }
        let workers = self.active_count;
        let lease = self.grantable_lease();
        let within = self.timings.confirm_within(workers);
        let mut reply = HeartbeatReply {
            test: hb.test,
            term: self.init.term,
            incarnation: hb.node.incarnation,
            registration: hb.registration,
            number: hb.number,
            lease: None,
            register_again: false,
            message: String::new(),
            order: None,
            allocation: self.allocations.newest().map(|(name, _)| *name),
            numbers: None,
            stop: self.stop.as_ref().map(|(s, _)| s.clone()),
            log: match self.log.committed() {
                committed if committed.len() > hb.log_len as usize => committed.to_vec(),
                _ => Vec::new(),
            },
            clock: clock_reply(now),
        };
        if self.lease_expired(now, &hb.node) {
            self.mark_lost(now, &hb.node, LEASE_EXPIRED.into(), fx);
        }
        let known = self
            .workers
            .get_mut(&hb.node)
            .filter(|m| m.registration == hb.registration && m.active);
        let Some(m) = known else {
            reply.register_again = true;
            reply.message = "not registered, or lost since".into();
            return Some(reply);
        };
        if hb.number <= m.last_heartbeat && !planted(Bug::OldHeartbeats) {
            return None;
        }
        m.last_heartbeat = hb.number;
        let changed = m.ledger.confirm(Confirmation {
            answered: hb.answered,
            applied: hb.applied,
            held: &hb.held,
        });
        let since = self.start.map(|s| now.since(s)).unwrap_or_default();
        let latest = since + for_waiter(lease);
        self.floor = self.floor.max(hb.handled_until.min(latest));
        self.needs_tick |= changed || m.status != hb.status || m.finished != hb.finished;
        m.status = hb.status;
        m.finished |= hb.finished;
        if hb.status == Status::Leaving && !planted(Bug::LeavesSilently) {
            m.ledger.release();
            m.active = false;
            let name = m.name.clone();
            self.count_active();
            self.report_numbers(now, hb, true);
            self.event(
                now,
                EventKind::Left,
                Some(&hb.node),
                format!("{name} left and returned its share"),
                fx,
            );
            return Some(reply);
        }
        if m.ledger.may_renew(now, within) {
            m.ledger.renew(now, hb.number, lease);
            let sent = hb.since_start.unwrap_or_default().max(0).unsigned_abs();
            let end = (Duration::from_nanos(sent) + for_holder(lease)).min(latest + lease);
            m.leased_until = m.leased_until.max(end);
            self.leased_until = self.leased_until.max(end);
            reply.lease = Some(lease);
        } else {
            reply.message = "answers do not reach the worker".into();
        }
        reply.order = m.ledger.order().filter(|o| o.number > 0).cloned();
        reply.numbers = self.report_numbers(now, hb, hb.finished);
        if hb.status == Status::Overloaded {
            self.reduce_share(now, &hb.node, fx);
        }
        Some(reply)
    }

    /// Share lease that may be granted: longer than the basic one only after a majority of electors
    /// has acknowledged a beat that announced it.
    pub(super) fn grantable_lease(&self) -> Duration {
        self.target_share_lease()
            .min(match self.acknowledged.share_lease {
                _ if planted(Bug::StretchUnacknowledged) => Duration::MAX,
                known => known.max(self.timings.share_lease),
            })
    }

    pub(super) fn mark_lost(&mut self, now: Time, node: &NodeId, why: String, fx: &mut Effects) {
        let at = self.since_start(now);
        let Some(m) = self.workers.get_mut(node) else {
            return;
        };
        m.active = false;
        if let Some(pool) = &mut self.numbers {
            pool.lost(node);
        }
        if m.had_share && !m.delivered() {
            m.lost_at = m.lost_at.or(at);
            if self.init.spec.on_lost == OnLost::Fail && !planted(Bug::FailContinues) {
                self.failure
                    .get_or_insert(format!("worker {} was lost ({why})", m.name));
            }
        }
        let text = format!("{}: {why}", m.name);
        self.count_active();
        self.event(now, EventKind::Lost, Some(node), text, fx);
    }

    /// Counts the active workers, after a change.
    pub(super) fn count_active(&mut self) {
        self.active_count = self.active().count();
    }

    /// Slots of expired leases become free without a statement of their holders. A holder sends
    /// nothing after the end of its lease, by its own clock, which may be ahead of this one.
    pub(super) fn raise_floor(&mut self, now: Time) {
        let leases = self.workers.values();
        let leases = leases.map(|m| (m.ledger.lease_until(), m.leased_until));
        let expired = leases.chain(self.earlier_leases.iter().copied());
        let expired = expired.filter(|(until, _)| now >= *until);
        let latest = expired.map(|(_, end)| end).max().unwrap_or_default();
        self.floor = self.floor.max(latest);
        self.earlier_leases.retain(|(until, _)| now < *until);
    }

    /// Whether the wait for reports of an earlier term ends now: a worker that had load in it and
    /// has not registered is lost. Returns `true` once.
    pub fn report_deadline_passed(&mut self, now: Time) -> bool {
        let passed = now >= self.reports_until && self.init.term > 1;
        passed && !std::mem::replace(&mut self.missing_declared, true)
    }

    /// Whether a worker has registered in this term.
    pub fn has_worker(&self, worker: &NodeId) -> bool {
        self.workers.contains_key(worker)
    }

    /// A worker of an earlier term with this name has not registered: it is lost.
    pub fn mark_missing(&mut self, now: Time, node: &NodeId, name: &str, fx: &mut Effects) {
        let why = "it did not register with the new coordinator";
        if self.init.spec.on_lost == OnLost::Fail && !planted(Bug::FailContinues) {
            self.needs_tick = true;
            self.failure
                .get_or_insert(format!("worker {name} was lost ({why})"));
        }
        self.event(
            now,
            EventKind::Lost,
            Some(node),
            format!("{name}: {why}"),
            fx,
        );
    }

    /// Marks workers as lost whose lease has certainly expired.
    pub(super) fn expire_leases(&mut self, now: Time, fx: &mut Effects) {
        let expired: Vec<NodeId> = self
            .active()
            .filter(|(n, _)| self.lease_expired(now, n))
            .map(|(n, _)| n.clone())
            .collect();
        for node in expired {
            self.mark_lost(now, &node, LEASE_EXPIRED.into(), fx);
        }
    }

    pub(super) fn lease_expired(&self, now: Time, node: &NodeId) -> bool {
        let first_contact = for_waiter(self.timings.share_lease);
        self.workers.get(node).is_some_and(|m| {
            m.active && now >= m.ledger.lease_until().max(m.registered_at + first_contact)
        })
    }
}
