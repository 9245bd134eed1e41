//! Tasks that send nothing: for trying a swarm out, for loading its own machines, and for
//! telling why another task can't run.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Client, Failure, Gate, Outcome, Session, Task, Traffic};

/// How long a CPU task keeps its engine thread from anything else: short against the time
/// in which arrivals are late.
const SLICE: Duration = Duration::from_micros(200);

/// Waits.
#[derive(Debug)]
pub struct SleepTask {
    /// How long, in milliseconds.
    pub ms: u64,
}

/// Keeps a core busy, in slices: several at once share their engine thread's core.
#[derive(Debug)]
pub struct BusyTask {
    /// CPU time, in milliseconds.
    pub ms: u64,
}

/// Stands for a task that could not be prepared: each request fails for that reason.
#[derive(Debug)]
pub struct FailingTask {
    /// The reason.
    pub failure: Failure,
}

/// Runs one of these tasks; each thread's sessions are copies of one.
#[derive(Debug)]
pub struct SimpleSession<T>(Arc<T>);

impl<T: 'static> Client for SimpleSession<T>
where
    SimpleSession<T>: Session,
{
    type Session = SimpleSession<T>;

    fn session(&self) -> SimpleSession<T> {
        SimpleSession(self.0.clone())
    }
}

impl Task for SleepTask {
    type Client = SimpleSession<SleepTask>;

    fn client(self: &Arc<Self>, _: Rc<Traffic>) -> Self::Client {
        SimpleSession(self.clone())
    }
}

impl Task for BusyTask {
    type Client = SimpleSession<BusyTask>;

    fn client(self: &Arc<Self>, _: Rc<Traffic>) -> Self::Client {
        SimpleSession(self.clone())
    }
}

impl Task for FailingTask {
    type Client = SimpleSession<FailingTask>;

    fn client(self: &Arc<Self>, _: Rc<Traffic>) -> Self::Client {
        SimpleSession(self.clone())
    }
}

impl Session for SimpleSession<SleepTask> {
    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        if !gate.open() {
            return Outcome::Withheld;
        }
        match self.0.ms {
            0 => tokio::task::yield_now().await,
            ms => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
        Outcome::Ok { status: None }
    }

    async fn idle(&mut self) {
        std::future::pending().await
    }
}

impl Session for SimpleSession<BusyTask> {
    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        if !gate.open() {
            return Outcome::Withheld;
        }
        let mut left = Duration::from_millis(self.0.ms);
        while !left.is_zero() {
            let slice = left.min(SLICE);
            let began = Instant::now();
            while began.elapsed() < slice {
                std::hint::spin_loop();
            }
            left -= slice;
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        Outcome::Ok { status: None }
    }

    async fn idle(&mut self) {
        std::future::pending().await
    }
}

impl Session for SimpleSession<FailingTask> {
    async fn run<G: Gate>(&mut self, _: &mut G) -> Outcome {
        tokio::task::yield_now().await;
        Outcome::Failed {
            status: None,
            failure: self.0.failure.clone(),
        }
    }

    async fn idle(&mut self) {
        std::future::pending().await
    }
}
