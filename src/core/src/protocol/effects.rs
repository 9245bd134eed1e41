//! Outputs of the state machines: work for the driver, and messages of a node to itself, which
//! bypass the network.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::id::{NodeId, Peer, TestId};
use super::log::LogEntry;
use super::messages::{Gossip, Reply, Request, StopOrder, TestEvent, TestMessage};
use super::time::Time;
use crate::{Hook, Numbers, Slots};

/// Repetitions of a poll or claim that are answered directly.
const DIRECT_ANSWERS: u32 = 2;

/// Judgement of a gossip message; decides whether the network forwards it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acceptance {
    /// Valid and new: forward it.
    Accept,
    /// Valid, but about something ended, unknown or older: do not forward it, do not penalize the
    /// sender.
    Ignore,
    /// Invalid: do not forward it, penalize the forwarder.
    Reject,
}

/// Work for the driver.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Gossip a message.
    Publish(Gossip),
    /// Send a request. Its reply becomes an input; a failure does not.
    Send(Peer, Request),
    /// Reply to the request that was handled.
    Reply(Reply),
    /// Whether the network forwards the gossip message that was handled.
    Acceptance(Acceptance),
    /// Parse a plan, decide whether this node can run it, and report the outcome by
    /// [`super::Input::Inspected`].
    Inspect {
        /// The test.
        test: TestId,
        /// Whether it was submitted on this node, which trusts its own tests more than those of
        /// others.
        submitted_here: bool,
        /// The plan's canonical bytes.
        plan: Arc<[u8]>,
    },
    /// Order to the load engine. Orders are idempotent.
    Engine(TestId, EngineOrder),
    /// Run the plan's setup or teardown while this node has authority, and report the outcome by
    /// [`super::Input::HookFinished`].
    RunHook(TestId, Hook),
    /// An event of a test, for display.
    Event(TestId, TestEvent),
    /// Another node became the coordinator of the test.
    Led(TestId, NodeId),
    /// The test ended on this node; its result should be stored.
    Ended(TestId),
    /// The result of an ended test is complete.
    Completed(TestId),
    /// Text for the node's log.
    Log(String),
}

/// Order to the load engine. Orders are idempotent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EngineOrder {
    /// Prepare threads, DNS names and connections.
    Prepare,
    /// The profile starts at this instant.
    Start(Time),
    /// Replace the share. Answered by [`super::Input::Held`].
    Share {
        /// Number of the change on this node; rises within a test.
        change: u64,
        /// The share.
        slots: Slots,
        /// Arrivals of added slots that were due before this time since the start of the profile
        /// belong to former holders.
        floor: Duration,
    },
    /// Numbers of requests that may be used besides the earlier ones, and whether they are the
    /// last.
    Numbers {
        /// The new numbers.
        added: Numbers,
        /// No more will follow: the load ends once all are used.
        last: bool,
    },
    /// Give back all numbers of requests that are not used.
    ReturnNumbers,
    /// Send nothing after this instant, unless a later order moves it.
    Lease(Time),
    /// Replace the log: all committed entries, in order.
    Log(Arc<[LogEntry]>),
    /// Stop.
    Stop(StopOrder),
}

/// What the load engine of a node acts on besides its newest share.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EngineHeld {
    /// Newest change of the share ([`EngineOrder::Share`]) that all its threads act on.
    pub change: u64,
    /// Slots outside of that share whose users have not finished.
    pub draining: Slots,
    /// Time since the start of the profile up to which the arrivals of slots that left the share
    /// have been handled.
    pub handled_until: Duration,
    /// Numbers of requests that were added and are not used.
    pub unused: Numbers,
    /// Numbers given back since the previous report.
    pub returned: Numbers,
    /// The profile excludes all of its users for now: it uses no numbers.
    pub idle: bool,
}

/// Outputs collected while an input is handled.
#[derive(Default, Debug)]
pub struct Effects {
    /// For the driver, in order.
    pub outputs: Vec<Output>,
    /// Messages to this node, not handled yet.
    pub(super) loopback: VecDeque<Loopback>,
}

/// A message of a node to itself.
#[derive(Debug)]
pub(super) enum Loopback {
    Gossip(TestMessage),
    Request(Request),
    Reply(Reply),
}

impl Effects {
    /// Publishes to all nodes, including this one.
    pub(super) fn publish(&mut self, message: TestMessage) {
        self.loopback.push_back(Loopback::Gossip(message.clone()));
        self.outputs.push(Output::Publish(Gossip::Test(message)));
    }

    /// Sends to a node, which may be this one.
    pub(super) fn send(&mut self, me: &NodeId, to: &Peer, request: Request) {
        if *to == me.peer {
            self.loopback.push_back(Loopback::Request(request));
        } else {
            self.outputs.push(Output::Send(to.clone(), request));
        }
    }

    /// Sends a message of an election to the only node that it concerns.
    pub(super) fn send_election(&mut self, message: TestMessage) {
        if let Some(to) = message.receiver() {
            let to = to.peer.clone();
            self.outputs
                .push(Output::Send(to, Request::Election(message)));
        }
    }

    /// Answers a repetition of a poll or claim. The answers to the first ones may have been lost on a
    /// broken link, which gossip avoids.
    pub(super) fn answer(&mut self, sending: u32, message: TestMessage) {
        if sending <= DIRECT_ANSWERS {
            self.send_election(message);
        } else {
            self.outputs.push(Output::Publish(Gossip::Test(message)));
        }
    }

    pub(super) fn engine(&mut self, test: TestId, order: EngineOrder) {
        self.outputs.push(Output::Engine(test, order));
    }
}
