//! Executes the outputs of the protocol.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Driver;
use super::tasks::TaskDone;
use crate::data_files::{DataError, PlanData};
use vajra_core::Numbers;

use crate::engine::{EngineRun, empty_measurement};
use crate::plans::{Inspected, inspect};
use crate::queries::{live_peers, newest_term};
use vajra_core::Hook;
use vajra_core::protocol::messages::{Gossip, Reply};
use vajra_core::protocol::spec::TestSpec;
use vajra_core::protocol::{
    Acceptance, EngineHeld, EngineOrder, Input, Measurement, Output, Peer, TestId,
};
use vajra_network as network;
use vajra_wire as wire;

/// What the protocol decided about a message or request.
#[derive(Default)]
pub(super) struct Decision {
    /// Whether a gossip message is forwarded.
    pub acceptance: Option<Acceptance>,
    /// The reply to a request.
    pub reply: Option<Reply>,
}

impl Driver {
    /// An input without a decision.
    pub(super) fn input(&mut self, input: Input) {
        self.handle(input);
    }

    /// Passes an input to the protocol, and executes its outputs.
    pub(super) fn handle(&mut self, input: Input) -> Decision {
        let mut decision = Decision::default();
        for output in self.core.handle(self.clock.now(), input) {
            match output {
                Output::Acceptance(acceptance) => decision.acceptance = Some(acceptance),
                Output::Reply(reply) => decision.reply = Some(reply),
                Output::Publish(gossip) => self.publish(gossip),
                Output::Send(to, request) => self.swarm.calls.send(to, &request),
                Output::Inspect {
                    test,
                    submitted_here,
                    plan,
                } => self.inspect(test, submitted_here, plan),
                Output::Engine(test, order) => self.engine_order(test, order),
                Output::RunHook(test, hook) => self.run_hook(test, hook),
                Output::Event(test, event) => {
                    let peer = event.node.as_ref().map(|n| network::show_peer(&n.peer));
                    let (term, kind) = (newest_term(&self.core, test), &event.kind);
                    tracing::info!(%test, term, peer, event = %kind, "{kind}: {}", event.text);
                }
                Output::Led(test, node) => {
                    let peer = network::show_peer(&node.peer);
                    let known = self.core.members().get(&node.peer);
                    let name = known.map_or("another node", |k| &k.advert.name);
                    let term = newest_term(&self.core, test);
                    tracing::info!(%test, term, peer, "{name} coordinates the test");
                }
                Output::Ended(test) => {
                    tracing::info!(%test, term = newest_term(&self.core, test), "ended");
                }
                Output::Completed(test) => self.save(test),
                Output::Log(text) => tracing::info!("{text}"),
            }
        }
        decision
    }

