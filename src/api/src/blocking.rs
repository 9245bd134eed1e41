//! Expensive work on blocking threads, so that other requests are not delayed.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// Waits for a permit for expensive work.
///
/// # Errors
/// Never: the semaphores of the API are not closed.
pub(super) async fn admit(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    let permit = permits.clone().acquire_owned().await;
    permit.map_err(Problem::internal)
}

/// Runs work on a blocking thread. The permit is held until the work is done, also if the caller
/// closes the connection.
///
/// # Errors
/// The work has panicked.
pub(super) async fn blocking<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    done.await.map_err(Problem::internal)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_permit_is_held_until_the_work_is_done_even_if_the_caller_leaves() {
        let permits = Arc::new(Semaphore::new(1));
        let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
        let (finish, wait) = std::sync::mpsc::channel::<()>();
        let work = blocking(admit(&permits).await.unwrap(), move || {
            started.send(()).unwrap();
            wait.recv().unwrap();
        });
        tokio::select! {
            _ = work => unreachable!("the work waits for `finish`"),
            _ = has_started.recv() => {}
        }
        // The future has been dropped.
        assert_eq!(permits.available_permits(), 0);
        finish.send(()).unwrap();
        assert!(permits.acquire().await.is_ok());
    }
}
