//! Pre-flight checks over the swarm: asks all nodes, this one included, whether a plan would run.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use tokio::time::{Instant, timeout_at};

use super::report::{CheckedNode, NodeAnswer, SwarmContext, report};
use super::{Local, Preflights, TIMEOUT, busy, examine};
use crate::names::DisplayNames;
use crate::peers::calls::{Calls, PendingReply};
use crate::peers::clocks::Reading;
use crate::plans::spec_of;
use crate::time::unix_ms;
use vajra_core::protocol::messages::{Advert, Reply, Request, Status};
use vajra_core::protocol::preflight::Preflight;
use vajra_core::protocol::spec::{Balance, SLOTS, TestSpec};
use vajra_core::protocol::split::split;
use vajra_core::protocol::{Digest, Node, Time};
use vajra_network::{self as network, RequestFailed};
use vajra_plan::Plan;
use vajra_results::preflight::PreflightReport;

/// Most nodes asked; each is sent the plan.
const MAX_ASKED: usize = 256;

/// Requests to another node in progress.
struct Query {
    node: CheckedNode,
    /// None if the node is not asked.
    reply: Option<PendingReply>,
    clock: Option<ClockQuery>,
}

struct ClockQuery {
    sent_unix_ms: u64,
    sent: Instant,
    reply: PendingReply,
}

impl Preflights {
    /// Asks all nodes whether a plan would run.
    pub fn query(
        &self,
        plan: Arc<Plan>,
        local: Local,
        core: &Node,
        now: Time,
        calls: &mut Calls,
    ) -> impl Future<Output = PreflightReport> + Send + use<> {
        let until = Instant::now() + TIMEOUT;
        let spec = spec_of(&plan);
        let bytes: Arc<[u8]> = plan.to_bytes().into();
        let digest = Digest::of(&bytes);
        let live = core
            .members()
            .live(now)
            .map(|known| Advert::clone(&known.advert));
        let mut others: Vec<Advert> = live.collect();
        others.sort_by(|a, b| a.name.cmp(&b.name));
        let own = own_advert(core, now);
        let nodes: Vec<&Advert> = std::iter::once(&own).chain(&others).collect();
        let names = nodes.iter().map(|a| (&a.node.peer, a.name.as_str()));
        let names = DisplayNames::of(names);
        let unfit: Vec<Option<String>> = nodes.iter().map(|a| unfit(&spec, a)).collect();
        let fit = nodes.iter().zip(&unfit).filter(|(_, why)| why.is_none());
        let weights: Vec<u32> = fit
            .map(|(a, _)| match spec.balance {
                Balance::Capacity => a.capacity,
                Balance::Equal => 1,
            })
            .collect();
        let mut shares = split(SLOTS, &weights).into_iter();
        let mut queries = Vec::new();
        let mut own_request = None;
        for (i, (advert, unfit)) in nodes.iter().zip(unfit).enumerate() {
            let name = names.show(&advert.node.peer, &advert.name);
            let mut node = unasked(advert, name, i == 0);
            let Some(slots) = unfit.is_none().then(|| shares.next()).flatten() else {
                node.answer = NodeAnswer::Unfit(unfit.unwrap_or_default());
                queries.push(Query::done(node));
                continue;
            };
            let request = Preflight {
                digest,
                plan: bytes.clone(),
                slots,
            };
            match i {
                0 => {
                    own_request = Some(request);
                    queries.push(Query::done(node));
                }
                1..=MAX_ASKED => queries.push(Query::send(node, advert, request, calls)),
                _ => queries.push(Query::done(node)),
            }
        }
        let (timings, permits) = (core.timings().clone(), self.permits.clone());
        let version = own.version.clone();
        async move {
            let here = async {
                let request = own_request?;
                match timeout_at(until, permits.acquire_owned()).await {
                    Ok(Ok(permit)) => {
                        let reply = examine(local, request, true, permit).await;
                        Some(NodeAnswer::Checked(reply))
                    }
                    _ => Some(NodeAnswer::Refused(busy())),
                }
            };
            let others = join_all(queries.into_iter().map(|query| query.wait(until)));
            let (here, mut nodes) = join(here, others).await;
            if let (Some(answer), Some(own)) = (here, nodes.first_mut()) {
                own.answer = answer;
            }
            let context = SwarmContext {
                plan: &plan,
                digest,
                round_trip: timings.round_trip,
                authority_lease: timings.authority_lease,
                version: &version,
            };
            report(&context, nodes)
        }
    }
}

impl Query {
    fn send(node: CheckedNode, advert: &Advert, request: Preflight, calls: &mut Calls) -> Query {
        let peer = &advert.node.peer;
        // The clock first, so that sending the plan does not delay it.
        let clock = ClockQuery {
            sent_unix_ms: unix_ms(),
            sent: Instant::now(),
            reply: calls.ask(peer, Request::Clock),
        };
        Query {
            node,
            reply: Some(calls.ask(peer, Request::Preflight(request))),
            clock: Some(clock),
        }
    }

    fn done(node: CheckedNode) -> Query {
        Query {
            node,
            reply: None,
            clock: None,
        }
    }

    /// Waits for the replies.
    async fn wait(mut self, until: Instant) -> CheckedNode {
        let Some(reply) = self.reply else {
            return self.node;
        };
        let clock = async {
            let query = self.clock?;
            let reply = timeout_at(until, query.reply).await;
            let took = query.sent.elapsed();
            match reply {
                Ok(Ok(Ok(Reply::Clock { unix_ms }))) => {
                    Some(Reading::of(query.sent_unix_ms, took, unix_ms))
                }
                _ => None,
            }
        };
        let (reply, clock) = join(timeout_at(until, reply), clock).await;
        self.node.answer = match reply {
            Ok(Ok(Ok(Reply::Preflight(reply)))) => NodeAnswer::Checked(reply),
            Ok(Ok(Ok(Reply::Refused(why)))) => NodeAnswer::Refused(why),
            Ok(Ok(Ok(_))) => NodeAnswer::Failed(RequestFailed::Invalid("unexpected reply".into())),
            Ok(Ok(Err(e))) => NodeAnswer::Failed(e),
            // The driver has ended.
            Ok(Err(_)) => NodeAnswer::Failed(RequestFailed::Gone),
            Err(_) => NodeAnswer::Failed(RequestFailed::TimedOut),
        };
        self.node.clock = clock.map(|c| (c.offset_ms.round() as i64, c.round_trip));
        self.node
    }
}

fn unfit(spec: &TestSpec, node: &Advert) -> Option<String> {
    match node.status {
        Status::Draining | Status::Leaving => Some(super::DRAINING.into()),
        _ => spec.exclusion(&node.task_types, &node.labels),
    }
}

fn unasked(node: &Advert, name: String, is_self: bool) -> CheckedNode {
    CheckedNode {
        peer: network::show_peer(&node.node.peer),
        name,
        is_self,
        version: node.version.clone(),
        capacity: node.capacity,
        running: matches!(node.status, Status::Running | Status::Overloaded),
        answer: NodeAnswer::NotAsked,
        clock: None,
    }
}

/// The advert of this node, as far as pre-flight checks need it.
fn own_advert(core: &Node, now: Time) -> Advert {
    let me = core.local();
    Advert {
        node: me.node.clone(),
        number: 0,
        name: me.name.clone(),
        version: me.version.clone(),
        addresses: Vec::new(),
        capacity: me.capacity,
        load: 0,
        task_types: me.task_types.clone(),
        labels: me.labels.clone(),
        status: core.status(now),
        interval: Duration::ZERO,
        tests: Vec::new(),
        environment: me.environment.clone(),
    }
}
