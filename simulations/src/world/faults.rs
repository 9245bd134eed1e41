//! Start and end of faults.

use std::ops::Range;

use super::*;

/// Time until a broken connection is noticed, and until two machines have connected again.
const RECONNECTING: Range<Duration> = Duration::from_millis(1)..Duration::from_millis(400);

impl World {
    pub(super) fn fault_starts(&mut self, index: usize) -> Option<usize> {
        let timed = self.scenario.faults.0[index].clone();
        self.trace
            .note(&[1, index as u64], || format!("--- {timed}"));
        self.network.start(index, &timed.fault);
        let isolates_coordinator = |side: &[usize]| {
            let inside = |i: usize| side.contains(&i);
            let coordinator = (0..self.machines.len())
                .find(|i| self.machines[*i].has_authority(self.tests[0].id, self.now));
            coordinator.is_some_and(|i| {
                let with = self
                    .machines
                    .iter()
                    .filter(|m| inside(m.index) == inside(i));
                with.count() * 2 <= self.machines.len()
            })
        };
        match &timed.fault {
            Fault::Partition { side, ways, .. } => {
                if isolates_coordinator(side) {
                    self.coverage.saw("coordinators cut off");
                }
                if *ways != Ways::Both {
                    self.coverage.saw("one-way partitions");
                }
            }
            Fault::Link { .. } => self.coverage.saw("links cut"),
            _ => {}
        }
        match timed.fault {
            Fault::Crash { node, .. } if self.machines[node].state != State::Down => {
                self.coverage.saw("crashes");
                if self.machines[node].has_authority(self.tests[0].id, self.now) {
                    self.coverage.saw("coordinators killed");
                }
                self.end(node);
                Some(node)
            }
            Fault::Reboot { node, .. } if self.machines[node].state != State::Down => {
                self.coverage.saw("reboots");
                self.end(node);
                Some(node)
            }
            Fault::Stall { .. } => {
                self.coverage.saw("starved control threads");
                None
            }
            Fault::Pause { node, .. } if self.machines[node].state == State::Up => {
                self.coverage.saw("pauses");
                let local = self.machines[node].local(self.now);
                let machine = &mut self.machines[node];
                machine.state = State::Paused;
                machine.paused_at = self.now;
                for slot in machine.engines.iter_mut().flatten() {
                    slot.engine.advance(local);
                }
                for of in 0..self.tests.len() {
                    self.after_engine(node, of);
                }
                Some(node)
            }
            Fault::Join { node } => {
                self.coverage.saw("joins");
                self.start(node);
                Some(node)
            }
            Fault::Leave { node } if self.machines[node].state == State::Up => {
                self.coverage.saw("leaves");
                self.machines[node].leaving = true;
                let order = StopOrder {
                    graceful: true,
                    timeout: Duration::from_millis(200),
                };
                self.input(node, Input::Leave(order));
                let incarnation = self.machines[node].incarnation;
                self.push(self.now + LEAVING, Scheduled::Leaves(node, incarnation));
                Some(node)
            }
            Fault::Drain { node } if self.machines[node].state == State::Up => {
                self.coverage.saw("drains");
                self.machines[node].draining = true;
                self.input(node, Input::Drain);
                Some(node)
            }
            Fault::Captured { node, .. } => {
                self.coverage.saw("captured nodes");
                self.push(self.now, Scheduled::Forges(node));
                None
            }
            Fault::Overload { node, .. } => {
                self.overload(node, true);
                None
            }
            Fault::Scale { node, percent }
                if self.machines[node].test(self.tests[0].id).is_some() =>
            {
                let full = self.tests[0].plan.load.full_milli();
                let level_milli = (full * u64::from(percent) / 100).max(1);
                self.load_command(node, index, LoadCommand::Load { level_milli })
            }
            Fault::Hold { node, .. } if self.machines[node].test(self.tests[0].id).is_some() => {
                self.load_command(node, index, LoadCommand::Pause)
            }
            Fault::Stop { node, graceful }
                if self.machines[node].test(self.tests[0].id).is_some() =>
            {
                self.coverage.saw("stops");
                let incarnation = self.machines[node].incarnation;
                let test = &mut self.tests[0];
                test.stopped.get_or_insert((self.now, node, incarnation));
                test.stopped_at_once |= !graceful;
                let order = StopOrder {
                    graceful,
                    timeout: STOP_TIMEOUT,
                };
                self.input(node, Input::StopTest(self.tests[0].id, order));
                Some(node)
            }
            _ => None,
        }
    }

