//! Simulated load engines.

use vajra_core::protocol::log::EntryKind;

use super::*;

/// Longest time after its effect at which a worker in a healthy swarm learns of a change.
const LATE_CHANGE: Duration = Duration::from_millis(50);
/// Time without faults after which a swarm counts as healthy.
const HEALTHY_AFTER: Duration = Duration::from_secs(6);

impl World {
    pub(super) fn order(&mut self, i: usize, test: TestId, order: &EngineOrder) {
        let now = self.now;
        let of = self.index_of(test);
        let local = self.machines[i].local(now);
        let incarnation = self.machines[i].incarnation;
        let overloaded =
            self.scenario.faults.0.iter().any(|t| {
                t.active(now) && matches!(t.fault, Fault::Overload { node, .. } if node == i)
            });
        if *order == EngineOrder::Prepare {
            let first = now + self.rng.time(Duration::ZERO..Duration::from_secs(1));
            self.push(first, Scheduled::To(i, Event::Second { incarnation, of }));
        }
        self.check_order(i, of, order);
        let spec = EngineSpec {
            plan: self.tests[of].plan.clone(),
            max_pause: self.scenario.timings().max_pause,
            seed: self.scenario.seed,
            response_us: 100 + i as u64,
        };
        let delay = self.rng.time(Duration::ZERO..APPLIES_WITHIN);
        let machine = &mut self.machines[i];
        let slot = machine.engines[of].get_or_insert_with(|| EngineSlot {
            engine: Engine::new(spec),
            wakes: Duration::MAX,
            measured: Vec::new(),
        });
        let engine = &mut slot.engine;
        engine.overloaded = overloaded;
        engine.order(local, order, delay);
        let clock = machine.spec.clock;
        let drained = match order {
            EngineOrder::Start(start) => {
                let start = clock.truth(*start).unwrap_or(now);
                let test = &mut self.tests[of];
                test.started = Some(test.started.map_or(start, |s| s.min(start)));
                test.started_last = test.started_last.max(Some(start));
                engine.ends().and_then(|end| clock.truth(end))
            }
            EngineOrder::Log(_) => engine.ends().and_then(|end| clock.truth(end)),
            EngineOrder::Stop(stop) if stop.graceful => Some(now),
            EngineOrder::Stop(_) => Some(now + Duration::from_millis(1)),
            EngineOrder::Numbers { .. } => engine.idle_at(local).map(|_| now),
            _ => None,
        };
        if let Some(at) = drained {
            let at = at.max(now) + self.rng.time(Duration::from_millis(1)..IN_FLIGHT);
            self.push(at, Scheduled::To(i, Event::LoadOver { incarnation, of }));
        }
        self.after_engine(i, of);
    }

    /// Orders that no fault explains.
    fn check_order(&mut self, i: usize, of: usize, order: &EngineOrder) {
        let machine = &self.machines[i];
        let test = &self.tests[of];
        let running = machine.test(test.id).is_some_and(|t| t.ended().is_none());
        match order {
            EngineOrder::Stop(stop) if !stop.graceful && running && !test.stopped_at_once => {
                let text = format!("n{i} stops at once, but every stop was graceful");
                self.broken = Some(("stops as requested", text));
            }
            EngineOrder::Log(log) => {
                let Some(engine) = machine.engine(of) else {
                    return;
                };
                let healthy = self
                    .scenario
                    .faults
                    .quiet(self.now.saturating_sub(HEALTHY_AFTER), self.now);
                let elapsed = engine.elapsed(machine.local(self.now));
                let known = engine.log().len();
                let new = log.iter().skip(known);
                let mut changes = new.filter(|e| matches!(e.kind, EntryKind::LoadChanged(_)));
                let late = changes.find(|e| e.at + LATE_CHANGE < elapsed);
                let sends = !machine.sending(of, self.now).is_empty();
                if let Some(late) = late.filter(|_| healthy && running && sends) {
                    let text = format!(
                        "n{i} learned {:.3} s after the start of a change at {:.3} s",
                        elapsed.as_secs_f64(),
                        late.at.as_secs_f64()
                    );
                    self.broken = Some(("changes are known before they count", text));
                }
            }
            _ => {}
        }
    }

