//! Events, inputs and outputs of processes.

use super::*;

impl World {
    pub(super) fn event(&mut self, i: usize, event: Event) {
        let machine = &mut self.machines[i];
        match machine.state {
            State::Down => return,
            State::Paused => {
                if !matches!(event, Event::Wake { .. }) {
                    machine.inbox.push(event);
                }
                return;
            }
            State::Up => {}
        }
        if matches!(event, Event::Turn) {
            return self.turn(i);
        }
        if let Some(by) = self.network.stall(i) {
            return self.wait_for_turn(i, event, by);
        }
        if !self.machines[i].stalled.is_empty() {
            return self.machines[i].stalled.push(event);
        }
        self.handle_event(i, event);
    }

    /// A starved control thread handles the event when it runs again.
    fn wait_for_turn(&mut self, i: usize, event: Event, by: Duration) {
        let machine = &mut self.machines[i];
        machine.stalled.push(event);
        if machine.turn <= self.now {
            machine.turn = self.now + self.rng.time(Duration::ZERO..by);
            let turn = self.machines[i].turn;
            self.push(turn, Scheduled::To(i, Event::Turn));
        }
    }

    /// A starved control thread handles everything that has arrived.
    fn turn(&mut self, i: usize) {
        for event in std::mem::take(&mut self.machines[i].stalled) {
            if self.machines[i].state == State::Up {
                self.handle_event(i, event);
            }
        }
    }

    fn handle_event(&mut self, i: usize, event: Event) {
        let machine = &self.machines[i];
        let incarnation = machine.incarnation;
        match event {
            Event::Gossip { author, message } => self.input(
                i,
                Input::Gossip {
                    author,
                    message: Gossip::clone(&message),
                },
            ),
            Event::Request {
                from,
                incarnation,
                request,
            } => {
                self.machines[i].requester = Some((from, incarnation));
                self.input(
                    i,
                    Input::Request {
                        from: peer(from),
                        request: Request::clone(&request),
                    },
                );
            }
            Event::Reply {
                from,
                incarnation: to,
                reply,
            } if to == incarnation => self.input(
                i,
                Input::Reply {
                    from: peer(from),
                    reply: Reply::clone(&reply),
                },
            ),
            Event::Connection { with, there: true } => {
                self.input(i, Input::Connected(peer(with)));
            }
            Event::Connection { with, there: false } => {
                self.input(i, Input::Disconnected(peer(with)));
            }
            Event::Wake { due } if due == machine.wakes => self.input(i, Input::Tick),
            Event::Inspected { incarnation: n, of } if n == incarnation => {
                let unable = machine.spec.unable.clone();
                let spec = match machine.spec.cannot_parse {
                    true => Err(PlanRejection("unknown field `simulated`".into())),
                    false => Ok(self.scenario.spec(of)),
                };
                self.tests[of].inspected_last = Some(self.now);
                let test = self.tests[of].id;
                self.input(i, Input::Inspected { test, spec, unable });
            }
            Event::Second { incarnation: n, of } if n == incarnation => self.every_second(i, of),
            Event::LoadOver { incarnation: n, of } if n == incarnation => self.load_over(i, of),
            Event::Engine {
                incarnation: n,
                of,
                due,
            } if n == incarnation => self.engine_wakes(i, of, due),
            Event::HookFinished {
                incarnation: n,
                of,
                hook,
            } if n == incarnation => {
                let outcome = match self.rng.chance(950) {
                    true => Ok(Arc::from(&b"values"[..])),
                    false => Err(HookError::Failed("status 503".into())),
                };
                self.input(i, Input::HookFinished(self.tests[of].id, hook, outcome));
            }
            _ => {}
        }
    }

    pub(super) fn input(&mut self, i: usize, input: Input) {
        let now = self.now;
        let machine = &mut self.machines[i];
        let local = machine.local(now);
        self.trace.note(&[now.as_nanos() as u64, i as u64], || {
            format!("{:10.6} n{i} <- {input:?}", now.as_secs_f64())
        });
        let outputs = machine.node.handle(local, input);
        for output in outputs {
            self.output(i, output);
        }
        self.reschedule(i);
    }

