//! Handing out shares: the start, and every change after it.

use super::*;

impl Coordinator {
    pub(super) fn weight(&self, m: &Member) -> u32 {
        /// Times 1,000 thousandths, the largest weight.
        const MOST: u32 = 4_000_000;
        let weight = match self.charge.spec.balance {
            Balance::Equal => 1,
            Balance::Capacity => m.capacity.clamp(1, MOST),
        };
        weight * m.relief
    }

    /// A worker says that it is overloaded, which is told once: if somebody else is not, its share gets smaller,
    /// for the rest of the test.
    pub(super) fn relieve(&mut self, now: Time, node: &NodeId, fx: &mut Effects) {
        let others = self.active().any(|(n, other)| {
            n != node && other.takes_share() && other.status != Status::Overloaded
        });
        let Some(m) = self.members.get_mut(node) else {
            return;
        };
        if !std::mem::replace(&mut m.overloaded, true) {
            let text = format!("{} is overloaded", m.name);
            self.event(now, "overloaded", Some(node), text, fx);
        }
        let Some(m) = self.members.get_mut(node) else {
            return;
        };
        if !others || now < m.next_relief || m.relief <= MOST_RELIEF {
            return;
        }
        m.relief = (m.relief * RELIEF / 1_000).max(MOST_RELIEF);
        m.next_relief = now + RELIEF_INTERVAL;
        self.pressing = true;
        let text = format!("{} gets a smaller share", m.name);
        self.event(now, "relieved", Some(node), text, fx);
    }

    /// Assigns shares and chooses the start instant, if everybody is there or the window
    /// has passed; says why the test cannot be run, if so.
    pub(super) fn try_start(
        &mut self,
        now: Time,
        able: &BTreeSet<NodeId>,
        fx: &mut Effects,
    ) -> Result<(), String> {
        if self.holds() && self.charge.term > 1 {
            return Err(HELD_BY_NOBODY.into());
        }
        let ready = self
            .active()
            .filter(|(_, m)| m.ledger.confirmed() && m.takes_share())
            .count();
        let answered = |n: &NodeId| {
            self.members
                .get(n)
                .is_some_and(|m| m.unable.is_some() || m.ledger.confirmed())
        };
        let everybody = able.iter().all(answered);
        let closes = self.accounts_close + self.timings.registration_window;
        let wanted = self.charge.spec.min_workers.max(1) as usize;
        if !(everybody && ready >= wanted) && now < closes {
            return Ok(());
        }
        if ready < wanted {
            return Err(self.too_few(ready, wanted));
        }
        if !self.set_up(now, fx)? {
            return Ok(());
        }
        let delay = self.start_delay(ready);
        self.start = Some(now + delay);
        self.chronicle.start_known(now, now + delay);
        self.phase = TestState::Running;
        self.event(
            now,
            "assigned",
            None,
            format!(
                "{ready} workers share the load; start in {} ms",
                delay.as_millis()
            ),
            fx,
        );
        Ok(())
    }

    pub(super) fn too_few(&self, ready: usize, wanted: usize) -> String {
        let refusals: Vec<String> = self
            .members
            .values()
            .filter_map(|m| m.unable.as_ref().map(|why| format!("{}: {why}", m.name)))
            .take(5)
            .collect();
        let asked = match ready {
            0 => "no able worker".to_owned(),
            n => format!("{n} able workers of {wanted} asked for (--min-workers)"),
        };
        if refusals.is_empty() {
            format!("{asked} registered; start more nodes, or lower --min-workers")
        } else {
            format!("{asked}; {}", refusals.join("; "))
        }
    }

    /// Moves shares towards their goal: shrinks at once, grows as slots become free.
    pub(super) fn rebalance(&mut self, now: Time, fx: &mut Effects) {
        if self.holds() && self.charge.term > 1 {
            return;
        }
        let goals = self.goals();
        let mut free = SLOTS.saturating_sub(self.reserved(now));
        let mut orders: Vec<(NodeId, u32, u32)> = Vec::new();
        for (node, m) in self.active() {
            let (goal, offset) = goals.get(node).copied().unwrap_or((0, 0));
            let current = m.ledger.ordered();
            let placed = m.ledger.order().is_some_and(|o| o.offset == offset);
            let idle = m.ledger.settled() && m.ledger.confirmed();
            let moved = goal == current && current > 0 && !placed;
            if goal < current || (idle && moved) {
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

    /// Each worker's share when all is settled: its size, and where its slots begin.
    pub(super) fn goals(&self) -> BTreeMap<NodeId, (u32, u32)> {
        let takers: Vec<(&NodeId, u32)> = self
            .members
            .iter()
            .filter(|(_, m)| m.takes_share())
            .map(|(n, m)| (n, self.weight(m)))
            .collect();
        let kept: u32 = if self.holds() {
            let gone = self.members.values().filter(|m| !m.takes_share());
            gone.map(|m| self.reserved_by(m, Time::MAX)).sum()
        } else {
            0
        };
        let weights: Vec<u32> = takers.iter().map(|(_, w)| *w).collect();
        let parts = split(SLOTS.saturating_sub(kept), &weights);
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
        let late = self.start.is_some_and(|s| now >= s);
        let spec = &self.charge.spec;
        let Some(m) = self.members.get_mut(node) else {
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
            test: self.charge.test,
            term: self.charge.term,
            incarnation: node.incarnation,
            registration: m.registration,
            digest: self.charge.digest,
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
        fx.send(&self.charge.me, &node.peer, Request::Assign(assign));
        if late && before != slots {
            self.event(now, "rebalanced", Some(node), text, fx);
        }
    }
}
