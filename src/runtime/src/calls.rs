//! Requests of tasks beside the driver's loop: each gets the answer to its own.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use vajra_core::protocol::Peer;
use vajra_core::protocol::messages::{Reply, Request};
use vajra_network::RequestFailed;

/// Requests waiting for the driver, which takes one in well under a millisecond.
const QUEUE: usize = 64;

/// A request, and who waits for its answer.
#[derive(Debug)]
pub struct Call {
    /// Who is asked.
    pub to: Peer,
    /// What.
    pub request: Request,
    /// Gets the answer.
    pub answer: oneshot::Sender<Result<Reply, RequestFailed>>,
}

/// Asks other nodes. A clone does the same.
#[derive(Clone, Debug)]
pub struct Caller(mpsc::Sender<Call>);

impl Caller {
    /// A caller, and the driver's end of its channel.
    pub fn new() -> (Caller, mpsc::Receiver<Call>) {
        let (calls, inbox) = mpsc::channel(QUEUE);
        (Caller(calls), inbox)
    }

    /// Asks a node, and waits for its answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn call(&self, to: &Peer, request: Request) -> Result<Reply, RequestFailed> {
        let (answer, answered) = oneshot::channel();
        let call = Call {
            to: to.clone(),
            request,
            answer,
        };
        let gone = |_| RequestFailed::Gone;
        self.0.send(call).await.map_err(|_| RequestFailed::Gone)?;
        answered.await.map_err(gone)?
    }
}

/// Calls under way, by the number of their request.
#[derive(Debug, Default)]
pub struct Calls(HashMap<u64, oneshot::Sender<Result<Reply, RequestFailed>>>);

impl Calls {
    /// A call was sent under this number.
    pub fn sent(&mut self, number: u64, answer: oneshot::Sender<Result<Reply, RequestFailed>>) {
        self.0.insert(number, answer);
    }

    /// What became of a request; it is given back if it was no call's.
    pub fn answered(
        &mut self,
        number: u64,
        result: Result<Reply, RequestFailed>,
    ) -> Option<Result<Reply, RequestFailed>> {
        match self.0.remove(&number) {
            Some(answer) => {
                // Whoever asked may have given up.
                let _ = answer.send(result);
                None
            }
            None => Some(result),
        }
    }
}
