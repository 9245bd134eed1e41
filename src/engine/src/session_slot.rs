//! Where a session waits for its next request: the hand-over between the pacer and a session
//! on the same thread.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::task::{Poll, Waker};

use super::clock::LeaseInstant;
use vajra_tasks::Arrival;

/// A request to make.
#[derive(Clone, Copy, Debug)]
pub struct PendingRequest {
    /// When it is planned.
    pub due: LeaseInstant,
    /// When the engine turned to it, if it then had to wait for a connection: such a wait
    /// is the target's doing, no lag.
    pub waited_since: Option<LeaseInstant>,
    /// Which one it is.
    pub arrival: Arrival,
}

/// One session's place.
#[derive(Debug, Default)]
pub struct SessionSlot {
    /// Where the closed model keeps it.
    pub place: Cell<usize>,
    /// Which user it is, in the closed model.
    pub user: Cell<u32>,
    /// How many requests that user had.
    pub turns: Cell<u32>,
    job: Cell<Option<PendingRequest>>,
    waker: RefCell<Option<Waker>>,
    /// Its session has yet to open its first connection.
    pub opening: Cell<bool>,
    /// A session was spawned for it.
    pub taken: Cell<bool>,
    /// No further request.
    pub retired: Cell<bool>,
    /// In the closed model: it is known when it sends first.
    pub called: Cell<bool>,
    /// Waits for a lease.
    pub parked: Cell<bool>,
    /// When it is called next; an earlier call does not count any more.
    pub next_call: Cell<u64>,
    /// Waits until the load has a place for it.
    pub benched: Cell<bool>,
}

impl SessionSlot {
    /// Hands over a request, at `now`. If the session is still opening its connection, the
    /// request waits for that.
    pub fn give_at(&self, job: PendingRequest, now: LeaseInstant) {
        let waited_since = job.waited_since.or(self.opening.get().then_some(now));
        self.give(PendingRequest {
            waited_since,
            ..job
        });
    }

    /// Hands over a request.
    pub fn give(&self, job: PendingRequest) {
        self.job.set(Some(job));
        self.wake();
    }

    /// No further request; a session that waits ends.
    pub fn retire(&self) {
        self.retired.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// The next request, while `idle` is kept going; none if there is no further one.
    pub async fn next(&self, idle: impl Future<Output = ()>) -> Option<PendingRequest> {
        if let Some(job) = self.job.take() {
            return Some(job);
        }
        let mut idle = pin!(idle);
        std::future::poll_fn(|cx| {
            if let Some(job) = self.job.take() {
                return Poll::Ready(Some(job));
            }
            if self.retired.get() {
                return Poll::Ready(None);
            }
            let mut waker = self.waker.borrow_mut();
            if waker.as_ref().is_none_or(|w| !w.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            drop(waker);
            // It never completes.
            let _ = idle.as_mut().poll(cx);
            Poll::Pending
        })
        .await
    }
}
