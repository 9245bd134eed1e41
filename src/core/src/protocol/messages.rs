//! All messages between nodes, as values. `wire` encodes and decodes them and rejects malformed
//! ones, so a value here is well formed, but not necessarily true.
//!
//! Gossip ([`Gossip`]) reaches every node and may be lost, duplicated or reordered, so it always
//! carries full state, never a difference. A [`Request`] is sent to one node and answered by one
//! [`Reply`]. It may be delivered twice, so handling it is idempotent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::allocation::{Allocation, AllocationName};
pub use super::announcement::Announcement;
use super::beat::Beat;
use super::certificate::Certificate;
use super::id::{Digest, Incarnation, NodeId, TestId};
use super::log::{LoadCommand, LogEntry};
use super::preflight::{Preflight, PreflightReply};
use super::signature::Signature;
use super::stop::SignedStop;
pub use super::stop::StopOrder;
pub use super::test_event::{TestEvent, TestState};
use super::time::RemoteTime;
use crate::metrics::Snapshot;
use crate::{Numbers, Slots};

/// A message to all nodes. The network authenticates its author.
#[derive(Clone, PartialEq, Debug)]
pub enum Gossip {
    /// Topic `nodes`.
    Advert(Arc<Advert>),
    /// Topic `tests`.
    Test(TestMessage),
    /// Topic `metrics`: some pieces of a worker's snapshot.
    Snapshot(Snapshot),
}

/// Status of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Status {
    /// Not reported.
    #[default]
    Unknown,
    /// No load.
    Idle,
    /// Has a share of the load.
    Running,
    /// Has more load than it can time well; its share should be reduced.
    Overloaded,
    /// Failed.
    Error,
    /// Finishes its load and takes no new share.
    Draining,
    /// About to leave; it returns its lease.
    Leaving,
}

/// Description of a node, sent every few seconds and at once on change.
#[derive(Clone, PartialEq, Debug)]
pub struct Advert {
    /// Node and incarnation.
    pub node: NodeId,
    /// Number of the advert in this incarnation. Older ones are ignored.
    pub number: u64,
    /// Display name.
    pub name: String,
    /// Version of the binary.
    pub version: String,
    /// Multiaddresses on which it can be dialled.
    pub addresses: Vec<String>,
    /// Number of tasks that it can run at once.
    pub capacity: u32,
    /// Number of tasks that it runs now.
    pub load: u32,
    /// Task types that it can run.
    pub task_types: Vec<String>,
    /// Labels, such as its region.
    pub labels: BTreeMap<String, String>,
    /// Status.
    pub status: Status,
    /// Time until its next regular advert.
    pub interval: Duration,
    /// Running tests that it knows.
    pub tests: Vec<KnownTest>,
    /// Machine description for display; may be empty.
    pub environment: String,
}

/// A running test in an advert, for nodes that missed its announcement.
#[derive(Clone, PartialEq, Debug)]
pub struct KnownTest {
    /// Test id.
    pub test: TestId,
    /// Highest known term.
    pub term: u64,
    /// Coordinator of that term.
    pub coordinator: Option<NodeId>,
    /// Digest of the plan. The announcement is fetched from the advert's author.
    pub digest: Digest,
}