    pub(super) fn reschedule(&mut self, i: usize) {
        let machine = &self.machines[i];
        let Some(due) = machine.spec.clock.truth(machine.node.next_wake()) else {
            return;
        };
        if machine.wake_due <= due && machine.wakes > self.now {
            return;
        }
        self.machines[i].wake_due = due;
        let due = due.max(self.now) + self.rng.time(Duration::from_micros(1)..JITTER);
        let due = due + self.network.slowness(due, i);
        self.machines[i].wakes = due;
        self.push(due, Scheduled::To(i, Event::Wake { due }));
    }

    pub(super) fn output(&mut self, i: usize, output: Output) {
        let now = self.now;
        let incarnation = self.machines[i].incarnation;
        if !matches!(output, Output::Acceptance(..) | Output::Reply(..)) {
            self.trace.note(&[tag(&output)], || {
                format!("{:10.6} n{i}    -> {output:?}", now.as_secs_f64())
            });
        }
        match output {
            Output::Publish(message) => {
                let messages = match self.scenario.wire {
                    true => wire_form::gossip(message),
                    false => Ok(vec![message]),
                };
                for message in self.readable(messages).unwrap_or_default() {
                    self.publish(i, message);
                }
            }
            Output::Send(to, request) => {
                let found = index(&to).filter(|j| *j < self.machines.len());
                if let Some(j) = found {
                    self.meter.request(now, &request);
                    let request = self.corrupt_request(i, request);
                    let request = match self.scenario.wire {
                        true => wire_form::request(&request),
                        false => Ok(request),
                    };
                    let Some(request) = self.readable(request) else {
                        return;
                    };
                    let request = Arc::new(request);
                    let event = Event::Request {
                        from: i,
                        incarnation,
                        request,
                    };
                    self.send(i, j, event);
                }
            }
            Output::Reply(reply) => {
                if let Some((to, incarnation)) = self.machines[i].requester.take() {
                    self.meter.reply(now, &reply);
                    let reply = self.corrupt_reply(i, reply);
                    let reply = match self.scenario.wire {
                        true => wire_form::reply(&reply),
                        false => Ok(reply),
                    };
                    let Some(reply) = self.readable(reply) else {
                        return;
                    };
                    let reply = Arc::new(reply);
                    let event = Event::Reply {
                        from: i,
                        incarnation,
                        reply,
                    };
                    self.send(i, to, event);
                }
            }
            Output::Acceptance(Acceptance::Reject) if !self.captured.any => {
                let text = format!("n{i} rejected a valid message");
                self.broken = Some(("valid messages are not rejected", text));
            }
            Output::Inspect { test, .. } => {
                let of = self.index_of(test);
                let quick = self.rng.time(Duration::from_millis(1)..INSPECTION);
                let spec = &self.machines[i].spec;
                let slow = spec.inspection.unwrap_or_default();
                if spec.cannot_parse {
                    self.coverage.saw("plans that a node cannot parse");
                }
                if !slow.is_zero() {
                    self.coverage.saw("slow data");
                }
                let event = Event::Inspected { incarnation, of };
                self.push(now + quick + slow, Scheduled::To(i, event));
            }
            Output::RunHook(test, hook) => {
                let of = self.index_of(test);
                *self.tests[of].ran.entry(hook).or_default() += 1;
                self.coverage.saw(match hook {
                    Hook::Setup => "setups",
                    Hook::Teardown => "teardowns",
                });
                let longest = Duration::from_millis(if self.rng.chance(950) { 800 } else { 4_000 });
                let at = now + self.rng.time(Duration::from_millis(1)..longest);
                self.push(
                    at,
                    Scheduled::To(
                        i,
                        Event::HookFinished {
                            incarnation,
                            of,
                            hook,
                        },
                    ),
                );
            }
            Output::Engine(test, order) => self.order(i, test, &order),
            Output::Event(_, event) => {
                if event.text.trim().is_empty() {
                    let text = format!("n{i}: {:?} without a text", event.kind);
                    self.broken = Some(("events are true", text));
                }
                self.record_event(&event.kind, &event.text);
            }
            Output::Acceptance(..)
            | Output::Led(..)
            | Output::Ended(_)
            | Output::Completed(_)
            | Output::Log(_) => {}
        }
    }

