//! A time limit that costs a request nearly nothing.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A time-out that is armed once and put off lazily: setting the deadline for a request
/// costs a clock reading and no timer operation.
pub struct Timeout {
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Timeout {
    /// Not armed yet.
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

    /// The future's output, or none once `length` has passed.
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