/// A message about one test to all nodes.
#[derive(Clone, PartialEq, Debug)]
pub enum TestMessage {
    /// A test was submitted.
    Announced(Announcement),
    /// Asks whether the electors would vote for the candidate now. Not binding.
    Poll {
        /// Test id.
        test: TestId,
        /// Term that would be claimed.
        term: u64,
        /// Author of the request.
        candidate: NodeId,
        /// Number of this repetition of the poll.
        sending: u32,
    },
    /// Answer to a poll.
    PollAnswer {
        /// Test id.
        test: TestId,
        /// Term of the poll.
        term: u64,
        /// Candidate of the poll.
        candidate: NodeId,
        /// Elector that answers.
        elector: NodeId,
        /// Answered repetition.
        sending: u32,
        /// Whether it would vote for the candidate.
        yes: bool,
        /// Highest term that the elector voted in or followed.
        seen_term: u64,
    },
    /// Requests votes. Repeated; raises no term by itself.
    Claim {
        /// Test id.
        test: TestId,
        /// Claimed term.
        term: u64,
        /// Candidate.
        candidate: NodeId,
        /// Number of this repetition of the claim.
        sending: u32,
    },
    /// A vote, and a promise to vote for no other node for one authority lease.
    Vote {
        /// Test id.
        test: TestId,
        /// Term of the vote.
        term: u64,
        /// Candidate that gets the vote.
        candidate: NodeId,
        /// Elector that votes.
        elector: NodeId,
        /// Answered repetition of the claim: authority counts from its sending.
        sending: u32,
        /// A known request to stop the test.
        stop: Option<SignedStop>,
        /// The start of the profile, if a received beat named one.
        start: Option<RelayedStart>,
        /// The newest beat known to the elector, without its events.
        beat: Option<Arc<Beat>>,
        /// Signature of the elector over the [vote](super::certificate::vote).
        signature: Signature,
    },
    /// Periodic broadcast of the coordinator.
    Beat(Arc<Beat>),
    /// An elector acknowledges a beat, and promises to vote for no other node for one authority
    /// lease.
    BeatAck {
        /// Test id.
        test: TestId,
        /// Term of the beat.
        term: u64,
        /// Coordinator that sent the beat.
        coordinator: NodeId,
        /// Elector that acknowledges.
        elector: NodeId,
        /// Number of the beat.
        number: u64,
    },
    /// A candidate or coordinator gives up its term, which frees promises of exactly that term.
    Resign {
        /// Test id.
        test: TestId,
        /// Term given up.
        term: u64,
        /// Author.
        node: NodeId,
    },
    /// Request to stop the test.
    Stop {
        /// Test id.
        test: TestId,
        /// The signed request.
        stop: SignedStop,
    },
    /// Request to change the load.
    LoadCommand {
        /// Test id.
        test: TestId,
        /// Author of the request.
        by: NodeId,
        /// Id of the request, so that the coordinator carries it out once.
        id: u64,
        /// Requested change.
        command: LoadCommand,
    },
    /// The test has ended.
    Ended(Ended),
}

impl TestMessage {
    /// Id of the test that it is about.
    pub fn test(&self) -> TestId {
        match self {
            TestMessage::Announced(a) => a.test,
            TestMessage::Ended(e) => e.test,
            TestMessage::Beat(b) => b.test,
            TestMessage::Poll { test, .. }
            | TestMessage::PollAnswer { test, .. }
            | TestMessage::Claim { test, .. }
            | TestMessage::Vote { test, .. }
            | TestMessage::BeatAck { test, .. }
            | TestMessage::Resign { test, .. }
            | TestMessage::Stop { test, .. }
            | TestMessage::LoadCommand { test, .. } => *test,
        }
    }

    /// The only node that it concerns, if it can be sent as a [`Request::Election`].
    pub fn receiver(&self) -> Option<&NodeId> {
        match self {
            TestMessage::PollAnswer { candidate, .. } | TestMessage::Vote { candidate, .. } => {
                Some(candidate)
            }
            TestMessage::BeatAck { coordinator, .. } => Some(coordinator),
            _ => None,
        }
    }

    /// Node that must be its author.
    pub fn author(&self) -> &NodeId {
        match self {
            TestMessage::Announced(a) => &a.submitter,
            TestMessage::Ended(e) => &e.coordinator,
            TestMessage::Poll { candidate, .. } | TestMessage::Claim { candidate, .. } => candidate,
            TestMessage::PollAnswer { elector, .. }
            | TestMessage::Vote { elector, .. }
            | TestMessage::BeatAck { elector, .. } => elector,
            TestMessage::Beat(b) => &b.coordinator,
            TestMessage::Resign { node, .. } => node,
            TestMessage::Stop { stop, .. } => &stop.by,
            TestMessage::LoadCommand { by, .. } => by,
        }
    }
}

/// Free numbers of requests, as in a beat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FreeNumbers {
    /// Term of the beat.
    pub term: u64,
    /// Number of the beat.
    pub beat: u64,
    /// The free numbers.
    pub numbers: Arc<Numbers>,
}

/// Start of the profile, relayed by an elector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RelayedStart {
    /// Highest term of a beat that named it.
    pub term: u64,
    /// Nanoseconds since the start, at sending; negative before it.
    pub since: i64,
}

/// Reason for the end of a test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndReason {
    /// The plan was completed.
    Completed,
    /// It was stopped by a request.
    Stopped,
    /// It could not start, or a rule ended it. The text gives the reason and advice.
    Failed(String),
}

