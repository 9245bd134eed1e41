//! Simulated load engines.

use super::*;

impl World {
    pub(super) fn order(&mut self, i: usize, order: &EngineOrder) {
        let now = self.now;
        let local = self.machines[i].local(now);
        let incarnation = self.machines[i].incarnation;
        let length = self.scenario.plan.length;
        let max_pause = self.scenario.timings().max_pause;
        let overloaded =
            self.scenario.faults.0.iter().any(|t| {
                t.active(now) && matches!(t.fault, Fault::Overload { node, .. } if node == i)
            });
        if *order == EngineOrder::Prepare {
            let first = now + self.rng.time(Duration::ZERO..Duration::from_secs(1));
            self.push(first, Scheduled::To(i, Event::Second { incarnation }));
        }
        let machine = &mut self.machines[i];
        let engine = machine
            .engine
            .get_or_insert_with(|| Engine::new(RATE, length, max_pause, 100 + i as u64));
        engine.overloaded = overloaded;
        engine.order(local, order);
        let clock = machine.spec.clock;
        let drained = match order {
            EngineOrder::Start(start) => {
                let start = clock.truth(*start).unwrap_or(now);
                self.started = Some(self.started.map_or(start, |s| s.min(start)));
                self.started_last = self.started_last.max(Some(start));
                engine.ends().and_then(|end| clock.truth(end))
            }
            EngineOrder::Log(_) => engine.ends().and_then(|end| clock.truth(end)),
            EngineOrder::Stop(stop) if stop.graceful => Some(now),
            EngineOrder::Stop(_) => Some(now + Duration::from_millis(1)),
            _ => None,
        };
        if let Some(at) = drained {
            let at = at.max(now) + self.rng.time(Duration::from_millis(1)..IN_FLIGHT);
            self.push(at, Scheduled::To(i, Event::LoadOver { incarnation }));
        }
    }

    pub(super) fn every_second(&mut self, i: usize) {
        let machine = &mut self.machines[i];
        let (local, incarnation) = (machine.local(self.now), machine.incarnation);
        let ended = machine.test(TEST).is_none_or(|t| t.ended().is_some());
        let Some(engine) = &mut machine.engine else {
            return;
        };
        if ended || engine.finished() {
            return;
        }
        let measurement = engine.measure(local, false);
        let interval = machine.node.metrics_interval();
        self.push(
            self.now + interval,
            Scheduled::To(i, Event::Second { incarnation }),
        );
        self.input(i, Input::Measured(TEST, measurement));
    }

    pub(super) fn load_over(&mut self, i: usize) {
        let machine = &mut self.machines[i];
        let local = machine.local(self.now);
        let Some(engine) = &mut machine.engine else {
            return;
        };
        let over = engine.stopped().is_some() || engine.ends().is_some_and(|end| local >= end);
        if engine.finished() || !over {
            return;
        }
        let measurement = engine.measure(local, true);
        self.input(i, Input::Measured(TEST, measurement));
    }
}
