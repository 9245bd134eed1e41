//! Requests to stop a test. They are signed, since every node passes them on: with votes,
//! registrations, heartbeats and their answers.

use std::time::Duration;

use super::id::{NodeId, TestId};
use super::signature::{Keys, Signature, Statement};

/// How to stop the load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StopOrder {
    /// Whether in-flight requests may finish.
    pub graceful: bool,
    /// Time limit of in-flight requests.
    pub timeout: Duration,
}

/// A request to stop a test, with its author.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedStop {
    /// What is requested.
    pub order: StopOrder,
    /// Author of the request.
    pub by: NodeId,
    /// Signature of the author.
    pub signature: Signature,
}

impl SignedStop {
    /// A request of the node with these keys.
    pub fn new(test: TestId, order: StopOrder, by: &NodeId, keys: &dyn Keys) -> SignedStop {
        SignedStop {
            order,
            by: by.clone(),
            signature: keys.sign(&statement(test, order, by)),
        }
    }

    /// Whether its author signed it for this test.
    pub fn is_signed(&self, test: TestId, keys: &dyn Keys) -> bool {
        let statement = statement(test, self.order, &self.by);
        keys.is_signed(&statement, &self.by.peer, &self.signature)
    }
}

fn statement(test: TestId, order: StopOrder, by: &NodeId) -> Statement {
    Statement::about("stop", test)
        .node(by)
        .number(u64::from(order.graceful))
        .number(order.timeout.as_nanos() as u64)
}