/// The end of a test, with the parts of a complete result.
#[derive(Clone, PartialEq, Debug)]
pub struct Ended {
    /// Test id.
    pub test: TestId,
    /// Term in which it ended.
    pub term: u64,
    /// Coordinator that ended it.
    pub coordinator: NodeId,
    /// Reason for the end.
    pub reason: EndReason,
    /// Every worker that had a share.
    pub roster: Vec<RosterEntry>,
    /// Events known to the coordinator.
    pub events: Vec<TestEvent>,
    /// Committed log entries.
    pub log: Vec<LogEntry>,
    /// Numbers of requests that no worker got, if the plan limits them.
    pub unused_numbers: Option<u64>,
    /// Votes that made its author the coordinator.
    pub certificate: Arc<Certificate>,
    /// Signature of the coordinator.
    pub signature: Signature,
}

/// A worker in the final roster.
#[derive(Clone, PartialEq, Debug)]
pub struct RosterEntry {
    /// Node and incarnation.
    pub worker: NodeId,
    /// Display name.
    pub name: String,
    /// Number of its last snapshot, if it delivered one.
    pub last_snapshot: Option<u64>,
    /// Whether that snapshot is its final one.
    pub is_final: bool,
    /// Time of its loss since the start of the profile.
    pub lost_at: Option<Duration>,
}

/// A message to one node.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// Worker to coordinator: registers for the test.
    Register(Register),
    /// Worker to coordinator: renews the lease.
    Heartbeat(Heartbeat),
    /// Coordinator to worker: assigns a share.
    Assign(Assign),
    /// Coordinator to worker: stops the load.
    Stop {
        /// Test id.
        test: TestId,
        /// Term of the coordinator.
        term: u64,
        /// The signed request.
        stop: SignedStop,
    },
    /// Worker to coordinator: a snapshot.
    Metrics(Snapshot),
    /// Any node to any node: fetches the announcement of a test that an advert mentioned.
    FetchAnnouncement(TestId),
    /// Any node to any node: fetches the end of a test.
    FetchEnd(TestId),
    /// Any node to any node: fetches a plan's bytes.
    FetchPlan(Digest),
    /// Any node to any node: fetches the list of an allocation, or the newest one that names the
    /// receiver as a worker.
    FetchAllocation {
        /// Test id.
        test: TestId,
        /// Digest of the list, if a certain one.
        digest: Option<Digest>,
    },
    /// Any node to any node: fetches the known snapshots of a test, in the order of workers.
    FetchSnapshots {
        /// Test id.
        test: TestId,
        /// Only workers after this one.
        after: Option<NodeId>,
    },
    /// Elector to candidate or coordinator: an answer to a poll, a vote, or the acknowledgement of a
    /// beat, which concern only the receiver. If there is no connection, they are gossiped.
    Election(TestMessage),
    /// Any node to any node: take no new share.
    Drain,
    /// Any node to any node: would this plan run? Answered by the driver.
    Preflight(Preflight),
    /// Any node to any node: fetches the wall-clock time. Answered by the driver.
    Clock,
    /// Any node to any node: fetches a part of a data file. Answered by the driver.
    FetchBlob {
        /// SHA-256 of the file.
        digest: Digest,
        /// Offset of the part in bytes.
        offset: u64,
    },
    /// Submitter to any node: fetch the data of this plan, a test of which is about to start.
    /// Answered by the driver.
    TakeData(Arc<[u8]>),
    /// Any node to any node: fetches a part of a stored record. Answered by the driver.
    FetchRecord {
        /// Name of the record.
        record: RecordName,
        /// Offset of the part in bytes.
        offset: u64,
    },
}

/// A stored record that other nodes may fetch, as JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RecordName {
    /// List of ended tests with a stored result.
    Tests,
    /// Result of a test.
    Result(TestId),
    /// Timeline of a test.
    Timeline(TestId),
    /// Connections of the node.
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
        /// Whether it is being stopped.
        stopped: bool,
        /// Text for display.
        message: String,
        /// Number of requests in flight.
        interrupted: u32,
    },
    /// To [`Request::Metrics`].
    Metrics {
        /// Test id.
        test: TestId,
        /// Number of the snapshot.
        number: u64,
        /// Whether all its pieces have arrived.
        received: bool,
    },
    /// To [`Request::FetchAnnouncement`].
    Announcement(Option<Announcement>),
    /// To [`Request::FetchEnd`].
    End(Option<Ended>),
    /// To [`Request::FetchPlan`].
    Plan(Option<Arc<[u8]>>),
    /// To [`Request::FetchAllocation`].
    Allocation {
        /// Test id.
        test: TestId,
        /// The list, if it is known.
        list: Option<Arc<Allocation>>,
        /// Votes for its coordinator.
        certificate: Arc<Certificate>,
    },
    /// To [`Request::FetchSnapshots`].
    Snapshots {
        /// Test id.
        test: TestId,
        /// As many as fit a reply.
        snapshots: Vec<Snapshot>,
        /// Whether more follow: request those after the last of these.
        more: bool,
    },
    /// To [`Request::Election`].
    Noted,
    /// To [`Request::Drain`].
    Drained,
    /// To [`Request::Preflight`].
    Preflight(PreflightReply),
    /// To [`Request::Clock`].
    Clock {
        /// Unix time of the wall clock in milliseconds, when the request was handled.
        unix_ms: u64,
    },
    /// To [`Request::FetchBlob`].
    Blob(Option<BlobPart>),
    /// To [`Request::TakeData`].
    Data {
        /// Bytes not fetched yet.
        missing: u64,
        /// Reason why they will not be fetched, if so.
        unable: Option<String>,
    },
    /// To [`Request::FetchRecord`].
    Record(Option<RecordPart>),
    /// The request was refused; the text gives the reason.
    Refused(String),
}

