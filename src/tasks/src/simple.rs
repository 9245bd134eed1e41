//! Tasks that send nothing: for trying out a swarm, for loading its own machines, and for
//! reporting why another task can't run.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vajra_task::{
    Client, Failure, Gate, Outcome, Parameter, ParameterKind, ParameterValues, Parameters,
    PrepareError, Session, Task, TaskContext, TestOrigin, Traffic,
};

/// Longest time for which a CPU task blocks its engine thread: short compared with the lag that
/// a result reports.
const SLICE: Duration = Duration::from_micros(200);

/// Waits for a fixed time.
#[derive(Debug)]
pub struct SleepTask {
    duration: Duration,
}

/// Uses a fixed CPU time, in slices: concurrent requests share the core of their engine thread.
#[derive(Debug)]
pub struct CpuTask {
    duration: Duration,
}

/// Replaces a task that could not be prepared: each request fails with the same reason.
#[derive(Debug)]
pub struct FailingTask {
    failure: Failure,
}

/// Client and session of one of these tasks.
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

/// The parameter `ms`.
fn milliseconds(max: i64, help: &'static str) -> Parameters {
    let kind = ParameterKind::Integer { min: 0, max };
    Parameters::new([Parameter::required("ms", kind, help)])
}

fn duration(values: &ParameterValues) -> Duration {
    let ms = values.integer("ms").unwrap_or_default();
    Duration::from_millis(ms.unsigned_abs())
}

impl Task for SleepTask {
    const NAME: &'static str = "SLEEP";
    type Spec = ParameterValues;
    type Client = SimpleSession<SleepTask>;

    fn parameters() -> Parameters {
        milliseconds(3_600_000, "Time to wait, in milliseconds.")
    }

    fn prepare(
        spec: &ParameterValues,
        _: &Arc<TaskContext>,
        _: TestOrigin,
    ) -> Result<SleepTask, PrepareError> {
        let duration = duration(spec);
        Ok(SleepTask { duration })
    }

    fn client(self: &Arc<Self>, _: Rc<Traffic>) -> Self::Client {
        SimpleSession(self.clone())
    }
}

impl Task for CpuTask {
    const NAME: &'static str = "CPU";
    type Spec = ParameterValues;
    type Client = SimpleSession<CpuTask>;

    fn parameters() -> Parameters {
        milliseconds(60_000, "CPU time, in milliseconds.")
    }

    fn prepare(
        spec: &ParameterValues,
        _: &Arc<TaskContext>,
        _: TestOrigin,
    ) -> Result<CpuTask, PrepareError> {
        let duration = duration(spec);
        Ok(CpuTask { duration })
    }

    fn client(self: &Arc<Self>, _: Rc<Traffic>) -> Self::Client {
        SimpleSession(self.clone())
    }
}

impl Task for FailingTask {
    const NAME: &'static str = "FAILING";
    type Spec = Failure;
    type Client = SimpleSession<FailingTask>;

    fn prepare(
        failure: &Failure,
        _: &Arc<TaskContext>,
        _: TestOrigin,
    ) -> Result<FailingTask, PrepareError> {
        Ok(FailingTask::new(failure.clone()))
    }

    fn client(self: &Arc<Self>, _: Rc<Traffic>) -> Self::Client {
        SimpleSession(self.clone())
    }
}

impl FailingTask {
    /// A task whose requests fail like this.
    pub fn new(failure: Failure) -> FailingTask {
        FailingTask { failure }
    }
}

impl Session for SimpleSession<SleepTask> {
    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        let Some(permit) = gate.open() else {
            return Outcome::NotSent;
        };
        match self.0.duration {
            Duration::ZERO => tokio::task::yield_now().await,
            duration => tokio::time::sleep(duration).await,
        }
        Outcome::Ok {
            status: None,
            permit,
        }
    }

    async fn idle(&mut self) {
        std::future::pending().await
    }
}

impl Session for SimpleSession<CpuTask> {
    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        let Some(permit) = gate.open() else {
            return Outcome::NotSent;
        };
        let mut remaining = self.0.duration;
        while !remaining.is_zero() {
            let slice = remaining.min(SLICE);
            let started = Instant::now();
            while started.elapsed() < slice {
                std::hint::spin_loop();
            }
            remaining -= slice;
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        Outcome::Ok {
            status: None,
            permit,
        }
    }

    async fn idle(&mut self) {
        std::future::pending().await
    }
}

impl Session for SimpleSession<FailingTask> {
    async fn run<G: Gate>(&mut self, _: &mut G) -> Outcome {
        tokio::task::yield_now().await;
        self.0.failure.clone().into()
    }

    async fn idle(&mut self) {
        std::future::pending().await
    }
}