    /// A snapshot is split into messages. Pieces that exceed the size limit of gossip reach only
    /// the coordinator and nodes that fetch them.
    fn publish(&self, gossip: Gossip) {
        let Some(net) = &self.swarm.net else {
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

    // ---- plans ----

    fn inspect(&mut self, test: TestId, is_own: bool, bytes: Arc<[u8]>) {
        self.plans.announced(test, is_own);
        self.timelines.track(test);
        let (engine, local) = (self.engine.host.clone(), self.core.local().clone());
        let inspection = inspect(test, bytes, is_own, engine, local);
        self.tasks
            .spawn(inspection, |inspected| Some(TaskDone::Inspected(inspected)));
    }

    pub(super) fn inspected(&mut self, inspected: Inspected) {
        let test = inspected.test;
        let (spec, unable) = match inspected.outcome {
            Ok(read) => {
                self.plans
                    .insert(test, read.plan.clone(), read.redacted.clone());
                if read.unable.is_none() {
                    let sources = self.data_sources(test);
                    let context = &self.engine.host.context;
                    let fetch = self.data.fetch(context, &read.plan, sources);
                    self.tasks.spawn(fetch, move |data| {
                        Some(TaskDone::DataReady(test, read.spec, data))
                    });
                    return;
                }
                (Ok(read.spec), read.unable)
            }
            Err(e) => (Err(e.to_string().into()), None),
        };
        self.input(Input::Inspected { test, spec, unable });
    }

    pub(super) fn data_ready(
        &mut self,
        test: TestId,
        spec: TestSpec,
        data: Result<PlanData, DataError>,
    ) {
        let unable = match data {
            Ok(data) => {
                if !self.results.is_saved(test) {
                    self.data.keep(test, data);
                }
                None
            }
            Err(e) => Some(e.to_string()),
        };
        self.input(Input::Inspected {
            test,
            spec: Ok(spec),
            unable,
        });
    }

    /// The nodes that may have the data of a test: its submitter, its electors, then all others.
    fn data_sources(&self, test: TestId) -> Vec<Peer> {
        let announced = self.core.tests().get(&test).map(|t| t.announcement());
        let named = announced.into_iter().flat_map(|a| {
            let electors = a.electorate.iter();
            std::iter::once(&a.submitter).chain(electors)
        });
        let mut sources: Vec<Peer> = named.map(|n| n.peer.clone()).collect();
        sources.extend(live_peers(&self.core, self.now()));
        let mut seen = BTreeSet::new();
        sources.retain(|p| *p != self.core.local().node.peer && seen.insert(p.clone()));
        sources
    }

    // ---- load ----

    fn engine_order(&mut self, test: TestId, order: EngineOrder) {
        if order == EngineOrder::Prepare
            && let Some(plan) = self.plans.get(test).cloned()
        {
            let finished = self.tasks.callback(move || TaskDone::LoadFinished(test));
            let (term, is_own) = (newest_term(&self.core, test), self.plans.is_own(test));
            let held_changed = self.tasks.callback(move || TaskDone::HeldChanged(test));
            let host = &self.engine.host;
            match host.prepare(test, term, plan, is_own, finished, held_changed) {
                Ok(run) => drop(self.engine.runs.insert(test, run)),
                Err(e) => {
                    tracing::error!(%test, term, "cannot prepare the load: {e}");
                    // Without a final measurement the other nodes would wait for it at the end.
                    let empty = std::future::ready(Some(empty_measurement()));
                    self.spawn_measurement(test, Some(empty));
                }
            }
        }
        match self.engine.runs.get_mut(&test) {
            Some(run) => {
                run.order(&order);
                let numbers = matches!(
                    order,
                    EngineOrder::Numbers { .. } | EngineOrder::ReturnNumbers
                );
                if numbers {
                    self.report_held(test);
                }
            }
            None => self.report_ended_share(test, &order),
        }
    }

    /// Reports what the engine acts on besides its newest share.
    /// The engine holds something else: reports it, or does so later if it has just reported.
    pub(super) fn held_changed(&mut self, test: TestId) {
        let wait = self.engine.runs.get(&test).map(EngineRun::held_wait);
        match wait.filter(|wait| !wait.is_zero()) {
            Some(wait) => self.tasks.spawn(tokio::time::sleep(wait), move |()| {
                Some(TaskDone::HeldChanged(test))
            }),
            None => self.report_held(test),
        }
    }

    pub(super) fn report_held(&mut self, test: TestId) {
        if let Some(run) = self.engine.runs.get_mut(&test) {
            let held = run.held();
            self.input(Input::Held(test, held));
        }
    }

    /// An engine that has ended acts on nothing, whatever its share.
    fn report_ended_share(&mut self, test: TestId, order: &EngineOrder) {
        if let EngineOrder::Share { change, .. } = order {
            let last = self.engine.ended.get(&test).cloned();
            let held = EngineHeld {
                change: *change,
                ..last.unwrap_or_default()
            };
            self.input(Input::Held(test, held));
        }
    }

    pub(super) fn spawn_measurement(
        &self,
        test: TestId,
        measurement: Option<impl Future<Output = Option<Measurement>> + Send + 'static>,
    ) {
        if let Some(measurement) = measurement {
            self.tasks
                .spawn(measurement, move |m| m.map(|m| TaskDone::Measured(test, m)));
        }
    }

    /// The load of a test is done: a final measurement, even if the test has ended before.
    pub(super) fn load_finished(&mut self, test: TestId) {
        if let Some(mut run) = self.engine.runs.remove(&test) {
            let held = run.held();
            self.input(Input::Held(test, held.clone()));
            let returned = Numbers::EMPTY;
            self.engine
                .ended
                .insert(test, EngineHeld { returned, ..held });
            let measurement = run.measure(true, Duration::ZERO);
            self.spawn_measurement(test, measurement);
        }
    }

    fn run_hook(&mut self, test: TestId, hook: Hook) {
        let host = &self.engine.host;
        match self.hooks.run(&self.core, &self.plans, host, test, hook) {
            Ok(run) => self.tasks.spawn(run, |run| Some(TaskDone::HookRan(run))),
            Err(e) => self.input(Input::HookFinished(test, hook, Err(e.to_string().into()))),
        }
    }
}
