//! Taking workers on, and answering their heartbeats.

use super::*;

impl Coordinator {
    /// A worker offers itself. Called only under authority.
    pub fn register(&mut self, now: Time, r: &Register, fx: &mut Effects) -> RegisterReply {
        let refusal = self.refuse_registration(r);
        let mut reply = RegisterReply {
            test: r.test,
            term: self.charge.term,
            incarnation: r.node.incarnation,
            number: r.number,
            accepted: refusal.is_none(),
            message: refusal.unwrap_or_default(),
            heartbeat_interval: self.timings.heartbeat_interval(self.active().count() + 1),
            metrics_interval: self.timings.metrics_interval(self.active().count() + 1),
            order_floor: self.last_order,
            honoured: None,
            clock: clock_reply(now),
        };
        if !reply.accepted {
            return reply;
        }
        if let Some(m) = self.members.get(&r.node)
            && m.registration == r.number
        {
            reply.honoured = m.honoured;
            reply.order_floor = m.order_floor;
            reply.accepted = m.unable.is_none();
            reply.message = m.unable.clone().unwrap_or_default();
            return reply;
        }
        if let Some(stop) = r.stop {
            self.stop(now, stop, fx);
        }
        if let Some(since) = r.since_start
            && !planted(Bug::StartForgotten)
        {
            // Delays make a start look later than it was: the earliest is the truest.
            let start = now.shifted(since.saturating_neg());
            self.start = Some(self.start.map_or(start, |s| s.min(start)));
            self.chronicle.start_known(now, start);
            self.phase = self.phase.max(TestState::Running);
        }
        self.pressing = true;
        self.supersede(now, &r.node, fx);
        let honoured = r.report.filter(|report| self.honours(now, &r.node, report));
        self.enter(now, r, honoured, fx);
        reply.honoured = honoured;
        if let Some(m) = self.members.get(&r.node)
            && let Some(reason) = &m.unable
        {
            reply.accepted = false;
            reply.message = reason.clone();
        }
        reply
    }

    pub(super) fn refuse_registration(&self, r: &Register) -> Option<String> {
        if r.term != self.charge.term {
            return Some(format!("this is term {}", self.charge.term));
        }
        let newer = self
            .members
            .range(newest_of(&r.node))
            .next()
            .is_some_and(|(n, _)| n.peer == r.node.peer && n.incarnation > r.node.incarnation);
        if newer {
            return Some("a newer incarnation of this node has registered".into());
        }
        match self.members.get(&r.node) {
            Some(m) if r.number < m.registration => Some("an older registration".into()),
            None if self.members.len() >= MAX_WORKERS => {
                Some(format!("a test has at most {MAX_WORKERS} workers"))
            }
            _ => None,
        }
    }

    /// A report is honoured once per incarnation and term, while unreported slots are kept
    /// back, and only if it fits with what else is reserved.
    pub(super) fn honours(&self, now: Time, node: &NodeId, report: &ShareReport) -> bool {
        let member = self.members.get(node);
        if self.holds() && member.is_some_and(|m| report.slots <= m.ledger.held_for_ever()) {
            return true;
        }
        let once = !member.is_some_and(|m| m.reported) || planted(Bug::ReportedTwice);
        let open = now < self.accounts_close || planted(Bug::ReportedLate);
        let in_time = self.charge.term > 1 && (open || self.holds());
        once && in_time && self.reserved(now) + report.slots <= SLOTS
    }

    /// Older incarnations of a node are heard no more; their shares stay reserved.
    pub(super) fn supersede(&mut self, now: Time, newer: &NodeId, fx: &mut Effects) {
        let older: Vec<NodeId> = self
            .members
            .iter()
            .filter(|(n, m)| n.peer == newer.peer && n.incarnation < newer.incarnation && m.active)
            .map(|(n, _)| n.clone())
            .collect();
        for node in older {
            self.lose(now, &node, "restarted".into(), fx);
            if planted(Bug::RestartFreesShare)
                && let Some(m) = self.members.get_mut(&node)
            {
                m.ledger.give_back();
            }
        }
    }

    pub(super) fn enter(
        &mut self,
        now: Time,
        r: &Register,
        honoured: Option<ShareReport>,
        fx: &mut Effects,
    ) {
        let unable = r
            .unable
            .clone()
            .or_else(|| self.charge.spec.unfit(&r.task_types, &r.labels));
        let lease = self.timings.share_lease;
        // Under `hold` nobody took the share of a worker that comes back: it carries on with
        // what it says that it has, and no order of an earlier registration counts any more.
        let keeps = self.holds();
        let joined = self.phase >= TestState::Running;
        let known = self.members.contains_key(&r.node);
        let m = self
            .members
            .entry(r.node.clone())
            .or_insert_with(|| Member {
                name: r.name.clone(),
                capacity: r.capacity,
                registration: 0,
                registered_at: now,
                order_floor: 0,
                honoured: None,
                reported: false,
                unable: None,
                active: false,
                last_heartbeat: 0,
                status: Status::Unknown,
                finished: false,
                had_share: false,
                relief: 1_000,
                overloaded: false,
                next_relief: now,
                ledger: Ledger::default(),
                last_snapshot: None,
                lost_at: None,
            });
        m.registration = r.number;
        m.registered_at = now;
        m.order_floor = self.last_order;
        m.honoured = honoured;
        m.reported |= honoured.is_some();
        m.had_share |= honoured.is_some() || r.finished;
        m.capacity = r.capacity;
        m.last_heartbeat = 0;
        m.finished = r.finished;
        m.active = unable.is_none();
        if keeps {
            m.ledger.give_back();
        }
        m.ledger.register(now, lease, honoured);
        let refused = unable.as_ref().map(|why| format!("{}: {why}", r.name));
        let text = refused.unwrap_or_else(|| {
            honoured.map_or_else(
                || format!("{}, capacity {}", r.name, r.capacity),
                |h| format!("{}, carries on {:.1} %", r.name, percent(h.slots)),
            )
        });
        m.unable = unable.clone();
        let kind = match (&unable, joined, known) {
            (Some(_), _, _) => "refused",
            (None, true, false) if honoured.is_none() => "joined",
            (None, _, true) => "returned",
            _ => "registered",
        };
        self.event(now, kind, Some(&r.node), text, fx);
    }

