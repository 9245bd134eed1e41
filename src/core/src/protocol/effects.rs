//! What the state machines want done: outputs for the driver, and messages of a node to
//! itself, which no network delivers.

use std::collections::VecDeque;
use std::sync::Arc;

use super::decisions::LogEntry;
use super::id::{NodeId, Peer, TestId};
use super::messages::{Gossip, Reply, Request, StopOrder, TestEvent, TestMessage};
use super::time::Time;
use crate::Hook;

/// What became of a gossip message; decides whether the network forwards it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acceptance {
    /// Sound and of use: forward it.
    Accept,
    /// Sound, but about something ended, unknown or older: do not forward, do not blame.
    Ignore,
    /// A lie or a fault: do not forward, and blame its forwarder.
    Reject,
}

/// Something for the driver to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Gossip this.
    Publish(Gossip),
    /// Send a request; its reply comes back as an input, a failure not at all.
    Send(Peer, Request),
    /// The reply to the request that was handled.
    Reply(Reply),
    /// Whether the network forwards the gossip message that was handled.
    Acceptance(Acceptance),
    /// Parse this plan, decide whether this node can carry it, and say so by
    /// [`super::Input::Inspected`].
    Inspect {
        /// The test.
        test: TestId,
        /// Where it was started; a node trusts itself more than others.
        submitter: NodeId,
        /// The plan's canonical bytes.
        plan: Arc<[u8]>,
    },
    /// An order to the load engine.
    Engine(TestId, EngineOrder),
    /// Run the plan's setup or teardown, as long as this node has authority, and say by
    /// [`super::Input::Ran`] how it went.
    RunOnce(TestId, Hook),
    /// Something happened that people want to know.
    Event(TestId, TestEvent),
    /// Another node coordinates the test from now on.
    Led(TestId, NodeId),
    /// The test ended here; its result should be kept.
    Ended(TestId),
    /// The result of an ended test is now complete.
    Completed(TestId),
    /// A fact about the swarm for the log.
    Log(String),
}

/// An order to the load engine. Repeating one changes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EngineOrder {
    /// Get ready: threads, names, connections.
    Prepare,
    /// The profile starts at this instant.
    Start(Time),
    /// Act on this share from now on.
    Share {
        /// How many slots.
        slots: u32,
        /// Where they begin.
        offset: u32,
    },
    /// Send nothing from this instant on unless another order moves it.
    Lease(Time),
    /// Act on these decisions: all that count so far, in their order.
    LogEntry(Arc<[LogEntry]>),
    /// Stop.
    Stop(StopOrder),
}

/// Collects outputs while an input is handled.
#[derive(Default, Debug)]
pub struct Effects {
    /// For the driver, in order.
    pub outputs: Vec<Output>,
    /// Messages to oneself, still to be handled.
    pub(super) to_self: VecDeque<Loopback>,
}

/// A message that needs no network.
#[derive(Debug)]
pub(super) enum Loopback {
    Gossip(TestMessage),
    Request(Request),
    Reply(Reply),
}

impl Effects {
    /// Publishes to everybody, oneself included.
    pub(super) fn publish(&mut self, message: TestMessage) {
        self.to_self.push_back(Loopback::Gossip(message.clone()));
        self.outputs.push(Output::Publish(Gossip::Test(message)));
    }

    /// Sends to a node, which may be oneself.
    pub(super) fn send(&mut self, me: &NodeId, to: &Peer, request: Request) {
        if *to == me.peer {
            self.to_self.push_back(Loopback::Request(request));
        } else {
            self.outputs.push(Output::Send(to.clone(), request));
        }
    }

    pub(super) fn engine(&mut self, test: TestId, order: EngineOrder) {
        self.outputs.push(Output::Engine(test, order));
    }
}
