//! What nodes do: start, get inputs, have outputs, measure.

use super::*;

impl World {
    pub(super) fn start(&mut self, i: usize) {
        if self.hosts[i].node.is_some() {
            return;
        }
        let host = &mut self.hosts[i];
        host.restarted = host.incarnation > 0;
        host.incarnation += 1;
        host.engine = Engine::new(LENGTH);
        let myself = Myself {
            node: NodeId {
                peer: World::name(i),
                incarnation: Incarnation(host.incarnation),
            },
            name: format!("n{i}"),
            version: "0".into(),
            capacity: 100 + 10 * i as u32,
            task_types: vec!["SLEEP".into()],
            labels: BTreeMap::new(),
        };
        let local = host.clock.local(self.now);
        host.node = Some(Node::new(myself, Timings::lan(), local));
        let incarnation = host.incarnation;
        self.note(|| format!("n{i} starts"));
        self.push(self.now + SECOND, Event::Measure(i, incarnation));
        self.input(i, Input::Tick);
    }

    /// Hands an input to a node, or puts its event off until the node's pause is over.
    pub(super) fn input_or_wait(&mut self, i: usize, event: Event, input: Input) {
        let until = self.hosts[i].paused_until;
        if self.now < until {
            self.push(until, event);
        } else {
            self.input(i, input);
        }
    }

    pub(super) fn input(&mut self, i: usize, input: Input) {
        let host = &mut self.hosts[i];
        let Some(node) = &mut host.node else {
            return;
        };
        let outputs = node.handle(host.clock.local(self.now), input);
        for output in outputs {
            self.output(i, output);
        }
        let host = &mut self.hosts[i];
        if let Some(node) = &host.node {
            let wake = host.clock.true_time(node.next_wake()).max(self.now + 1);
            if wake < host.wake {
                host.wake = wake;
                self.push(wake, Event::Wake(i));
            }
        }
    }

    pub(super) fn output(&mut self, i: usize, output: Output) {
        match output {
            Output::Publish(gossip) => {
                for to in (0..self.hosts.len()).filter(|to| *to != i) {
                    self.send(i, to, &Parcel::Gossip(gossip.clone()));
                }
            }
            Output::Send(to, request) => self.send(i, World::index(&to), &Parcel::Request(request)),
            Output::Inspect { test, .. } => {
                let spec = Ok(spec());
                self.input(
                    i,
                    Input::Inspected {
                        test,
                        spec,
                        unable: None,
                    },
                );
            }
            Output::Engine(_, order) => {
                let host = &mut self.hosts[i];
                let was = host.engine.ends_at(&host.clock);
                if let Err(why) = host.engine.obey(self.now, &host.clock, &order) {
                    self.nonsense.get_or_insert(format!("n{i}: {why}"));
                }
                let ends = host.engine.ends_at(&host.clock);
                let incarnation = host.incarnation;
                self.note(|| format!("n{i} engine {order:?}"));
                if let Some(at) = ends.filter(|_| ends != was) {
                    self.push(at.max(self.now) + MS, Event::Measure(i, incarnation));
                }
            }
            Output::Event(_, event) => {
                self.cover(&event.kind, &event.text);
                self.note(|| format!("n{i} {}: {}", event.kind, event.text));
            }
            Output::Ended(_) => {
                let reason = self.hosts[i]
                    .test()
                    .and_then(|t| t.ended())
                    .map(|e| format!("{:?}", e.reason));
                self.note(|| format!("n{i} ended: {reason:?}"));
            }
            Output::Verdict(_, verdict) => {
                if verdict == Verdict::Reject {
                    self.nonsense
                        .get_or_insert(format!("n{i} rejects an honest message"));
                }
            }
            Output::Reply(..) | Output::Completed(_) | Output::Log(_) => {}
        }
    }

    pub(super) fn cover(&mut self, kind: &str, text: &str) {
        let c = &mut self.coverage;
        match kind {
            "elected" if text.ends_with("term 1") => c.elections += 1,
            "elected" => c.take_overs += 1,
            "rebalanced" => c.rebalances += 1,
            "lost" => c.losses += 1,
            "joined" => c.joins += 1,
            "ended" if text == "stopped" => c.stops += 1,
            _ => {}
        }
    }

    pub(super) fn send(&mut self, from: usize, to: usize, parcel: &Parcel) {
        for delay in self.weather.copies(&mut self.rng) {
            let parcel = Box::new(parcel.clone());
            self.mix(self.now ^ delay.rotate_left(17) ^ (from as u64) << 8 ^ to as u64);
            self.push(self.now + delay, Event::Deliver { to, from, parcel });
        }
    }

    pub(super) fn deliver(&mut self, to: usize, from: usize, parcel: Box<Parcel>) {
        if self.hosts[to].node.is_none() || !self.cuts.hears(from, to) {
            return;
        }
        let until = self.hosts[to].paused_until;
        if self.now < until {
            self.push(until, Event::Deliver { to, from, parcel });
            return;
        }
        match *parcel {
            Parcel::Gossip(message) => {
                let author = World::name(from);
                self.input(
                    to,
                    Input::Gossip {
                        author,
                        ticket: 0,
                        message,
                    },
                );
            }
            Parcel::Reply(reply) => self.input(
                to,
                Input::Reply {
                    from: World::name(from),
                    reply,
                },
            ),
            Parcel::Request(request) => self.answer(to, from, request),
        }
    }

    pub(super) fn answer(&mut self, to: usize, from: usize, request: Request) {
        let host = &mut self.hosts[to];
        let Some(node) = &mut host.node else {
            return;
        };
        let input = Input::Request {
            from: World::name(from),
            ticket: 0,
            request,
        };
        let outputs = node.handle(host.clock.local(self.now), input);
        for output in outputs {
            match output {
                Output::Reply(_, reply) => self.send(to, from, &Parcel::Reply(reply)),
                other => self.output(to, other),
            }
        }
        // Whatever it decided, it may want to be woken at another time now.
        self.input(to, Input::Tick);
    }

    pub(super) fn measure(&mut self, i: usize, incarnation: u64) {
        let host = &mut self.hosts[i];
        if host.node.is_none() || host.incarnation != incarnation {
            return;
        }
        if self.now < host.paused_until {
            let until = host.paused_until;
            self.push(until, Event::Measure(i, incarnation));
            return;
        }
        host.engine.count(self.now, &host.clock);
        if !host.engine.measures() {
            return self.push(self.now + SECOND, Event::Measure(i, incarnation));
        }
        let is_final = host
            .engine
            .ends_at(&host.clock)
            .is_some_and(|at| self.now > at);
        if is_final {
            host.engine.finish();
        }
        let local = host.clock.local(self.now);
        let elapsed = host
            .engine
            .start()
            .map_or(Duration::ZERO, |s| local.since(s));
        let measurement = measurement(host.engine.requests(), elapsed, is_final);
        self.input(i, Input::Measured(TEST, measurement));
        if !is_final {
            self.push(self.now + SECOND, Event::Measure(i, incarnation));
        }
    }
}