    /// Records what an engine did, and schedules its next wake-up.
    pub(super) fn after_engine(&mut self, i: usize, of: usize) {
        let machine = &mut self.machines[i];
        let clock = machine.spec.clock;
        let Some(slot) = &mut machine.engines[of] else {
            return;
        };
        for act in slot.engine.take_acts() {
            self.tests[of].acts.record(i, clock, act);
        }
        let Some(due) = slot.engine.next_wake().and_then(|at| clock.truth(at)) else {
            return;
        };
        let due = due.max(self.now);
        if due < slot.wakes {
            slot.wakes = due;
            let incarnation = machine.incarnation;
            let event = Event::Engine {
                incarnation,
                of,
                due,
            };
            self.push(due, Scheduled::To(i, event));
        }
    }

    pub(super) fn record_acts(&mut self, i: usize, acts: Vec<(usize, Vec<Act>)>) {
        let clock = self.machines[i].spec.clock;
        for (of, acts) in acts {
            for act in acts {
                self.tests[of].acts.record(i, clock, act);
            }
        }
    }

    /// An engine has something to report.
    pub(super) fn engine_wakes(&mut self, i: usize, of: usize, due: Duration) {
        let machine = &mut self.machines[i];
        let local = machine.local(self.now);
        let incarnation = machine.incarnation;
        let Some(slot) = machine.engines[of].as_mut().filter(|s| s.wakes == due) else {
            return;
        };
        slot.wakes = Duration::MAX;
        let held = slot.engine.report(local);
        let over = slot.engine.idle_at(local).is_some();
        self.after_engine(i, of);
        if over {
            self.push(
                self.now,
                Scheduled::To(i, Event::LoadOver { incarnation, of }),
            );
        }
        if let Some(held) = held {
            self.input(i, Input::Held(self.tests[of].id, held));
        }
    }

    pub(super) fn every_second(&mut self, i: usize, of: usize) {
        let id = self.tests[of].id;
        let machine = &mut self.machines[i];
        let (local, incarnation) = (machine.local(self.now), machine.incarnation);
        let ended = machine.test(id).is_none_or(|t| t.ended().is_some());
        let interval = machine.node.metrics_interval();
        let Some(slot) = &mut machine.engines[of] else {
            return;
        };
        if ended || slot.engine.finished() {
            return;
        }
        let measurement = slot.engine.measure(local, false);
        slot.measured.push((self.now, slot.engine.sent()));
        self.after_engine(i, of);
        self.push(
            self.now + interval,
            Scheduled::To(i, Event::Second { incarnation, of }),
        );
        self.input(i, Input::Measured(id, measurement));
    }

    pub(super) fn load_over(&mut self, i: usize, of: usize) {
        let machine = &mut self.machines[i];
        let local = machine.local(self.now);
        let (clock, incarnation) = (machine.spec.clock, machine.incarnation);
        let Some(slot) = &mut machine.engines[of] else {
            return;
        };
        slot.engine.advance(local);
        let Some(idle) = slot
            .engine
            .idle_at(local)
            .filter(|_| !slot.engine.finished())
        else {
            return;
        };
        if idle > local {
            let at = clock.truth(idle).unwrap_or(self.now);
            self.push(at, Scheduled::To(i, Event::LoadOver { incarnation, of }));
            return self.after_engine(i, of);
        }
        // The unused request numbers are known before the load counts as finished.
        let held = slot.engine.report(local);
        let measurement = slot.engine.measure(local, true);
        slot.measured.push((self.now, slot.engine.sent()));
        self.after_engine(i, of);
        let id = self.tests[of].id;
        if let Some(held) = held {
            self.input(i, Input::Held(id, held));
        }
        self.input(i, Input::Measured(id, measurement));
    }
}
