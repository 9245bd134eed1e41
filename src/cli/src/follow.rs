//! Following a test to its end: progress while it runs, Ctrl-C in two stages, and the
//! complete result.

use std::time::Duration;

use super::backend::{Backend, Stream};
use super::exit::Failure;
use super::interrupt::Interrupts;
use super::output::note;
use vajra_core::protocol::messages::TestState;
use vajra_results::TestResult;
use vajra_runtime::handle::{Progress, Update};

/// How often a result that is not complete yet is asked for.
const POLL: Duration = Duration::from_millis(100);
/// How long after the end the last snapshots may take to arrive. The swarm itself repeats
/// them for a while; a result that is still incomplete then says so.
const COMPLETE_WAIT: Duration = Duration::from_secs(5);
/// Attempts to hear a broken stream of progress again, a [`POLL`] apart at first.
const RECONNECTS: u32 = 5;

/// What Ctrl-C means while a test is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnInterrupt {
    /// Stop the test: gracefully, the second time at once; the third gives up on it.
    StopTest,
    /// Only stop looking.
    Leave,
}

/// How following ended.
#[derive(Debug)]
pub enum Followed {
    /// The test has ended.
    Ended(Box<TestResult>),
    /// The watcher left; the test goes on.
    Left,
}

/// Follows a test to its end, handing every line of progress to `show`.
///
/// # Errors
/// The node is gone, or the test never ends after a third Ctrl-C.
pub async fn follow(
    backend: &Backend,
    id: &str,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    mut show: impl FnMut(&Progress) -> Result<(), Failure>,
) -> Result<Followed, Failure> {
    follow_all(backend, id, interrupts, on_interrupt, |told| match told {
        Update::Progress(progress) => show(progress),
        Update::Point(_) => Ok(()),
    })
    .await
}

/// The same with everything that is told on the way.
///
/// # Errors
/// As [`follow`].
pub async fn follow_all(
    backend: &Backend,
    id: &str,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    mut show: impl FnMut(&Update) -> Result<(), Failure>,
) -> Result<Followed, Failure> {
    let mut stream = backend.watch(id).await?;
    let mut interrupted = 0;
    loop {
        tokio::select! {
            told = stream.next() => match told {
                Some(told) => {
                    show(&told)?;
                    if matches!(&told, Update::Progress(p) if p.state == TestState::Ended) {
                        break;
                    }
                }
                None => match reconnect(backend, id).await? {
                    Some(again) => stream = again,
                    None => break,
                },
            },
            () = interrupts.next() => {
                if on_interrupt == OnInterrupt::Leave {
                    return Ok(Followed::Left);
                }
                interrupted += 1;
                stop(backend, id, interrupted).await?;
            }
        }
    }
    complete(backend, id)
        .await
        .map(|result| Followed::Ended(Box::new(result)))
}

async fn stop(backend: &Backend, id: &str, interrupted: u32) -> Result<(), Failure> {
    match interrupted {
        1 => {
            note("stopping: waiting for requests in flight (Ctrl-C again stops at once)");
            backend.stop(id, true).await
        }
        2 => {
            note("stopping at once");
            backend.stop(id, false).await
        }
        _ => Err(Failure::stopped(format_args!(
            "given up on test {id} before it had ended"
        ))),
    }
}

/// A new stream in place of a broken one; `None` if the test ended meanwhile.
async fn reconnect(backend: &Backend, id: &str) -> Result<Option<Stream>, Failure> {
    let mut pause = POLL;
    let mut last = None;
    for _ in 0..RECONNECTS {
        match backend.status(id).await {
            Ok(result) if result.state == TestState::Ended => return Ok(None),
            Ok(_) => match backend.watch(id).await {
                Ok(stream) => return Ok(Some(stream)),
                Err(failure) => last = Some(failure),
            },
            Err(failure) => last = Some(failure),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    let why = last.map(|failure| failure.message).unwrap_or_default();
    Err(Failure::run(format_args!(
        "{why}; the test may go on without it: ask another node with `vajra-node status {id} \
         --api ADDR:PORT`"
    )))
}

/// The result once every worker's last snapshot is in it, or what there is after a while.
async fn complete(backend: &Backend, id: &str) -> Result<TestResult, Failure> {
    let wait = tokio::time::sleep(COMPLETE_WAIT);
    tokio::pin!(wait);
    loop {
        let result = backend.status(id).await?;
        if result.complete || wait.is_elapsed() {
            return Ok(result);
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = &mut wait => {}
        }
    }
}