    /// A worker asks for renewal. Called only under authority; `None` is no answer.
    pub fn heartbeat(
        &mut self,
        now: Time,
        hb: &Heartbeat,
        fx: &mut Effects,
    ) -> Option<HeartbeatReply> {
        let renews = self
            .decisions
            .renews(self.since_start(now).unwrap_or_default());
        if hb.term != self.charge.term || !renews {
            return None;
        }
        let workers = self.active().count();
        let lease = self.granted();
        let within = self.timings.confirm_within(workers);
        let mut reply = HeartbeatReply {
            test: hb.test,
            term: self.charge.term,
            incarnation: hb.node.incarnation,
            registration: hb.registration,
            number: hb.number,
            lease: None,
            register_again: false,
            message: String::new(),
            order: None,
            stop: self.stop.map(|(s, _)| s),
            decisions: match self.decisions.settled() {
                settled if settled.len() > hb.decisions as usize => settled.to_vec(),
                _ => Vec::new(),
            },
            clock: clock_reply(now),
        };
        if self.silent(now, &hb.node) {
            self.lose(now, &hb.node, LAPSED.into(), fx);
        }
        let known = self
            .members
            .get_mut(&hb.node)
            .filter(|m| m.registration == hb.registration && m.active);
        let Some(m) = known else {
            reply.register_again = true;
            reply.message = "not registered, or lost meanwhile".into();
            return Some(reply);
        };
        if hb.number <= m.last_heartbeat && !planted(Bug::OldHeartbeats) {
            return None;
        }
        m.last_heartbeat = hb.number;
        let news = m.ledger.acknowledge(hb.answered, hb.applied);
        self.pressing |= news || m.status != hb.status || m.finished != hb.finished;
        m.status = hb.status;
        m.finished |= hb.finished;
        if hb.status == Status::Leaving && !planted(Bug::LeavesSilently) {
            m.ledger.give_back();
            m.active = false;
            let name = m.name.clone();
            self.event(
                now,
                "left",
                Some(&hb.node),
                format!("{name} left and gave its share back"),
                fx,
            );
            return Some(reply);
        }
        if m.ledger.may_renew(now, within) {
            m.ledger.renew(now, hb.number, lease);
            reply.lease = Some(lease);
        } else {
            reply.message = "answers do not arrive".into();
        }
        reply.order = m.ledger.order().filter(|o| o.number > 0);
        if hb.status == Status::Overloaded {
            self.relieve(now, &hb.node, fx);
        }
        Some(reply)
    }

    /// The lease that may be granted: a longer one than the basic only after a majority
    /// of electors acknowledged a beat that said so.
    pub(super) fn granted(&self) -> Duration {
        self.wanted_share_lease()
            .min(match self.acknowledged.share_lease {
                _ if planted(Bug::StretchUnacknowledged) => Duration::MAX,
                known => known.max(self.timings.share_lease),
            })
    }

    pub(super) fn lose(&mut self, now: Time, node: &NodeId, why: String, fx: &mut Effects) {
        let at = self.since_start(now);
        let Some(m) = self.members.get_mut(node) else {
            return;
        };
        m.active = false;
        if m.had_share && !m.delivered() {
            m.lost_at = m.lost_at.or(at);
            if self.charge.spec.on_lost == OnLost::Fail && !planted(Bug::FailRunsOn) {
                self.failure
                    .get_or_insert(format!("worker {} was lost ({why})", m.name));
            }
        }
        let text = format!("{}: {why}", m.name);
        self.event(now, "lost", Some(node), text, fx);
    }

    /// Whether the accounts of an earlier term close now: whoever has carried load in it and
    /// is no member is lost. True once.
    pub fn closes_accounts(&mut self, now: Time) -> bool {
        let closes = now >= self.accounts_close && self.charge.term > 1;
        closes && !std::mem::replace(&mut self.accounted, true)
    }

    /// Whether a worker has registered in this term.
    pub fn knows(&self, worker: &NodeId) -> bool {
        self.members.contains_key(worker)
    }

    /// A worker of an earlier term, of this name, has not come back: it is lost.
    pub fn lost_before(&mut self, now: Time, node: &NodeId, name: &str, fx: &mut Effects) {
        let why = "it did not come back to the new coordinator";
        if self.charge.spec.on_lost == OnLost::Fail && !planted(Bug::FailRunsOn) {
            self.pressing = true;
            self.failure
                .get_or_insert(format!("worker {name} was lost ({why})"));
        }
        self.event(now, "lost", Some(node), format!("{name}: {why}"), fx);
    }

    /// Declares lost whoever has certainly no lease any more.
    pub(super) fn expire(&mut self, now: Time, fx: &mut Effects) {
        let silent: Vec<NodeId> = self
            .active()
            .filter(|(n, _)| self.silent(now, n))
            .map(|(n, _)| n.clone())
            .collect();
        for node in silent {
            self.lose(now, &node, LAPSED.into(), fx);
        }
    }

    pub(super) fn silent(&self, now: Time, node: &NodeId) -> bool {
        let first_contact = awaited(self.timings.share_lease);
        self.members.get(node).is_some_and(|m| {
            m.active && now >= m.ledger.lease_until().max(m.registered_at + first_contact)
        })
    }
}
