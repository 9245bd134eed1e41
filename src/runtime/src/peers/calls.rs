//! Requests to other nodes whose reply goes to the caller and not to the protocol.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use vajra_core::protocol::Peer;
use vajra_core::protocol::messages::{Reply, Request};
use vajra_network::{NetworkHandle, RequestFailed};

/// Requests waiting for the driver, which takes one in well under a millisecond. Callers wait when
/// the queue is full.
const QUEUE: usize = 64;

/// A reply that is still to come.
pub type PendingReply = oneshot::Receiver<Result<Reply, RequestFailed>>;

type ReplySender = oneshot::Sender<Result<Reply, RequestFailed>>;

/// A request, and the channel for its reply.
#[derive(Debug)]
pub struct Call {
    /// The node to ask.
    pub to: Peer,
    /// The request.
    pub request: Request,
    /// Receives the reply.
    pub answer: ReplySender,
}

/// Sends requests to other nodes, from background tasks. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Caller(mpsc::Sender<Call>);

impl Caller {
    /// A caller, and the driver's end of its channel.
    pub fn new() -> (Caller, mpsc::Receiver<Call>) {
        let (calls, inbox) = mpsc::channel(QUEUE);
        (Caller(calls), inbox)
    }

    /// Sends a request and waits for the reply.
    ///
    /// # Errors
    /// The request failed, or the node is shutting down.
    pub async fn call(&self, to: &Peer, request: Request) -> Result<Reply, RequestFailed> {
        let (answer, reply) = oneshot::channel();
        let call = Call {
            to: to.clone(),
            request,
            answer,
        };
        self.0.send(call).await.map_err(|_| RequestFailed::Gone)?;
        reply.await.map_err(|_| RequestFailed::Gone)?
    }
}

/// All requests to other nodes: numbers them, and returns each reply to its caller.
#[derive(Debug)]
pub struct Calls {
    /// None without a swarm.
    net: Option<NetworkHandle>,
    /// Number of the last request.
    last: u64,
    /// Callers, by the number of their request.
    pending: HashMap<u64, ReplySender>,
}

impl Calls {
    /// Requests over this network; without one, every call fails.
    pub fn new(net: Option<NetworkHandle>) -> Calls {
        Calls {
            net,
            last: 0,
            pending: HashMap::new(),
        }
    }

    /// Sends a request whose reply goes to the protocol.
    pub fn send(&mut self, to: Peer, request: &Request) {
        self.last += 1;
        if let Some(net) = &self.net
            && let Err(e) = net.request(to, request, self.last)
        {
            tracing::debug!("request not sent: {e}");
        }
    }

    /// Sends a request whose reply goes to the caller.
    pub fn call(&mut self, call: Call) {
        let sent = match &self.net {
            None => Err(RequestFailed::NotConnected),
            Some(net) => {
                self.last += 1;
                net.request(call.to, &call.request, self.last)
            }
        };
        match sent {
            Ok(()) => drop(self.pending.insert(self.last, call.answer)),
            // The caller may have given up.
            Err(e) => drop(call.answer.send(Err(e))),
        }
    }

    /// Like [`call`](Self::call), with a channel of its own for the reply.
    pub fn ask(&mut self, to: &Peer, request: Request) -> PendingReply {
        let (answer, reply) = oneshot::channel();
        self.call(Call {
            to: to.clone(),
            request,
            answer,
        });
        reply
    }

    /// Passes the outcome of a request to its caller; returns it if it is for the protocol.
    pub fn replied(
        &mut self,
        number: u64,
        outcome: Result<Reply, RequestFailed>,
    ) -> Option<Result<Reply, RequestFailed>> {
        match self.pending.remove(&number) {
            Some(caller) => {
                // The caller may have given up.
                let _ = caller.send(outcome);
                None
            }
            None => Some(outcome),
        }
    }
}
