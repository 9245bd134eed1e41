//! Everything that nodes say to each other, as values. `wire` turns them into bytes and back
//! and refuses what is malformed; what arrives here is well formed, not necessarily true.
//!
//! Gossip ([`Gossip`]) reaches every node and may be lost, doubled or reordered: it always
//! carries full state, never a difference. A [`Request`] goes to one node and is answered by
//! one [`Reply`]; it may be delivered twice, so handling it is idempotent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::decisions::{Decisions, LoadCommand, LogEntry};
use super::id::{Digest, Incarnation, NodeId, TestId};
use super::preflight::{Preflight, PreflightReply};
use super::time::RemoteTime;
use crate::metrics::Snapshot;

/// A message for every node. Its author is authenticated by the network.
#[derive(Clone, PartialEq, Debug)]
pub enum Gossip {
    /// Topic `nodes`.
    Advert(Advert),
    /// Topic `tests`.
    Test(TestMessage),
    /// Topic `metrics`: some pieces of a worker's snapshot.
    Snapshot(Snapshot),
}

/// What a node is doing, as it says itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Status {
    /// Not said.
    #[default]
    Unknown,
    /// No load.
    Idle,
    /// Carrying load.
    Running,
    /// Carrying more load than it can time well; wants a smaller share.
    Overloaded,
    /// Something is wrong.
    Error,
    /// Finishes what it has and takes no new share.
    Draining,
    /// About to leave; its lease is given back.
    Leaving,
}

/// A node's description of itself, sent every few seconds and at once on change.
#[derive(Clone, PartialEq, Debug)]
pub struct Advert {
    /// Who.
    pub node: NodeId,
    /// Rises with every advert of this incarnation; older ones are ignored.
    pub number: u64,
    /// A name for people.
    pub name: String,
    /// The binary's version.
    pub version: String,
    /// Where it can be dialled, as multiaddresses.
    pub addresses: Vec<String>,
    /// How many tasks it can run at once.
    pub capacity: u32,
    /// How many it runs now.
    pub load: u32,
    /// Task types it can run.
    pub task_types: Vec<String>,
    /// Free labels: region, …
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub status: Status,
    /// Time until its next regular advert.
    pub interval: Duration,
    /// Tests that it knows to be running.
    pub tests: Vec<KnownTest>,
    /// What its machine is, for people; empty if it does not say.
    pub environment: String,
}

/// A running test, as an advert mentions it to whoever missed its announcement.
#[derive(Clone, PartialEq, Debug)]
pub struct KnownTest {
    /// Which.
    pub test: TestId,
    /// Highest term known.
    pub term: u64,
    /// That term's coordinator.
    pub coordinator: Option<NodeId>,
    /// The plan's digest; the announcement is fetched from the advert's author.
    pub digest: Digest,
}

/// A test's announcement: enough for everybody to know who may vote, and where the plan is.
#[derive(Clone, PartialEq, Debug)]
pub struct Announcement {
    /// Which test.
    pub test: TestId,
    /// Where it was started.
    pub submitter: NodeId,
    /// The plan's name, for people.
    pub name: String,
    /// SHA-256 of the plan's canonical bytes.
    pub digest: Digest,
    /// Their length.
    pub plan_len: u32,
    /// The bytes themselves, if they are few.
    pub plan: Option<Arc<[u8]>>,
    /// Who may vote, in order of succession.
    pub electorate: Vec<NodeId>,
    /// Unix time of the start command at the submitter, in milliseconds; for people only.
    pub submitted_unix_ms: u64,
}

