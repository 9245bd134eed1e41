//! Answers to requests of other nodes, computed at once or in the background.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use vajra_core::protocol::messages::Reply;

/// The answer to a request, or the work that produces it.
pub enum Answer {
    /// The answer is known.
    Now(Box<Reply>),
    /// Work that may block.
    Blocking(Box<dyn FnOnce() -> Reply + Send>),
    /// Work that waits.
    Task(Pin<Box<dyn Future<Output = Reply> + Send>>),
}

impl Answer {
    /// A known answer.
    pub fn now(reply: Reply) -> Answer {
        Answer::Now(Box::new(reply))
    }

    /// Work that may block.
    pub fn blocking(work: impl FnOnce() -> Reply + Send + 'static) -> Answer {
        Answer::Blocking(Box::new(work))
    }

    /// Work that waits.
    pub fn task(work: impl Future<Output = Reply> + Send + 'static) -> Answer {
        Answer::Task(Box::pin(work))
    }

    /// The node has no capacity for this request; the caller may retry.
    pub fn busy() -> Answer {
        Answer::now(Reply::Refused(
            "the node is busy with other requests; retry".into(),
        ))
    }
}

/// A permit for one more answer in progress, unless the limit is reached.
pub fn admit(limit: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    limit.clone().try_acquire_owned().ok()
}