    pub(super) fn fault_ends(&mut self, index: usize) -> Option<usize> {
        let timed = self.scenario.faults.0[index].clone();
        self.network.end(index);
        match timed.fault {
            Fault::Crash {
                node,
                restart_after: Some(_),
            } if self.machines[node].state == State::Down => {
                self.coverage.saw("restarts");
                self.start(node);
                Some(node)
            }
            Fault::Reboot { node, uptime, .. } if self.machines[node].state == State::Down => {
                self.machines[node].spec.clock.boot(self.now, uptime);
                self.start(node);
                Some(node)
            }
            Fault::Pause { node, .. } => {
                let still_paused = self.active_pause(node, index);
                (!still_paused && self.machines[node].state == State::Paused)
                    .then(|| self.resume(node))
            }
            Fault::Stall { nodes, .. } => {
                for node in nodes {
                    self.push(self.now, Scheduled::To(node, Event::Turn));
                }
                None
            }
            Fault::Partition { side, .. } => {
                self.coverage.saw("partitions healed");
                for a in side.iter().copied() {
                    let others = (0..self.machines.len()).filter(|b| !side.contains(b));
                    others.for_each(|b| self.reconnect(a, b));
                }
                None
            }
            Fault::Link { a, b, .. } => {
                self.reconnect(a, b);
                None
            }
            Fault::Overload { node, .. } => {
                self.overload(node, false);
                None
            }
            Fault::Hold { node, .. } if self.machines[node].test(self.tests[0].id).is_some() => {
                self.load_command(node, usize::MAX / 2 - index, LoadCommand::Resume)
            }
            _ => None,
        }
    }

    /// Requests a change of the load on a machine, unless it would be refused.
    pub(super) fn load_command(
        &mut self,
        i: usize,
        id: usize,
        command: LoadCommand,
    ) -> Option<usize> {
        let machine = &self.machines[i];
        let local = machine.local(self.now);
        let refused = machine
            .test(self.tests[0].id)
            .and_then(|t| t.refuses(local, command));
        if machine.state != State::Up || refused.is_some() {
            return None;
        }
        self.tests[0].steered = true;
        self.input(
            i,
            Input::LoadCommand(self.tests[0].id, 1 + id as u64, command),
        );
        Some(i)
    }

    pub(super) fn overload(&mut self, i: usize, overloaded: bool) {
        for slot in self.machines[i].engines.iter_mut().flatten() {
            slot.engine.overloaded = overloaded;
        }
    }

    pub(super) fn active_pause(&self, machine: usize, except: usize) -> bool {
        let now = self.now;
        let mut others = self.scenario.faults.0.iter().enumerate();
        others.any(|(i, t)| {
            i != except
                && matches!(t.fault, Fault::Pause { node, .. } if node == machine)
                && t.at <= now
                && now < t.over()
        })
    }

    pub(super) fn resume(&mut self, i: usize) -> usize {
        if planted(Bug::ClockStops) {
            let paused_for = self.now - self.machines[i].paused_at;
            self.machines[i].spec.clock.stop(paused_for);
        }
        let local = self.machines[i].local(self.now);
        let machine = &mut self.machines[i];
        machine.state = State::Up;
        for slot in machine.engines.iter_mut().flatten() {
            slot.engine.skip_to(local);
        }
        let mut inbox = std::mem::take(&mut machine.inbox);
        machine.wakes = self.now;
        let due = self.now;
        if self.rng.chance(500) {
            inbox.insert(0, Event::Wake { due });
        } else {
            inbox.push(Event::Wake { due });
        }
        for of in 0..self.tests.len() {
            self.after_engine(i, of);
        }
        // The process handles its inbox while its engine continues at once.
        let mut at = self.now;
        for event in inbox {
            at += self.rng.time(Duration::ZERO..Duration::from_micros(100));
            self.push(at, Scheduled::To(i, event));
        }
        i
    }

    pub(super) fn start(&mut self, i: usize) {
        if self.machines[i].state != State::Down {
            return;
        }
        let now = self.now;
        // The wall clocks differ by up to eight minutes.
        let wall_clock = self.unix_ms() + (i as u64 % 5) * 120_000;
        let machine = &mut self.machines[i];
        machine.start(now);
        let local = machine.local(now);
        machine.node.set_wall_clock(local, wall_clock);
        self.connections(i, true);
        self.reschedule(i);
    }

    pub(super) fn end(&mut self, i: usize) {
        let acts = self.machines[i].end(self.now);
        self.record_acts(i, acts);
        if self.rng.chance(700) {
            self.connections(i, false);
        }
    }

    /// Messages between two machines were lost, so their connection has broken, and they connect
    /// again.
    fn reconnect(&mut self, a: usize, b: usize) {
        let down = |i: usize| self.machines[i].state == State::Down;
        if down(a) || down(b) || self.network.cut(a, b) || self.network.cut(b, a) {
            return;
        }
        let broken = self.rng.time(RECONNECTING);
        let connected = broken + self.rng.time(RECONNECTING);
        for (after, there) in [(broken, false), (connected, true)] {
            for (i, with) in [(a, b), (b, a)] {
                let event = Event::Connection { with, there };
                self.push(self.now + after, Scheduled::To(i, event));
            }
        }
    }

    pub(super) fn connections(&mut self, i: usize, there: bool) {
        for j in 0..self.machines.len() {
            if j == i || self.machines[j].state == State::Down || self.network.cut(i, j) {
                continue;
            }
            let at = self.now
                + self
                    .rng
                    .time(Duration::from_millis(1)..Duration::from_millis(30));
            self.push(at, Scheduled::To(j, Event::Connection { with: i, there }));
            if there {
                self.push(at, Scheduled::To(i, Event::Connection { with: j, there }));
            }
        }
    }
}