/// What concerns one test and everybody.
#[derive(Clone, PartialEq, Debug)]
pub enum TestMessage {
    /// A test begins.
    Announced(Announcement),
    /// "Would you vote for me now?" Binds nobody.
    Poll {
        /// Which test.
        test: TestId,
        /// The term that would be claimed.
        term: u64,
        /// Who asks.
        candidate: NodeId,
        /// Which sending of the poll.
        sending: u32,
    },
    /// Answer to a poll.
    PollAnswer {
        /// Which test.
        test: TestId,
        /// The term polled for.
        term: u64,
        /// Who asked.
        candidate: NodeId,
        /// Who answers.
        elector: NodeId,
        /// Which sending is answered.
        sending: u32,
        /// The answer.
        yes: bool,
        /// Highest term that the elector has voted in or followed.
        seen_term: u64,
    },
    /// "Vote for me." Repeated; raises nobody's term by itself.
    Claim {
        /// Which test.
        test: TestId,
        /// The term claimed.
        term: u64,
        /// Who claims.
        candidate: NodeId,
        /// Which sending of the claim.
        sending: u32,
    },
    /// A vote, and thereby a promise to vote for nobody else for one authority lease.
    Vote {
        /// Which test.
        test: TestId,
        /// In which term.
        term: u64,
        /// For whom.
        candidate: NodeId,
        /// Who votes.
        elector: NodeId,
        /// The sending that is answered: authority counts from it.
        sending: u32,
        /// Longest share lease that the elector has heard a beat carry.
        share_lease: Duration,
        /// It has heard a stop.
        stop: Option<StopOrder>,
        /// The start of the profile, if it has heard a beat that named one.
        start: Option<StartHeard>,
        /// What was decided, as far as it has heard.
        decisions: Decisions,
    },
    /// The coordinator is there.
    Beat {
        /// Which test.
        test: TestId,
        /// Its term.
        term: u64,
        /// Who it is.
        coordinator: NodeId,
        /// Rises with every beat of the term.
        number: u64,
        /// The share-lease length in use, or about to be.
        share_lease: Duration,
        /// The time since the start of the profile, at sending, in nanoseconds; negative
        /// before it. A node without a clock-offset estimate can use it.
        since_start: Option<i64>,
        /// How far the test is.
        phase: TestState,
        /// What was decided in this term and before.
        decisions: Arc<[LogEntry]>,
        /// A majority knows the first so many of them.
        settled: u32,
        /// What happened of late, so that every node can tell, and a successor, too; at most
        /// [`MAX_TOLD`](super::coordinator::MAX_TOLD).
        events: Vec<TestEvent>,
    },
    /// An elector heard a beat, and promises for one authority lease to vote for nobody else.
    BeatAck {
        /// Which test.
        test: TestId,
        /// The beat's term.
        term: u64,
        /// Whose beat.
        coordinator: NodeId,
        /// Who acknowledges.
        elector: NodeId,
        /// Which beat.
        number: u64,
    },
    /// A candidate or coordinator gives up its term; promises of exactly that term are freed.
    Resign {
        /// Which test.
        test: TestId,
        /// The term given up.
        term: u64,
        /// Who gives it up.
        node: NodeId,
    },
    /// Somebody wants the test stopped.
    Stop {
        /// Which test.
        test: TestId,
        /// Who asks.
        by: NodeId,
        /// How.
        order: StopOrder,
    },
    /// Somebody wants the load changed.
    LoadCommand {
        /// Which test.
        test: TestId,
        /// Who asks.
        by: NodeId,
        /// Which request it is: the coordinator heeds each once.
        id: u64,
        /// How.
        steer: LoadCommand,
    },
    /// The test is over.
    Ended(Ended),
}

impl TestMessage {
    /// Which test it is about.
    pub fn test(&self) -> TestId {
        match self {
            TestMessage::Announced(a) => a.test,
            TestMessage::Ended(e) => e.test,
            TestMessage::Poll { test, .. }
            | TestMessage::PollAnswer { test, .. }
            | TestMessage::Claim { test, .. }
            | TestMessage::Vote { test, .. }
            | TestMessage::Beat { test, .. }
            | TestMessage::BeatAck { test, .. }
            | TestMessage::Resign { test, .. }
            | TestMessage::Stop { test, .. }
            | TestMessage::LoadCommand { test, .. } => *test,
        }
    }

    /// Who must have written it.
    pub fn author(&self) -> &NodeId {
        match self {
            TestMessage::Announced(a) => &a.submitter,
            TestMessage::Ended(e) => &e.coordinator,
            TestMessage::Poll { candidate, .. } | TestMessage::Claim { candidate, .. } => candidate,
            TestMessage::PollAnswer { elector, .. }
            | TestMessage::Vote { elector, .. }
            | TestMessage::BeatAck { elector, .. } => elector,
            TestMessage::Beat { coordinator, .. } => coordinator,
            TestMessage::Resign { node, .. } => node,
            TestMessage::Stop { by, .. } | TestMessage::LoadCommand { by, .. } => by,
        }
    }
}

