//! The driver's loop: whatever happens becomes an input to the protocol, and whatever the
//! protocol wants done is done here. One thread, one loop, no locks.

mod commands;
mod data;
mod history;
mod neighbours;
mod once;
mod outputs;
mod preflight;
mod recording;
mod steering;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::blobs::Blobs;
use super::engine::{EngineHost, EngineRun};
use super::handle::{Command, CommandError, StartOptions};
use super::history::ResultSummary;
use super::inspect;
use super::preflight::AT_ONCE;
use super::store::Store;
use super::view;
use data::{DataRoom, Held};
use vajra_core::protocol::messages::{Gossip, Request, Status, StopOrder};
use vajra_core::protocol::spec::{Submission, TestSpec};
use vajra_core::protocol::{
    EngineOrder, Input, Measurement, Node, NodeId, Output, Peer, TestId, Time,
};
use vajra_network::{
    self as network, DataDir, GossipTicket, NetworkEvent, NetworkHandle, RequestTicket,
};
use vajra_plan::{Plan, Sha256};
use vajra_results::{TestResult, check};
use vajra_wire as wire;

/// Longest sleep: the lease clock counts suspension and tokio's does not, so a node that was
/// suspended notices at the latest after this.
const MAX_SLEEP: Duration = Duration::from_millis(250);
/// Difference of the wall clock and the node's own that is drift; more is a clock that was set.
const MOST_DRIFT_MS: u64 = 1_000;
/// Time that a leaving node gives its messages to get out.
const FAREWELL: Duration = Duration::from_millis(300);
/// Inspected plans waiting for the driver.
const INSPECT_QUEUE: usize = 64;
/// How long after its end an incomplete result is written for good.
const WRITE_INCOMPLETE_AFTER: Duration = Duration::from_secs(10);

/// What a driver is made of.
#[derive(Debug)]
pub struct Parts {
    /// The protocol.
    pub core: Node,
    /// The network; none when standing alone.
    pub net: Option<NetworkHandle>,
    /// What the network says.
    pub events: mpsc::Receiver<NetworkEvent>,
    /// What callers want.
    pub commands: mpsc::Receiver<Command>,
    /// The load engine.
    pub room: EngineHost,
    /// Measurements of it.
    pub measured: mpsc::Receiver<(TestId, Measurement)>,
    /// Runs of it that are over.
    pub finished: mpsc::Receiver<TestId>,
    /// Results on disk.
    pub store: Store,
    /// Data files.
    pub blobs: Blobs,
    /// Where this node can be dialled.
    pub addresses: Vec<String>,
    /// How many bootstrap addresses were given.
    pub bootstraps: usize,
    /// Keeps the data directory locked.
    pub dir: Option<DataDir>,
}

struct Inspected {
    test: TestId,
    plan: Option<Arc<Plan>>,
    /// `None` while its data is being fetched.
    spec: Option<Result<TestSpec, String>>,
    unable: Option<String>,
    data: Option<Held>,
}

struct WaitingStart {
    plan: Arc<Plan>,
    nodes: u32,
    reply: oneshot::Sender<Result<TestId, CommandError>>,
    /// Its data, if it has any; the other nodes have had time to fetch it.
    data: Option<Held>,
    spread: bool,
}

/// One test as the driver serves it.
pub(super) struct Served {
    /// The plan, once inspected.
    pub plan: Option<Arc<Plan>>,
    run: Option<EngineRun>,
    /// Its data, until it has ended.
    data: Option<Held>,
    /// Its announcement came from this node.
    own: bool,
    /// Until when its setup or teardown may send, if it is run here.
    authority: once::Authority,
    /// The test over time, and who listens to it.
    live: recording::Live,
    /// The final result, once it is complete.
    pub result: Option<Arc<TestResult>>,
    written: bool,
}

