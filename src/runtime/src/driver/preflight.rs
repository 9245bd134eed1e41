//! Pre-flights: those of other nodes are answered, our own are asked for. Both beside the loop.

use futures::future::{join, join_all};
use tokio::time::timeout_at;

use super::*;
use crate::calls::Call;
use crate::clocks::Reading;
use crate::preflight::{Answer, Asked, Local, Swarm, WAIT, examine, report};
use vajra_core::protocol::Digest;
use vajra_core::protocol::messages::{Advert, Reply};
use vajra_core::protocol::preflight::Preflight;
use vajra_core::protocol::spec::{Balance, SLOTS};
use vajra_core::protocol::split::split;
use vajra_network::RequestFailed;
use vajra_results::preflight::PreflightReport;

/// Most nodes that are asked: each is sent the plan.
const MAX_ASKED: usize = 256;

/// An answer on its way.
type Answered = oneshot::Receiver<Result<Reply, RequestFailed>>;

/// Questions to another node, under way.
struct Question {
    asked: Asked,
    /// None if it is not asked.
    found: Option<Answered>,
    clock: Option<(u64, Instant, Answered)>,
}

impl Driver {
    /// Another node wants to know whether its plan would run here.
    pub(super) fn preflight_asked(
        &mut self,
        from: &Peer,
        ticket: RequestTicket,
        request: Preflight,
    ) {
        let Some(net) = self.net.clone() else {
            return;
        };
        let Ok(permit) = self.preflights.clone().try_acquire_owned() else {
            return net.reply(ticket, &Reply::Refused(busy()));
        };
        tracing::debug!(peer = %network::show_peer(from), plan = ?request.digest, "pre-flight");
        let local = self.local();
        tokio::spawn(async move {
            let found = examine(local, request, false, permit).await;
            net.reply(ticket, &Reply::Preflight(found));
        });
    }

    /// Another node wants to know what time it is here.
    pub(super) fn clock_asked(&self, ticket: RequestTicket) {
        if let Some(net) = &self.net {
            let unix_ms = unix_ms();
            net.reply(ticket, &Reply::Clock { unix_ms });
        }
    }

    /// Asks all nodes, this one included, whether a plan would run.
    pub(super) fn preflight(&mut self, plan: Arc<Plan>, reply: oneshot::Sender<PreflightReport>) {
        let until = Instant::now() + WAIT;
        let spec = inspect::spec_of(&plan);
        let bytes: Arc<[u8]> = plan.to_bytes().into();
        let digest = Digest::of(&bytes);
        let now = self.now();
        let mut others: Vec<Advert> = self
            .core
            .members()
            .live(now)
            .map(|k| k.advert.clone())
            .collect();
        others.sort_by(|a, b| a.name.cmp(&b.name));
        let own = self.own_advert();
        let nodes: Vec<&Advert> = std::iter::once(&own).chain(&others).collect();
        let unfit: Vec<Option<String>> = nodes.iter().map(|a| unfit(&spec, a)).collect();
        let weights: Vec<u32> = nodes
            .iter()
            .zip(&unfit)
            .filter(|(_, unfit)| unfit.is_none())
            .map(|(a, _)| match spec.balance {
                Balance::Capacity => a.capacity,
                Balance::Equal => 1,
            })
            .collect();
        let mut parts = split(SLOTS, &weights).into_iter();
        let mut questions = Vec::new();
        let mut own_request = None;
        for (i, (node, unfit)) in nodes.iter().zip(unfit).enumerate() {
            let mut asked = asked_of(node, i == 0);
            let Some(slots) = unfit.is_none().then(|| parts.next()).flatten() else {
                asked.answer = Answer::Unfit(unfit.unwrap_or_default());
                questions.push(Question::answered(asked));
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
                    questions.push(Question::answered(asked));
                }
                1..=MAX_ASKED => questions.push(self.question(asked, node, request)),
                _ => questions.push(Question::answered(asked)),
            }
        }
        let (local, timings) = (self.local(), self.core.timings().clone());
        let permits = self.preflights.clone();
        let version = own.version.clone();
        tokio::spawn(async move {
            let here = async {
                let request = own_request?;
                match timeout_at(until, permits.acquire_owned()).await {
                    Ok(Ok(permit)) => {
                        Some(Answer::Found(examine(local, request, true, permit).await))
                    }
                    _ => Some(Answer::Refused(busy())),
                }
            };
            let there = join_all(questions.into_iter().map(|q| q.answer(until)));
            let (here, mut asked) = join(here, there).await;
            if let (Some(answer), Some(own)) = (here, asked.first_mut()) {
                own.answer = answer;
            }
            let swarm = Swarm {
                plan: &plan,
                digest,
                round_trip: timings.round_trip,
                authority_lease: timings.authority_lease,
                version: &version,
            };
            // Whoever asked may be gone.
            let _ = reply.send(report(&swarm, asked));
        });
    }

    fn question(&mut self, asked: Asked, node: &Advert, request: Preflight) -> Question {
        let peer = &node.node.peer;
        let (unix, sent) = (unix_ms(), Instant::now());
        let clock = self.ask(peer, Request::Clock);
        Question {
            asked,
            found: Some(self.ask(peer, Request::Preflight(request))),
            clock: Some((unix, sent, clock)),
        }
    }

    pub(super) fn ask(&mut self, to: &Peer, request: Request) -> Answered {
        let (answer, answered) = oneshot::channel();
        self.call(Call {
            to: to.clone(),
            request,
            answer,
        });
        answered
    }

    fn local(&self) -> Local {
        let me = self.core.local();
        Local {
            site: self.room.site.clone(),
            threads: self.room.threads,
            task_types: me.task_types.clone(),
            labels: me.labels.clone(),
            draining: matches!(self.own_status(), Status::Draining | Status::Leaving),
        }
    }

    /// What this node says of itself.
    fn own_advert(&self) -> Advert {
        let me = self.core.local();
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
            status: self.own_status(),
            interval: Duration::ZERO,
            tests: Vec::new(),
            environment: me.environment.clone(),
        }
    }
}