/// The start of the profile, as an elector passes it on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartHeard {
    /// Highest term of a beat that named it.
    pub term: u64,
    /// Nanoseconds since the start, at sending; negative before it.
    pub since: i64,
}

/// How far a test is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum TestState {
    /// No coordinator yet.
    #[default]
    Electing,
    /// Workers register.
    Registering,
    /// Shares are out.
    Running,
    /// The profile is over or was stopped; final snapshots come in.
    Stopping,
    /// Over.
    Ended,
}

/// How to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StopOrder {
    /// In-flight requests may finish.
    pub graceful: bool,
    /// For at most this long.
    pub timeout: Duration,
}

/// Why a test ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndReason {
    /// Its plan was carried out.
    Completed,
    /// Somebody stopped it.
    Stopped,
    /// It could not start, or a rule ended it; the text says why and what to do.
    Failed(String),
}

/// The end of a test, with what a complete result consists of.
#[derive(Clone, PartialEq, Debug)]
pub struct Ended {
    /// Which test.
    pub test: TestId,
    /// The term in which it ended.
    pub term: u64,
    /// Who says so.
    pub coordinator: NodeId,
    /// Why.
    pub reason: EndReason,
    /// Every worker that held a share.
    pub roster: Vec<RosterEntry>,
    /// What happened, as the coordinator saw it.
    pub events: Vec<TestEvent>,
    /// What was decided.
    pub decisions: Vec<LogEntry>,
}

/// A worker in the final roster.
#[derive(Clone, PartialEq, Debug)]
pub struct RosterEntry {
    /// Who.
    pub worker: NodeId,
    /// Its name for people.
    pub name: String,
    /// The number of its last snapshot, if it delivered one.
    pub last_snapshot: Option<u64>,
    /// That snapshot is its final one.
    pub is_final: bool,
    /// When it was lost, after the start of the profile.
    pub lost_at: Option<Duration>,
}

/// Something that happened in a test and that its result should tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestEvent {
    /// Milliseconds after the start of the profile; negative before it.
    pub at_ms: i64,
    /// A short fixed word: `elected`, `registered`, `refused`, `started`, `lost`, `joined`,
    /// `rebalanced`, `stop`, `ended`, …
    pub kind: String,
    /// Whom it is about.
    pub node: Option<NodeId>,
    /// What people read.
    pub text: String,
}

/// A message for one node.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// Worker to coordinator: here I am.
    Register(Register),
    /// Worker to coordinator: still here; renew my lease.
    Heartbeat(Heartbeat),
    /// Coordinator to worker: your share.
    Assign(Assign),
    /// Coordinator to worker: stop.
    Stop {
        /// Which test.
        test: TestId,
        /// The coordinator's term.
        term: u64,
        /// How.
        order: StopOrder,
    },
    /// Worker to coordinator: metrics.
    Metrics(Snapshot),
    /// Anybody to anybody: the announcement of a test that an advert mentioned.
    FetchAnnouncement(TestId),
    /// Anybody to anybody: a plan's bytes.
    FetchPlan(Digest),
    /// Anybody to anybody: snapshots held of a test, in the order of workers.
    FetchSnapshots {
        /// Which test.
        test: TestId,
        /// Only those of workers after this one.
        after: Option<NodeId>,
    },
    /// Anybody to anybody: take no new share.
    Drain,
    /// Anybody to anybody: would this plan run on you? Answered by the driver.
    Preflight(Preflight),
    /// Anybody to anybody: what is your time? Answered by the driver.
    Clock,
    /// Anybody to anybody: a part of a data file. The driver's to answer.
    FetchBlob {
        /// SHA-256 of the file's bytes.
        digest: Digest,
        /// From here on.
        offset: u64,
    },
    /// Submitter to anybody: a test of this plan is about to start; fetch the data that it
    /// names. The driver's to answer.
    TakeData(Arc<[u8]>),
    /// Anybody to anybody: a part of something that is kept. The driver's to answer.
    FetchRecord {
        /// What.
        record: RecordName,
        /// From here on.
        offset: u64,
    },
}