/// The driver of a node.
pub struct Driver {
    pub(super) core: Node,
    net: Option<NetworkHandle>,
    events: mpsc::Receiver<NetworkEvent>,
    commands: mpsc::Receiver<Command>,
    pub(super) room: EngineHost,
    measured: mpsc::Receiver<(TestId, Measurement)>,
    finished: mpsc::Receiver<TestId>,
    inspected: mpsc::Receiver<Inspected>,
    inspect: mpsc::Sender<Inspected>,
    once: mpsc::Receiver<once::Ran>,
    ran: mpsc::Sender<once::Ran>,
    learned: mpsc::Receiver<neighbours::Learned>,
    learn: mpsc::Sender<neighbours::Learned>,
    looks: mpsc::Receiver<recording::Looked>,
    looked_to: mpsc::Sender<recording::Looked>,
    kept: mpsc::Receiver<recording::Kept>,
    kept_to: mpsc::Sender<recording::Kept>,
    pub(super) store: Store,
    data: DataRoom,
    pub(super) history: history::HistoryRoom,
    pub(super) neighbours: neighbours::Neighbours,
    pub(super) tests: HashMap<TestId, Served>,
    waiting: Vec<WaitingStart>,
    steered: Vec<steering::Steered>,
    addresses: Vec<String>,
    /// Unix time in milliseconds when the node's clock stood at nothing.
    origin_unix_ms: u64,
    requests: u64,
    /// Who waits for the answer to a request of ours.
    preflights: Arc<Semaphore>,
    next_second: Instant,
    next_pace: Time,
    leaving: Option<(Instant, Vec<oneshot::Sender<()>>)>,
    unreached: usize,
    connected: BTreeSet<Peer>,
    /// Tests that ended, here or in an earlier life; their results are in the store.
    pub(super) old: BTreeMap<TestId, ResultSummary>,
    _dir: Option<DataDir>,
}

impl Driver {
    /// A driver, not yet running.
    pub fn new(parts: Parts) -> Driver {
        let (inspect, inspected) = mpsc::channel(INSPECT_QUEUE);
        let (ran, once) = mpsc::channel(INSPECT_QUEUE);
        let (learn, learned) = mpsc::channel(neighbours::LEARN_QUEUE);
        let (looked_to, looks) = mpsc::channel(INSPECT_QUEUE);
        let (kept_to, kept) = mpsc::channel(INSPECT_QUEUE);
        let old = parts.store.ids().into_iter();
        let old = old
            .filter_map(|id| Some((id, ResultSummary::of(&*parts.store.get(id)?))))
            .collect();
        Driver {
            origin_unix_ms: origin_unix_ms(Time(parts.room.clock.now().0)),
            core: parts.core,
            net: parts.net,
            events: parts.events,
            commands: parts.commands,
            room: parts.room,
            measured: parts.measured,
            finished: parts.finished,
            inspect,
            inspected,
            once,
            ran,
            learned,
            learn,
            looks,
            looked_to,
            kept,
            kept_to,
            store: parts.store,
            data: DataRoom::new(parts.blobs),
            history: history::HistoryRoom::new(),
            neighbours: neighbours::Neighbours::default(),
            tests: HashMap::new(),
            waiting: Vec::new(),
            steered: Vec::new(),
            addresses: parts.addresses,
            requests: 0,
            preflights: Arc::new(Semaphore::new(AT_ONCE)),
            next_second: Instant::now(),
            next_pace: Time(0),
            leaving: None,
            unreached: parts.bootstraps,
            connected: BTreeSet::new(),
            old,
            _dir: parts.dir,
        }
    }

    pub(super) fn now(&self) -> Time {
        Time(self.room.clock.now().0)
    }

    /// An instant as Unix time in milliseconds: always the same for the same instant, unless the
    /// wall clock was set since the driver began.
    pub(super) fn unix_ms_of(&self, at: Time) -> u64 {
        let now = origin_unix_ms(self.now());
        let origin = match now.abs_diff(self.origin_unix_ms) > MOST_DRIFT_MS {
            true => now,
            false => self.origin_unix_ms,
        };
        origin.saturating_add(at.0 / 1_000_000)
    }

