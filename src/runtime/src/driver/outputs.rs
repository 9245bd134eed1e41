//! What the protocol wants done.

use super::*;

impl Driver {
    pub(super) fn handle(
        &mut self,
        input: Input,
        gossip: Option<GossipTicket>,
        request: Option<RequestTicket>,
    ) {
        let outputs = self.core.handle(self.now(), input);
        let (mut gossip, mut request) = (gossip, request);
        for output in outputs {
            match output {
                Output::Acceptance(_, acceptance) => {
                    if let (Some(net), Some(ticket)) = (&self.net, gossip.take()) {
                        net.set_acceptance(ticket, acceptance);
                    }
                }
                Output::Reply(_, reply) => {
                    if let (Some(net), Some(ticket)) = (&self.net, request.take()) {
                        net.reply(ticket, &reply);
                    }
                }
                other => self.output(other),
            }
        }
    }

    pub(super) fn output(&mut self, output: Output) {
        match output {
            Output::Publish(gossip) => self.publish(gossip),
            Output::Send(to, request) => self.send(to, &request),
            Output::Inspect {
                test,
                submitter,
                plan,
            } => self.inspect_plan(test, &submitter, plan),
            Output::Engine(test, order) => self.engine(test, order),
            Output::RunHook(test, once) => self.run_once(test, once),
            Output::Event(test, event) => {
                let peer = event.node.as_ref().map(|n| network::show_peer(&n.peer));
                let term = self.term_of(test);
                tracing::info!(%test, term, peer, event = event.kind.as_str(), "{}: {}", event.kind, event.text);
            }
            Output::Led(test, node) => {
                let peer = network::show_peer(&node.peer);
                let known = self.core.members().get(&node.peer);
                let name = known.map_or("another node", |k| &k.advert.name);
                tracing::info!(%test, term = self.term_of(test), peer, "{name} coordinates it");
            }
            Output::Ended(test) => {
                tracing::info!(%test, term = self.term_of(test), "ended");
            }
            Output::Completed(test) => self.finish(test),
            Output::Log(text) => tracing::info!("{text}"),
            Output::Acceptance(..) | Output::Reply(..) => {}
        }
    }

    /// A snapshot goes out in as few messages as it fits; what is too large for any goes to
    /// the coordinator, and to whoever fetches it.
    pub(super) fn publish(&self, gossip: Gossip) {
        let Some(net) = &self.net else {
            return;
        };
        let Gossip::Snapshot(snapshot) = &gossip else {
            net.publish(&gossip);
            return;
        };
        let (parts, left_out) = wire::split_snapshot(snapshot);
        for part in parts {
            net.publish(&Gossip::Snapshot(part));
        }
        if left_out > 0 {
            tracing::debug!(left_out, "pieces of a snapshot are too large for gossip");
        }
    }

    pub(super) fn send(&mut self, to: Peer, request: &Request) {
        self.requests += 1;
        if let Some(net) = &self.net
            && let Err(e) = net.request(to, request, self.requests)
        {
            tracing::debug!("request not sent: {e}");
        }
    }

    pub(super) fn inspect_plan(&mut self, test: TestId, submitter: &NodeId, bytes: Arc<[u8]>) {
        let own = *submitter == self.core.local().node;
        self.served(test).own = own;
        let (answer, room) = (self.inspect.clone(), self.room.clone());
        let (bringing, sources) = (self.bringing(), self.sources(test));
        let me = self.core.local().clone();
        // Resolving the target's name and fetching data take their time; the loop goes on.
        tokio::spawn(async move {
            let inspected = match Plan::from_bytes(&bytes) {
                Ok(plan) => {
                    let plan = Arc::new(plan);
                    let spec = inspect::spec_of(&plan);
                    let unfit = spec.exclusion(&me.task_types, &me.labels);
                    let unable = match unfit {
                        Some(unfit) => Some(unfit),
                        None => room.unable(&plan, own).await,
                    };
                    let looked = Inspected {
                        test,
                        spec: None,
                        unable: None,
                        plan: Some(plan.clone()),
                        data: None,
                    };
                    // The driver may have ended meanwhile; so below.
                    let _ = answer.send(looked).await;
                    let (data, unable) = match unable {
                        Some(why) => (None, Some(why)),
                        None => match data::bring(bringing, &room.site, &plan, &sources).await {
                            Ok(data) => (Some(data), None),
                            Err(why) => (None, Some(why)),
                        },
                    };
                    Inspected {
                        test,
                        spec: Some(Ok(spec)),
                        unable,
                        plan: Some(plan),
                        data,
                    }
                }
                Err(e) => Inspected {
                    test,
                    plan: None,
                    spec: Some(Err(e.to_string())),
                    unable: None,
                    data: None,
                },
            };
            let _ = answer.send(inspected).await;
        });
    }

    pub(super) fn plan_inspected(&mut self, i: Inspected) {
        let served = self.served(i.test);
        served.plan = i.plan;
        let Some(spec) = i.spec else {
            return;
        };
        if !served.written {
            served.data = i.data;
        }
        self.input(Input::Inspected {
            test: i.test,
            spec: spec.map_err(Into::into),
            unable: i.unable,
        });
    }

    pub(super) fn engine(&mut self, test: TestId, order: EngineOrder) {
        let room = self.room.clone();
        let term = self.term_of(test);
        let served = self.served(test);
        if order == EngineOrder::Prepare
            && let Some(plan) = served.plan.clone()
        {
            match room.prepare(test, term, plan, served.own) {
                Ok(run) => served.run = Some(run),
                Err(e) => {
                    tracing::error!(%test, term, "cannot prepare the load: {e}");
                    // It carries nothing, and must not keep the others waiting at the end.
                    room.nothing_measured(test);
                }
            }
        }
        if let Some(run) = &mut served.run {
            run.order(&order);
        }
    }

    /// A load is over: it is measured once more, also if its test ended before that, and
    /// then let go.
    pub(super) fn run_finished(&mut self, test: TestId) {
        let served = self.tests.get_mut(&test);
        if let Some(mut run) = served.and_then(|s| s.run.take()) {
            run.measure(true, Duration::ZERO);
        }
    }
}