/// What a node keeps and others may fetch, as JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RecordName {
    /// The ended tests of which it has results.
    Tests,
    /// The result of a test.
    Result(TestId),
    /// A test over time.
    Timeline(TestId),
    /// Its connections.
    Links,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// To [`Request::Register`].
    Register(RegisterReply),
    /// To [`Request::Heartbeat`].
    Heartbeat(HeartbeatReply),
    /// To [`Request::Assign`].
    Assign(AssignReply),
    /// To [`Request::Stop`].
    Stop {
        /// It is being stopped.
        stopped: bool,
        /// For people.
        message: String,
        /// Requests in flight.
        interrupted: u32,
    },
    /// To [`Request::Metrics`].
    Metrics {
        /// Which test.
        test: TestId,
        /// Which snapshot was taken in.
        number: u64,
        /// It was.
        received: bool,
    },
    /// To [`Request::FetchAnnouncement`].
    Announcement(Option<Announcement>),
    /// To [`Request::FetchPlan`].
    Plan(Option<Arc<[u8]>>),
    /// To [`Request::FetchSnapshots`].
    Snapshots {
        /// Which test.
        test: TestId,
        /// As many as fit a reply.
        snapshots: Vec<Snapshot>,
        /// More follow: ask again after the last of these.
        more: bool,
    },
    /// To [`Request::Drain`].
    Drained,
    /// To [`Request::Preflight`].
    Preflight(PreflightReply),
    /// To [`Request::Clock`]: Unix time in milliseconds, by the wall clock.
    Clock {
        /// When the request was handled.
        unix_ms: u64,
    },
    /// To [`Request::FetchBlob`].
    Blob(Option<BlobPart>),
    /// To [`Request::TakeData`].
    Data {
        /// Bytes that are not here yet.
        missing: u64,
        /// Why they will not be fetched, if so.
        unable: Option<String>,
    },
    /// To [`Request::FetchRecord`].
    Record(Option<RecordPart>),
    /// Nothing could be done with the request.
    Refused(String),
}

/// A part of a record. A record may change between two of its parts; those of the same digest
/// belong together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordPart {
    /// SHA-256 of the whole.
    pub digest: Digest,
    /// Length of the whole.
    pub total: u64,
    /// From the offset asked for on, as much as fits a reply.
    pub bytes: Arc<[u8]>,
}

/// A part of a data file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlobPart {
    /// Length of the whole.
    pub total: u64,
    /// From the offset asked for on, as much as fits a reply.
    pub bytes: Arc<[u8]>,
}

/// A worker offers itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Register {
    /// For which test.
    pub test: TestId,
    /// To the coordinator of which term.
    pub term: u64,
    /// Who.
    pub node: NodeId,
    /// Rises with every registration of this incarnation for this test.
    pub number: u64,
    /// A name for people.
    pub name: String,
    /// How many tasks it can run at once.
    pub capacity: u32,
    /// Task types it can run.
    pub task_types: Vec<String>,
    /// The binary's version.
    pub version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Why it will carry no load, if so: it registers only to say it.
    pub unable: Option<String>,
    /// A share of an earlier term whose lease still runs.
    pub report: Option<ShareReport>,
    /// Time since the start of the profile, at sending, in nanoseconds, if known.
    pub since_start: Option<i64>,
    /// It has heard a stop.
    pub stop: Option<StopOrder>,
    /// Its load is done; only its final snapshot is still to be delivered.
    pub finished: bool,
    /// Its clock at sending.
    pub sent: RemoteTime,
}

/// A share that outlived its coordinator's authority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShareReport {
    /// In slots.
    pub slots: u32,
    /// Where they begin.
    pub offset: u32,
}

/// A coordinator's clock readings, for the offset estimate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClockReply {
    /// When the request arrived.
    pub received: RemoteTime,
    /// When the reply left.
    pub sent: RemoteTime,
}

