//! Inputs of a simulated process.

use std::sync::Arc;
use std::time::Duration;

use vajra_core::Hook;
use vajra_core::protocol::Peer;
use vajra_core::protocol::messages::{Gossip, Reply, Request};

/// Input of a process.
#[derive(Clone, Debug)]
pub enum Event {
    /// A gossip message arrived.
    Gossip {
        /// Author.
        author: Peer,
        /// Content.
        message: Arc<Gossip>,
    },
    /// A request arrived.
    Request {
        /// Sender.
        from: usize,
        /// Incarnation of the sender.
        incarnation: u64,
        /// Content.
        request: Arc<Request>,
    },
    /// A reply to this incarnation arrived.
    Reply {
        /// Sender.
        from: usize,
        /// Incarnation of the receiver.
        incarnation: u64,
        /// Content.
        reply: Arc<Reply>,
    },
    /// A connection was established or lost.
    Connection {
        /// Remote machine.
        with: usize,
        /// Whether it was established.
        there: bool,
    },
    /// A wake-up, if it is still scheduled for this time.
    Wake {
        /// Scheduled time.
        due: Duration,
    },
    /// The control thread runs again, while it is starved.
    Turn,
    /// A plan has been inspected.
    Inspected {
        /// Incarnation of the process.
        incarnation: u64,
        /// Index of the test.
        of: usize,
    },
    /// A metrics interval has passed for the engine.
    Second {
        /// Incarnation of the process.
        incarnation: u64,
        /// Index of the test.
        of: usize,
    },
    /// The engine has something to do, if it is still scheduled for this time.
    Engine {
        /// Incarnation of the process.
        incarnation: u64,
        /// Index of the test.
        of: usize,
        /// Scheduled time.
        due: Duration,
    },
    /// A hook has finished.
    HookFinished {
        /// Incarnation of the process.
        incarnation: u64,
        /// Index of the test.
        of: usize,
        /// The hook.
        hook: Hook,
    },
    /// The load may be over and no request in flight.
    LoadOver {
        /// Incarnation of the process.
        incarnation: u64,
        /// Index of the test.
        of: usize,
    },
}
