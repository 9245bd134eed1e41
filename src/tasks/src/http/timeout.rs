//! A time limit that costs a request almost nothing.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A timer that is reset only when it expires: setting the deadline of a request reads the clock
/// and needs no timer operation.
pub struct Timeout {
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Timeout {
    /// A timer without a deadline.
    pub fn new() -> Timeout {
        let now = Instant::now();
        Timeout {
            timer: Box::pin(tokio::time::sleep_until(now)),
            deadline: now,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// The future's output, or `None` after `length`.
    pub async fn limit<F: Future>(&mut self, length: Duration, future: F) -> Option<F::Output> {
        self.deadline = Instant::now() + length;
        let mut future = pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}
