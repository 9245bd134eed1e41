//! Where a session waits for its next request: passes requests from the pacer to a session on the
//! same thread.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::task::{Poll, Waker};

use tokio::task::AbortHandle;
use vajra_task::Arrival;

use super::clock::LeaseInstant;

/// A request to send.
#[derive(Clone, Copy, Debug)]
pub struct PendingRequest {
    /// Planned time.
    pub due: LeaseInstant,
    /// When the engine processed it, if it then had to wait for a connection. Such a wait is
    /// caused by the target and is not lag.
    pub waited_since: Option<LeaseInstant>,
    /// The arrival.
    pub arrival: Arrival,
}

/// State of a slot's session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SessionState {
    /// No session was spawned for the slot.
    #[default]
    NotStarted,
    /// The session has not opened its first connection yet.
    Connecting,
    /// The session has opened its first connection, or failed to.
    Ready,
}

/// A session's slot. `user` is state of the closed model.
#[derive(Debug, Default)]
pub struct SessionSlot<U> {
    /// State of the session.
    pub session: Cell<SessionState>,
    /// The virtual user, in the closed model.
    pub user: U,
    request: Cell<Option<PendingRequest>>,
    waker: RefCell<Option<Waker>>,
    retired: Cell<bool>,
    task: RefCell<Option<AbortHandle>>,
}

impl<U> SessionSlot<U> {
    /// A slot without a session.
    pub fn new(user: U) -> SessionSlot<U> {
        SessionSlot {
            session: Cell::default(),
            user,
            request: Cell::default(),
            waker: RefCell::default(),
            retired: Cell::default(),
            task: RefCell::default(),
        }
    }

    /// Gives the session a request that the engine processed at `now`. If the session is still
    /// connecting, the request waits for that.
    pub fn give_at(&self, request: PendingRequest, now: LeaseInstant) {
        let connecting = self.session.get() == SessionState::Connecting;
        let waited_since = request.waited_since.or(connecting.then_some(now));
        self.give(PendingRequest {
            waited_since,
            ..request
        });
    }

    /// Gives the session a request.
    pub fn give(&self, request: PendingRequest) {
        self.request.set(Some(request));
        self.wake();
    }

    /// Ends the session after its current request.
    pub fn retire(&self) {
        self.retired.set(true);
        self.wake();
    }

    /// Sets the task of the slot's session.
    pub fn runs(&self, task: AbortHandle) {
        *self.task.borrow_mut() = Some(task);
    }

    /// Closes the session, with its connection, as soon as the thread gets to it. Its request in
    /// flight ends without a response.
    pub fn interrupt(&self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// Takes back a request that the session has not started.
    pub fn take_back(&self) -> Option<PendingRequest> {
        self.request.take()
    }

    /// Whether the slot gets no further request.
    pub fn retired(&self) -> bool {
        self.retired.get()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// The next request; `None` if there are no more. Polls `idle` while it waits.
    pub async fn next(&self, idle: impl Future<Output = ()>) -> Option<PendingRequest> {
        if let Some(request) = self.request.take() {
            return Some(request);
        }
        let mut idle = pin!(idle);
        std::future::poll_fn(|cx| {
            if let Some(request) = self.request.take() {
                return Poll::Ready(Some(request));
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