    /// A message that its receivers read as it was sent; otherwise an invariant is violated.
    fn readable<T>(&mut self, message: Result<T, String>) -> Option<T> {
        message
            .map_err(|why| self.broken = Some(("messages have a wire form", why)))
            .ok()
    }

    fn publish(&mut self, i: usize, message: Gossip) {
        self.meter
            .gossip(self.now, &message, self.machines.len() - 1);
        let message = Arc::new(message);
        let author = peer(i);
        self.captured.overhear(&author, &message);
        for j in (0..self.machines.len()).filter(|j| *j != i) {
            let event = Event::Gossip {
                author: author.clone(),
                message: message.clone(),
            };
            self.gossip(i, j, event);
        }
    }

    pub(super) fn record_event(&mut self, kind: &EventKind, text: &str) {
        let situation = match kind {
            EventKind::Elected => {
                if !text.ends_with("term 1") {
                    self.coverage.saw("take-overs");
                }
                "elections"
            }
            EventKind::Rebalanced => "rebalances",
            EventKind::ShareReduced => "shares of overloaded workers reduced",
            EventKind::Registered if text.contains("keeps") => "shares kept",
            EventKind::Ended if text.contains("was lost") => "tests ended by a loss",
            EventKind::Lost => {
                if self.scenario.plan.on_lost_worker == OnLoss::Hold {
                    self.coverage.saw("shares held");
                }
                "workers lost"
            }
            EventKind::Scaled => "loads scaled",
            EventKind::Paused => "loads paused",
            EventKind::Joined => "late joiners",
            EventKind::Rejoined => "workers rejoined",
            EventKind::Refused => "refusals",
            _ => return,
        };
        self.coverage.saw(situation);
    }

    /// Sends gossip directly, or around a cut via a reachable machine.
    pub(super) fn gossip(&mut self, from: usize, to: usize, event: Event) {
        if !self.network.cut(from, to) {
            return self.send(from, to, event);
        }
        let relay = self.machines.iter().find(|m| {
            m.state == State::Up
                && !self.network.cut(from, m.index)
                && !self.network.cut(m.index, to)
        });
        let Some(relay) = relay.map(|m| m.index) else {
            return;
        };
        for there in self.network.arrivals(self.now, from, relay) {
            for at in self.network.arrivals(there, relay, to) {
                let at = at + self.network.slowness(at, to);
                self.push(at, Scheduled::To(to, event.clone()));
            }
        }
    }

    pub(super) fn send(&mut self, from: usize, to: usize, event: Event) {
        for at in self.network.arrivals(self.now, from, to) {
            let at = at + self.network.slowness(at, to);
            self.push(at, Scheduled::To(to, event.clone()));
        }
    }
}

fn tag(output: &Output) -> u64 {
    match output {
        Output::Publish(Gossip::Advert(_)) => 10,
        Output::Publish(Gossip::Test(_)) => 11,
        Output::Publish(Gossip::Snapshot(_)) => 12,
        Output::Send(..) => 13,
        Output::Reply(..) => 14,
        Output::Acceptance(..) => 15,
        Output::Inspect { .. } => 16,
        Output::Engine(_, EngineOrder::Share { slots, .. }) => 1_000 + slots.len(),
        Output::Engine(_, EngineOrder::Lease(until)) => until.0.unsigned_abs(),
        Output::Engine(..) => 17,
        Output::Event(..) => 18,
        Output::Ended(_) => 19,
        Output::Completed(_) => 20,
        Output::Log(_) => 21,
        Output::RunHook(..) => 22,
        Output::Led(..) => 23,
    }
}