/// A part of a record. A record may change between two fetches; parts with the same digest belong
/// together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordPart {
    /// SHA-256 of the whole record.
    pub digest: Digest,
    /// Length of the whole in bytes.
    pub total: u64,
    /// Bytes from the requested offset on, as many as fit a reply.
    pub bytes: Arc<[u8]>,
}

/// A part of a data file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlobPart {
    /// Length of the whole in bytes.
    pub total: u64,
    /// Bytes from the requested offset on, as many as fit a reply.
    pub bytes: Arc<[u8]>,
}

/// Registration of a worker.
#[derive(Clone, PartialEq, Debug)]
pub struct Register {
    /// Test id.
    pub test: TestId,
    /// Term of the coordinator.
    pub term: u64,
    /// Node and incarnation.
    pub node: NodeId,
    /// Number of the registration of this incarnation for this test.
    pub number: u64,
    /// Display name.
    pub name: String,
    /// Number of tasks that it can run at once.
    pub capacity: u32,
    /// Task types that it can run.
    pub task_types: Vec<String>,
    /// Version of the binary.
    pub version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Reason why it cannot take a share, if so; it registers only to report it.
    pub unable: Option<String>,
    /// Share of an earlier term whose lease still runs.
    pub report: Option<ShareReport>,
    /// Nanoseconds since the start of the profile, at sending, if known.
    pub since_start: Option<i64>,
    /// A known request to stop the test.
    pub stop: Option<SignedStop>,
    /// Whether its load is done and only its final snapshot is to be delivered.
    pub finished: bool,
    /// Its clock at sending.
    pub sent: RemoteTime,
}

/// A share that outlived the authority of its coordinator.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ShareReport {
    /// The share.
    pub share: Slots,
    /// All slots that the worker may still act on: the share, and slots of removed users that have
    /// not finished.
    pub held: Slots,
}

/// A coordinator's clock readings, for the offset estimate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClockReply {
    /// Time at which the request arrived.
    pub received: RemoteTime,
    /// Time at which the reply was sent.
    pub sent: RemoteTime,
}

/// Answer to a registration.
#[derive(Clone, PartialEq, Debug)]
pub struct RegisterReply {
    /// Test id.
    pub test: TestId,
    /// Term of the coordinator.
    pub term: u64,
    /// Incarnation of the registration.
    pub incarnation: Incarnation,
    /// Number of the registration.
    pub number: u64,
    /// Whether the worker was registered.
    pub accepted: bool,
    /// Reason for a refusal.
    pub message: String,
    /// Time between heartbeats.
    pub heartbeat_interval: Duration,
    /// Time between snapshots.
    pub metrics_interval: Duration,
    /// Orders up to this number do not apply to this registration.
    pub order_floor: u64,
    /// Whether the report was honoured: the worker may keep its share while its lease runs. If not,
    /// it starts without a share.
    pub honoured: bool,
    /// Clock readings of the coordinator.
    pub clock: ClockReply,
}

