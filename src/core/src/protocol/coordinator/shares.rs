//! Assignment of shares: the start, and every change after it.

use super::super::signature::{SIGNATURE_LEN, Signature};
use super::*;
use crate::SLOTS;
use crate::protocol::error::StartRefusal;
use crate::protocol::layout::{Taker, rearrange};
use crate::protocol::messages::TaskDescription;

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
        self.stage_numbers();
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
        let reserved = self.reserved(now);
        let free = Slots::whole().difference(&reserved);
        let held = match self.hold_mode() {
            true => self.held_back(),
            false => 0,
        };
        let total = self.units.total().saturating_sub(held);
        let workers: Vec<(&NodeId, &WorkerEntry)> = self.active().collect();
        let (takers, others): (Vec<_>, Vec<_>) =
            workers.into_iter().partition(|(_, m)| m.takes_share());
        let sizes: Vec<Taker<'_>> = takers
            .iter()
            .enumerate()
            .map(|(i, (_, m))| Taker {
                share: m.ledger.share(),
                weight: match planted(Bug::SplitUnfair) {
                    true if i == 0 => u32::MAX,
                    true => 1,
                    false => self.weight(m),
                },
                may_grow: m.ledger.applied() && m.ledger.confirmed(),
            })
            .collect();
        let shares = sizes.iter().flat_map(|t| t.share.intervals());
        let settled = Slots::union_of(shares.copied()) == reserved && !self.hold_mode();
        let (changes, mode) = rearrange(self.units, total, &sizes, &free, (self.mode, settled));
        let mut orders: Vec<(NodeId, Slots)> = others
            .iter()
            .filter(|(_, m)| !m.ledger.share().is_empty())
            .map(|(node, _)| ((*node).clone(), Slots::EMPTY))
            .collect();
        let changes = changes.into_iter();
        orders.extend(changes.map(|c| (takers[c.taker].0.clone(), c.share)));
        if planted(Bug::RangesAtZero) {
            for (_, share) in &mut orders {
                *share = Slots::range(0, share.count());
            }
        }
        self.unbalanced |= mode != self.mode;
        self.needs_tick |= mode != self.mode;
        self.mode = mode;
        self.issue(now, orders, fx);
    }

    /// Under `hold`: units of workers that take no further share and keep what they have.
    fn held_back(&self) -> u32 {
        let kept = self.workers.values().filter(|m| !m.takes_share());
        let kept: Vec<Slots> = kept.map(|m| m.ledger.reserved_without_expiry()).collect();
        let kept = Slots::union_of(kept.iter().flat_map(|s| s.intervals()).copied());
        let others = Slots::whole().difference(&kept);
        self.units.total() - self.units.count(&others)
    }

    /// Sends orders with these shares, under one new allocation.
    fn issue(&mut self, now: Time, orders: Vec<(NodeId, Slots)>, fx: &mut Effects) {
        if orders.is_empty() {
            return;
        }
        self.last_order += 1;
        let number = self.last_order;
        let start = self.start.map(RemoteTime::from);
        let mut before = Vec::with_capacity(orders.len());
        for (node, share) in &orders {
            let Some(m) = self.workers.get_mut(node) else {
                continue;
            };
            before.push(percent(m.ledger.share()));
            m.had_share |= !share.is_empty();
            m.ledger.issue(Order {
                number,
                share: share.clone(),
                floor: self.floor,
                start,
            });
        }
        let mut allocation = Allocation {
            test: self.init.test,
            term: self.init.term,
            number,
            coordinator: self.init.me.clone(),
            entries: self.entries(now),
            signature: Signature([0; SIGNATURE_LEN]),
        };
        allocation.sign(&*self.init.keys);
        let allocation = self.allocations.add(allocation);
        let list = self.allocations.newest().map(|(_, list)| list.clone());
        let list = list.filter(|list| list.entries.len() <= MAX_INLINE_ENTRIES);
        let started = self.start.is_some_and(|s| now >= s);
        for ((node, share), before) in orders.into_iter().zip(before) {
            let Some(m) = self.workers.get(&node) else {
                continue;
            };
            let Some(order) = m.ledger.order().cloned() else {
                continue;
            };
            let assign = Assign {
                test: self.init.test,
                term: self.init.term,
                incarnation: node.incarnation,
                registration: m.registration,
                digest: self.init.digest,
                order,
                allocation,
                list: list.clone(),
                description: self.description(&share),
                sent: now.into(),
            };
            fx.send(&self.init.me, &node.peer, Request::Assign(assign));
            let after = percent(&share);
            if started && before != after {
                let text = format!("{}: {before:.1} % → {after:.1} %", m.name);
                self.event(now, EventKind::Rebalanced, Some(&node), text, fx);
            }
        }
    }

    /// Everything that any worker may act on.
    fn entries(&self, now: Time) -> Vec<AllocationEntry> {
        let entries = self.workers.iter().map(|(worker, m)| AllocationEntry {
            worker: worker.clone(),
            slots: self.reserved_by(m, now),
        });
        entries.filter(|e| !e.slots.is_empty()).collect()
    }

    /// A share in the terms of the WorkerService message set.
    fn description(&self, share: &Slots) -> TaskDescription {
        let mut description = self.init.spec.task.clone();
        let slots = share.len();
        let part = |whole: u64| (whole * slots).div_ceil(u64::from(SLOTS));
        description.target_rate_milli = part(description.target_rate_milli);
        description.max_concurrency = part(u64::from(description.max_concurrency)) as u32;
        description
    }

    /// Takes numbers of requests out of the free ones in time, so that a majority knows of it
    /// before they are granted.
    pub(super) fn stage_numbers(&mut self) {
        let all = self.hold_mode();
        let users = self.init.spec.users.unwrap_or_default();
        self.needs_numbers = false;
        if let Some(pool) = &mut self.numbers {
            let wanted = match self.start {
                Some(_) => pool.wanted(),
                None => 2 * u64::from(users),
            };
            pool.stage(if all { u64::MAX } else { wanted });
        }
    }

    /// Handles a worker's report about its numbers of requests, and grants more.
    pub(super) fn report_numbers(
        &mut self,
        now: Time,
        hb: &Heartbeat,
        finished: bool,
    ) -> Option<NumbersGrant> {
        let share = self.workers.get(&hb.node)?.ledger.share();
        let users = match self.units {
            Units::Users(_) if hb.idle => 0,
            Units::Users(_) => self.units.count(share),
            Units::Slots => 0,
        };
        let most = self.init.spec.requests?;
        let over = self.state > TestState::Running;
        let cut = |slot: u32| u64::from(slot) * most / u64::from(SLOTS);
        let parts = share.intervals().iter().map(|i| cut(i.to) - cut(i.from));
        let once = match (self.hold_mode(), self.init.term) {
            _ if over => Some(0),
            (true, 1) => Some(parts.sum()),
            (true, _) => Some(0),
            (false, _) => None,
        };
        let pool = self.numbers.as_mut()?;
        let report = numbers::Report {
            registration: hb.registration,
            answered: hb.answered,
            unused: &hb.unused,
            returned: &hb.returned,
            finished,
            users,
            interval: self.timings.heartbeat_interval(self.active_count),
        };
        let granted = pool.report(now, &hb.node, hb.number, report, once).clone();
        self.needs_numbers |= pool.short() && !over;
        // Workers of an earlier term may have numbers until they have reported.
        let last = pool.exhausted() && now >= self.reports_until;
        self.needs_tick |= last;
        Some(NumbersGrant { granted, last })
    }
}

/// Most workers of an allocation that is sent with an order; larger ones are fetched.
const MAX_INLINE_ENTRIES: usize = 16;