    /// Runs until the node has left.
    pub async fn run(mut self) {
        self.input(Input::Addresses(self.addresses.clone()));
        loop {
            if let Some((at, _)) = &self.leaving
                && Instant::now() >= *at
            {
                break;
            }
            let wake = self.sleep_for();
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(event) => self.network(event),
                    None => {
                        tracing::error!("the network has ended");
                        break;
                    }
                },
                Some((test, m)) = self.measured.recv() => self.input(Input::Measured(test, m)),
                Some(test) = self.finished.recv() => self.run_finished(test),
                Some(inspected) = self.inspected.recv() => self.plan_inspected(inspected),
                Some((test, once, how)) = self.once.recv() => {
                    self.input(Input::HookFinished(test, once, how.map_err(Into::into)));
                }
                Some(learned) = self.learned.recv() => self.learned(learned),
                Some(looked) = self.looks.recv() => self.looked(looked),
                Some(kept) = self.kept.recv() => self.kept_now(kept),
                Some(call) = self.data.calling.recv() => self.call(call),
                Some(start) = self.data.readied.recv() => self.waiting.push(start),
                Some(command) = self.commands.recv() => self.command(command),
                () = tokio::time::sleep(wake) => {}
            }
            if self.core.next_wake() <= self.now() {
                self.input(Input::Tick);
            }
            self.next_pace = self.pace();
            if Instant::now() >= self.next_second {
                self.every_second();
            }
            self.start_waiting();
            self.answer_steered();
            self.tell_authority();
        }
        if let Some(net) = &self.net {
            net.shutdown().await;
        }
        for done in self.leaving.take().into_iter().flat_map(|(_, d)| d) {
            // The caller may have given up waiting.
            let _ = done.send(());
        }
    }

    fn sleep_for(&self) -> Duration {
        let until_wake = self.core.next_wake().since(self.now());
        let until_second = self.next_second.saturating_duration_since(Instant::now());
        let until_pace = self.next_pace.since(self.now());
        until_wake.min(until_second).min(until_pace).min(MAX_SLEEP)
    }

    // ---- the network ----

    fn network(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Gossip {
                author,
                ticket,
                message,
                ..
            } => {
                self.dial_advertised(&author, &message);
                let advertised = matches!(message, Gossip::Advert(_)).then(|| author.clone());
                let input = Input::Gossip {
                    author,
                    ticket: 0,
                    message,
                };
                self.handle(input, Some(ticket), None);
                if let Some(author) = advertised {
                    self.look_at(&author);
                }
            }
            NetworkEvent::Request {
                from,
                ticket,
                request: Request::Preflight(request),
            } => self.preflight_asked(&from, ticket, request),
            NetworkEvent::Request {
                ticket,
                request: Request::Clock,
                ..
            } => self.clock_asked(ticket),
            NetworkEvent::Request {
                ticket,
                request: Request::FetchRecord { record, offset },
                ..
            } => self.record_asked(ticket, record, offset),
            NetworkEvent::Request {
                from,
                ticket,
                request,
            } => {
                let Some((ticket, request)) = self.data_request(&from, ticket, request) else {
                    return;
                };
                let input = Input::Request {
                    from,
                    ticket: 0,
                    request,
                };
                self.handle(input, None, Some(ticket));
            }
            NetworkEvent::Reply { from, id, result } => {
                match self.data.calls.answered(id, result) {
                    None => {}
                    Some(Ok(reply)) => self.input(Input::Reply { from, reply }),
                    Some(Err(e)) => {
                        tracing::debug!(peer = %network::show_peer(&from), "request failed: {e}");
                    }
                }
            }
            NetworkEvent::PeerConnected(peer) => {
                self.unreached = 0;
                self.connected.insert(peer.clone());
                self.history.met(&peer);
                self.input(Input::Connected(peer.clone()));
                self.look_at(&peer);
            }
            NetworkEvent::PeerDisconnected(peer) => {
                self.connected.remove(&peer);
                self.neighbours.round_trips.remove(&peer);
                self.input(Input::Disconnected(peer.clone()));
                self.look_at(&peer);
            }
            NetworkEvent::RoundTrip { peer, round_trip } => {
                self.neighbours.round_trips.insert(peer, round_trip);
            }
            NetworkEvent::Listening(address) => {
                self.addresses.push(address.to_string());
                self.addresses.sort();
                self.addresses.dedup();
                self.input(Input::Addresses(self.addresses.clone()));
            }
            NetworkEvent::ListeningEnded(address) => {
                let gone = address.to_string();
                self.addresses.retain(|a| *a != gone);
                self.input(Input::Addresses(self.addresses.clone()));
            }
            NetworkEvent::Bootstrap(text) | NetworkEvent::Warning(text) => tracing::warn!("{text}"),
        }
    }

    /// A node heard of through others is one to know directly.
    fn dial_advertised(&self, author: &Peer, message: &Gossip) {
        if let (Some(net), Gossip::Advert(advert)) = (&self.net, message)
            && !self.connected.contains(author)
        {
            net.dial(
                advert
                    .addresses
                    .iter()
                    .filter_map(|a| a.parse().ok())
                    .collect(),
            );
        }
    }

    // ---- the protocol ----

    pub(super) fn input(&mut self, input: Input) {
        self.handle(input, None, None);
    }

    pub(super) fn served(&mut self, test: TestId) -> &mut Served {
        self.tests.entry(test).or_insert_with(|| Served {
            plan: None,
            run: None,
            data: None,
            own: false,
            authority: once::Authority::default(),
            live: recording::Live::default(),
            result: None,
            written: false,
        })
    }

    fn every_second(&mut self) {
        self.next_second = Instant::now() + Duration::from_secs(1);
        let now = self.now();
        self.judge();
        let overdue: Vec<TestId> = self
            .core
            .tests()
            .values()
            .filter(|t| {
                t.ended_at()
                    .is_some_and(|at| now.since(at) > WRITE_INCOMPLETE_AFTER)
            })
            .map(|t| t.id())
            .filter(|id| self.tests.get(id).is_some_and(|s| !s.written))
            .collect();
        for id in overdue {
            self.finish(id);
        }
        // What the protocol has forgotten is in the store, if anywhere.
        let known = self.core.tests();
        self.tests.retain(|id, _| known.contains_key(id));
        self.tell_waiting();
        self.look_around();
    }

    /// Ends the tests that this node coordinates and that have broken a threshold on which
    /// they are to end.
    fn judge(&mut self) {
        let now = self.now();
        let mut broken = Vec::new();
        for (id, served) in &self.tests {
            let Some(plan) = &served.plan else {
                continue;
            };
            let t = self.core.tests().get(id);
            let leading = t.filter(|t| t.coordinator().is_some() && t.ended().is_none());
            let Some(start) = leading.and_then(|t| t.start()) else {
                continue;
            };
            let elapsed = now.since(start);
            let due = plan.thresholds.iter();
            let mut due = due
                .filter(|t| t.abort && elapsed >= t.abort_after)
                .peekable();
            if due.peek().is_none() {
                continue;
            }
            let Some(result) = self.result_input(*id).map(|input| input.build()) else {
                continue;
            };
            // Before anything was sent there is nothing to judge.
            if result.totals.sent > 0
                && let Some(why) = due.find_map(|t| check(t, &result).err())
            {
                broken.push((*id, why));
            }
        }
        for (id, why) in broken {
            let grace = self.core.tests().get(&id).and_then(|t| t.spec());
            let order = StopOrder {
                graceful: true,
                timeout: grace.map_or(Duration::ZERO, |s| s.grace),
            };
            self.input(Input::AbortTest(id, order, why.to_string()));
        }
    }

    // ---- commands ----

    /// Whether bootstrap addresses were given and no peer has ever been reached.
    pub(super) fn isolated(&self) -> bool {
        self.unreached > 0
    }

    /// The newest term of a test's coordinators, for log lines; 0 before the first.
    fn term_of(&self, test: TestId) -> u64 {
        let reigns = self.core.tests().get(&test).map(|t| t.tenures());
        let terms = reigns.into_iter().flatten().map(|r| r.term);
        terms.max().unwrap_or(0)
    }

    /// The network; none when standing alone.
    pub(super) fn net(&self) -> Option<&NetworkHandle> {
        self.net.as_ref()
    }

    /// Where this node can be dialled.
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What this node is doing, for display.
    pub(super) fn own_status(&self) -> Status {
        self.core.status(self.now())
    }
}

/// Unix time in milliseconds when the node's clock stood at nothing.
fn origin_unix_ms(now: Time) -> u64 {
    unix_ms().saturating_sub(now.0 / 1_000_000)
}

pub(super) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}
