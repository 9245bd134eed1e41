//! Tasks that send nothing: for trying a swarm out, for loading its own machines, and for
//! telling why another task can't run.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Failure, Gate, Outcome, Session, Task, Traffic};

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

/// Runs one of these tasks.
#[derive(Debug)]
pub struct SimpleSession<T>(Arc<T>);

impl Task for SleepTask {
    type Session = SimpleSession<SleepTask>;

    fn session(self: &Arc<Self>, _: Rc<Traffic>) -> Self::Session {
        SimpleSession(self.clone())
    }
}

impl Task for BusyTask {
    type Session = SimpleSession<BusyTask>;

    fn session(self: &Arc<Self>, _: Rc<Traffic>) -> Self::Session {
        SimpleSession(self.clone())
    }
}

impl Task for FailingTask {
    type Session = SimpleSession<FailingTask>;

    fn session(self: &Arc<Self>, _: Rc<Traffic>) -> Self::Session {
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
