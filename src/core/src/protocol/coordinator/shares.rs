//! Assignment of shares: the start, and every change after it.

use super::*;
use crate::protocol::error::StartRefusal;

impl Coordinator {
    pub(super) fn weight(&self, m: &WorkerEntry) -> u32 {
        /// Largest weight; times 1,000 it fits a `u32`.
        const MAX_CAPACITY: u32 = 4_000_000;
        let weight = match self.init.spec.balance {
            Balance::Equal => 1,
            Balance::Capacity => m.capacity.clamp(1, MAX_CAPACITY),
        };
        weight * m.weight
    }

    /// A worker reports overload, which is recorded once. If another worker is not overloaded, the
    /// share of this one is reduced for the rest of the test.
    pub(super) fn reduce_share(&mut self, now: Time, node: &NodeId, fx: &mut Effects) {
        let others = self.active().any(|(n, other)| {
            n != node && other.takes_share() && other.status != Status::Overloaded
        });
        let Some(m) = self.workers.get_mut(node) else {
            return;
        };
        if !std::mem::replace(&mut m.overloaded, true) {
            let text = format!("{} is overloaded", m.name);
            self.event(now, EventKind::Overloaded, Some(node), text, fx);
        }
        let Some(m) = self.workers.get_mut(node) else {
            return;
        };
        if !others || now < m.next_reduction || m.weight <= MIN_WEIGHT {
            return;
        }
        m.weight = (m.weight * WEIGHT_FACTOR / 1_000).max(MIN_WEIGHT);
        m.next_reduction = now + REDUCTION_INTERVAL;
        self.needs_tick = true;
        let text = format!("{}: share reduced", m.name);
        self.event(now, EventKind::ShareReduced, Some(node), text, fx);
    }

    /// Chooses the start instant and lets shares be assigned, once all able nodes have registered
    /// or the registration window has passed.
    pub(super) fn try_start(
        &mut self,
        now: Time,
        able: &BTreeSet<NodeId>,
        fx: &mut Effects,
    ) -> Result<(), StartRefusal> {
        if self.hold_mode() && self.init.term > 1 {
            return Err(StartRefusal::HoldWithoutShares);
        }
        let ready = self
            .active()
            .filter(|(_, m)| m.ledger.confirmed() && m.takes_share())
            .count();
        let answered = |n: &NodeId| {
            self.workers
                .get(n)
                .is_some_and(|m| m.unable.is_some() || m.ledger.confirmed())
        };
        let all_answered = able.iter().all(answered);
        let window_end = self.reports_until + self.timings.registration_window;
        let required = self.init.spec.min_workers.max(1) as usize;
        if !(all_answered && ready >= required) && now < window_end {
            return Ok(());
        }
        if ready < required {
            return Err(self.too_few_workers(ready, required));
        }
        if !self.setup_ready(now, fx)? {
            return Ok(());
        }
        let delay = self.start_delay(ready);
        self.start = Some(now + delay);
        self.event_log.start_known(now, now + delay);
        self.state = TestState::Running;
        self.event(
            now,
            EventKind::Assigned,
            None,
            format!("{ready} workers, start in {} ms", delay.as_millis()),
            fx,
        );
        Ok(())
    }

    pub(super) fn too_few_workers(&self, ready: usize, required: usize) -> StartRefusal {
        let refusals: Vec<String> = self
            .workers
            .values()
            .filter_map(|m| m.unable.as_ref().map(|why| format!("{}: {why}", m.name)))
            .take(5)
            .collect();
        StartRefusal::TooFewWorkers {
            ready,
            required,
            refusals,
        }
    }

    /// Moves shares towards their goals: shrinks at once, grows as slots become free.
    pub(super) fn rebalance(&mut self, now: Time, fx: &mut Effects) {
        if self.hold_mode() && self.init.term > 1 {
            return;
        }
        let goals = self.goals();
        let mut free = SLOTS.saturating_sub(self.reserved(now));
        let mut orders: Vec<(NodeId, u32, u32)> = Vec::new();
        for (node, m) in self.active() {
            let (goal, offset) = goals.get(node).copied().unwrap_or((0, 0));
            let current = m.ledger.ordered();
            let placed = m.ledger.order().is_some_and(|o| o.offset == offset);
            let idle = m.ledger.applied() && m.ledger.confirmed();
            let misplaced = goal == current && current > 0 && !placed;
            if goal < current || (idle && misplaced) {
                orders.push((node.clone(), goal, offset));
            } else if goal > current && idle {
                let grow = (goal - current).min(free);
                if grow > 0 {
                    free -= grow;
                    orders.push((node.clone(), current + grow, offset));
                }
            }
        }
        for (node, slots, offset) in orders {
            self.issue(now, &node, slots, offset, fx);
        }
    }

    /// Final share of each worker: its size and its first slot.
    pub(super) fn goals(&self) -> BTreeMap<NodeId, (u32, u32)> {
        let takers: Vec<(&NodeId, u32)> = self
            .workers
            .iter()
            .filter(|(_, m)| m.takes_share())
            .map(|(n, m)| (n, self.weight(m)))
            .collect();
        let held: u32 = if self.hold_mode() {
            let inactive = self.workers.values().filter(|m| !m.takes_share());
            inactive.map(|m| self.reserved_by(m, Time::MAX)).sum()
        } else {
            0
        };
        let weights: Vec<u32> = takers.iter().map(|(_, w)| *w).collect();
        let parts = split(SLOTS.saturating_sub(held), &weights);
        let mut offset = 0;
        takers
            .into_iter()
            .zip(parts)
            .map(|((node, _), slots)| {
                let goal = (node.clone(), (slots, offset));
                offset = (offset + slots) % SLOTS;
                goal
            })
            .collect()
    }

    pub(super) fn issue(
        &mut self,
        now: Time,
        node: &NodeId,
        slots: u32,
        offset: u32,
        fx: &mut Effects,
    ) {
        self.last_order += 1;
        let order = Order {
            number: self.last_order,
            slots,
            offset,
            start: self.start.map(RemoteTime::from),
        };
        let started = self.start.is_some_and(|s| now >= s);
        let spec = &self.init.spec;
        let Some(m) = self.workers.get_mut(node) else {
            return;
        };
        let before = m.ledger.ordered();
        m.ledger.issue(order);
        m.had_share |= slots > 0;
        let mut description = spec.task.clone();
        let part = |whole: u64| (whole * u64::from(slots)).div_ceil(u64::from(SLOTS));
        description.target_rate_milli = part(description.target_rate_milli);
        description.max_concurrency = part(u64::from(description.max_concurrency)) as u32;
        let assign = Assign {
            test: self.init.test,
            term: self.init.term,
            incarnation: node.incarnation,
            registration: m.registration,
            digest: self.init.digest,
            order,
            description,
            sent: now.into(),
        };
        let text = format!(
            "{}: {:.1} % → {:.1} %",
            m.name,
            percent(before),
            percent(slots)
        );
        fx.send(&self.init.me, &node.peer, Request::Assign(assign));
        if started && before != slots {
            self.event(now, EventKind::Rebalanced, Some(node), text, fx);
        }
    }
}