impl Question {
    fn answered(asked: Asked) -> Question {
        Question {
            asked,
            found: None,
            clock: None,
        }
    }

    /// Waits for the answers.
    async fn answer(mut self, until: Instant) -> Asked {
        let Some(found) = self.found else {
            return self.asked;
        };
        let clock = async {
            let (unix, sent, clock) = self.clock?;
            let clock = timeout_at(until, clock).await;
            let took = sent.elapsed();
            match clock {
                Ok(Ok(Ok(Reply::Clock { unix_ms }))) => Some((unix, took, unix_ms)),
                _ => None,
            }
        };
        let (found, clock) = join(timeout_at(until, found), clock).await;
        self.asked.answer = match found {
            Ok(Ok(Ok(Reply::Preflight(found)))) => Answer::Found(found),
            Ok(Ok(Ok(Reply::Refused(why)))) => Answer::Refused(why),
            Ok(Ok(Ok(_))) => Answer::Failed(RequestFailed::Invalid(
                "another answer than asked for".into(),
            )),
            Ok(Ok(Err(e))) => Answer::Failed(e),
            // The driver has ended.
            Ok(Err(_)) => Answer::Failed(RequestFailed::Gone),
            Err(_) => Answer::Failed(RequestFailed::TimedOut),
        };
        if let Some((unix, took, unix_ms)) = clock {
            let reading = Reading::of(unix, took, unix_ms);
            self.asked.clock = Some((reading.offset_ms.round() as i64, reading.round_trip));
        }
        self.asked
    }
}

fn busy() -> String {
    format!("it is busy with {AT_ONCE} other pre-flights; try again")
}

fn unfit(spec: &TestSpec, node: &Advert) -> Option<String> {
    match node.status {
        Status::Draining | Status::Leaving => Some("it is being drained".into()),
        _ => spec.exclusion(&node.task_types, &node.labels),
    }
}

fn asked_of(node: &Advert, is_self: bool) -> Asked {
    Asked {
        peer: network::show_peer(&node.node.peer),
        name: node.name.clone(),
        is_self,
        version: node.version.clone(),
        capacity: node.capacity,
        running: matches!(node.status, Status::Running | Status::Overloaded),
        answer: Answer::NotAsked,
        clock: None,
    }
}