/// Request to renew a lease.
#[derive(Clone, PartialEq, Debug)]
pub struct Heartbeat {
    /// Test id.
    pub test: TestId,
    /// Term of the coordinator.
    pub term: u64,
    /// Node and incarnation.
    pub node: NodeId,
    /// Number of the registration.
    pub registration: u64,
    /// Number of the heartbeat in its registration, from 1.
    pub number: u64,
    /// Newest heartbeat whose answer arrived; 0 for none.
    pub answered: u64,
    /// Newest applied order; 0 for none.
    pub applied: u64,
    /// All slots that it may act on: its share, and slots of removed users that have not finished.
    pub held: Slots,
    /// Time since the start of the profile up to which it has handled the arrivals of slots that it
    /// no longer holds.
    pub handled_until: Duration,
    /// Nanoseconds since the start of the profile, at sending, by its own clock; none before it
    /// knows the start.
    pub since_start: Option<i64>,
    /// Numbers of requests that it was granted and has not used.
    pub unused: Numbers,
    /// Numbers of requests that it was granted and will never use.
    pub returned: Numbers,
    /// Number of running tasks.
    pub load: u32,
    /// Status.
    pub status: Status,
    /// Whether its load is done.
    pub finished: bool,
    /// A known request to stop the test.
    pub stop: Option<SignedStop>,
    /// Whether the profile excludes all of its users for now: it uses no numbers of requests.
    pub idle: bool,
    /// Number of log entries that it acts on.
    pub log_len: u32,
    /// Its clock at sending.
    pub sent: RemoteTime,
}

/// An order that sets a worker's share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Number of the allocation that contains it; rises within a term.
    pub number: u64,
    /// The share.
    pub share: Slots,
    /// Time since the start of the profile up to which former holders have handled the arrivals of
    /// slots that are new in the share.
    pub floor: Duration,
    /// Start of the profile on the coordinator's clock.
    pub start: Option<RemoteTime>,
}

/// Numbers of requests for one worker, in a plan with a limited number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NumbersGrant {
    /// All numbers granted to the worker that the coordinator does not know to be used or returned.
    pub granted: Numbers,
    /// No further numbers exist: the worker finishes once these are used.
    pub last: bool,
}

/// Answer to a heartbeat.
#[derive(Clone, PartialEq, Debug)]
pub struct HeartbeatReply {
    /// Test id.
    pub test: TestId,
    /// Term of the coordinator.
    pub term: u64,
    /// Incarnation of the worker.
    pub incarnation: Incarnation,
    /// Number of the registration.
    pub registration: u64,
    /// Number of the heartbeat.
    pub number: u64,
    /// New length of the share lease from the sending of the heartbeat; `None` if it is not
    /// renewed.
    pub lease: Option<Duration>,
    /// Whether the worker is unknown and must register again.
    pub register_again: bool,
    /// Text for display.
    pub message: String,
    /// Newest order of the worker.
    pub order: Option<Order>,
    /// Newest allocation.
    pub allocation: Option<AllocationName>,
    /// Numbers of requests, if the plan limits them.
    pub numbers: Option<NumbersGrant>,
    /// Request to stop the test, if there is one.
    pub stop: Option<SignedStop>,
    /// The committed log, if the worker lacks a part of it.
    pub log: Vec<LogEntry>,
    /// Clock readings of the coordinator.
    pub clock: ClockReply,
}

/// The load, in the terms of the WorkerService message set.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TaskDescription {
    /// `HTTP`, `SLEEP`, `CPU`, …
    pub task_type: String,
    /// Parameters for display and for other implementations; the plan is authoritative.
    pub parameters: BTreeMap<String, String>,
    /// Target rate in thousandths per second: of the whole swarm in a `TestSpec`, of the worker's
    /// share in an assignment. 0 in the closed model.
    pub target_rate_milli: u64,
    /// Length of the profile.
    pub duration: Duration,
    /// Length of the ramp-up.
    pub ramp_up: Duration,
    /// Most tasks at once; number of users in the closed model.
    pub max_concurrency: u32,
}

/// A share pushed to a worker.
#[derive(Clone, PartialEq, Debug)]
pub struct Assign {
    /// Test id.
    pub test: TestId,
    /// Term of the coordinator.
    pub term: u64,
    /// Incarnation of the worker.
    pub incarnation: Incarnation,
    /// Number of the registration.
    pub registration: u64,
    /// Digest of the plan.
    pub digest: Digest,
    /// Order that sets the share.
    pub order: Order,
    /// Allocation of the order.
    pub allocation: AllocationName,
    /// Its list, if it is short. Otherwise the worker fetches it.
    pub list: Option<Arc<Allocation>>,
    /// The share in the terms of the message set.
    pub description: TaskDescription,
    /// The coordinator's clock at sending.
    pub sent: RemoteTime,
}

/// Answer to an assignment.
#[derive(Clone, PartialEq, Debug)]
pub struct AssignReply {
    /// Test id.
    pub test: TestId,
    /// Whether the order was applied.
    pub accepted: bool,
    /// Reason for a refusal.
    pub message: String,
    /// Planned arrivals of the share over the whole profile.
    pub estimated_tasks: u64,
}