/// Taken on, or not.
#[derive(Clone, PartialEq, Debug)]
pub struct RegisterReply {
    /// Which test.
    pub test: TestId,
    /// The coordinator's term.
    pub term: u64,
    /// Of which incarnation the registration is answered.
    pub incarnation: Incarnation,
    /// Which registration is answered.
    pub number: u64,
    /// Taken on.
    pub accepted: bool,
    /// Why not.
    pub message: String,
    /// Time between heartbeats.
    pub heartbeat_interval: Duration,
    /// Time between snapshots.
    pub metrics_interval: Duration,
    /// Orders up to this number are void for this registration.
    pub order_floor: u64,
    /// The reported share is counted, and may be kept while its lease runs. If absent, the
    /// worker starts at zero.
    pub honoured: Option<ShareReport>,
    /// Clock readings.
    pub clock: ClockReply,
}

/// A worker asks for renewal.
#[derive(Clone, PartialEq, Debug)]
pub struct Heartbeat {
    /// For which test.
    pub test: TestId,
    /// To the coordinator of which term.
    pub term: u64,
    /// Who.
    pub node: NodeId,
    /// Under which registration.
    pub registration: u64,
    /// Rises with every heartbeat of the registration, from 1.
    pub number: u64,
    /// Number of the newest heartbeat whose answer arrived; 0 for none.
    pub answered: u64,
    /// Number of the newest order applied; 0 for none.
    pub applied: u64,
    /// Tasks running.
    pub load: u32,
    /// What it is doing.
    pub status: Status,
    /// Its load is done.
    pub finished: bool,
    /// So many decisions it acts on.
    pub decisions: u32,
    /// Its clock at sending.
    pub sent: RemoteTime,
}

/// A share order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// Rises within a term, over all workers.
    pub number: u64,
    /// The share, in slots.
    pub slots: u32,
    /// Where its slots begin: placement only, safety rests on the count.
    pub offset: u32,
    /// The start of the profile on the coordinator's clock.
    pub start: Option<RemoteTime>,
}

/// The answer to a heartbeat.
#[derive(Clone, PartialEq, Debug)]
pub struct HeartbeatReply {
    /// Which test.
    pub test: TestId,
    /// The coordinator's term.
    pub term: u64,
    /// Of which incarnation.
    pub incarnation: Incarnation,
    /// Under which registration.
    pub registration: u64,
    /// The heartbeat that is answered.
    pub number: u64,
    /// The share lease is renewed, for this long from the sending of the heartbeat.
    pub lease: Option<Duration>,
    /// The worker is unknown and must register again.
    pub register_again: bool,
    /// For people.
    pub message: String,
    /// The worker's newest order.
    pub order: Option<Order>,
    /// The test is to be stopped.
    pub stop: Option<StopOrder>,
    /// What was decided and is settled, if the worker does not know all of it.
    pub decisions: Vec<LogEntry>,
    /// Clock readings.
    pub clock: ClockReply,
}

/// What the load is, in the terms of the WorkerService message set.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TaskDescription {
    /// `HTTP`, `SLEEP`, `CPU`, …
    pub task_type: String,
    /// Parameters for people and foreign readers; the plan is what counts.
    pub parameters: BTreeMap<String, String>,
    /// Target rate in thousandths a second: of the whole swarm in a `TestSpec`, of the
    /// worker's share in an assignment. 0 in the closed model.
    pub target_rate_milli: u64,
    /// Length of the profile.
    pub duration: Duration,
    /// Length of its ramp-up.
    pub ramp_up: Duration,
    /// Most tasks at once: users in the closed model.
    pub max_concurrency: u32,
}

/// A worker's share, pushed.
#[derive(Clone, PartialEq, Debug)]
pub struct Assign {
    /// Which test.
    pub test: TestId,
    /// The coordinator's term.
    pub term: u64,
    /// For which incarnation.
    pub incarnation: Incarnation,
    /// Under which registration.
    pub registration: u64,
    /// The plan's digest.
    pub digest: Digest,
    /// The share.
    pub order: Order,
    /// The same in the message set's own terms.
    pub description: TaskDescription,
    /// The coordinator's clock at sending.
    pub sent: RemoteTime,
}

/// The answer to an assignment.
#[derive(Clone, PartialEq, Debug)]
pub struct AssignReply {
    /// Which test.
    pub test: TestId,
    /// The order was applied.
    pub accepted: bool,
    /// Why not.
    pub message: String,
    /// Arrivals that the share amounts to over the whole profile.
    pub estimated_tasks: u64,
}
