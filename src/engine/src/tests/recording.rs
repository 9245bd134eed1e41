//! A task that records its arrivals and lets the test decide when requests end.

use std::rc::Rc;
use std::sync::Mutex;

use tokio::sync::Semaphore;
use vajra_task::{
    Arrival, Client, FromTask, Gate, Outcome, PrepareError, Session, Task as SdkTask, Traffic,
};

use super::*;

/// What the requests of a [`Recording`] wait for, and what it has seen.
pub struct Requests {
    /// Each request takes a permit before it ends.
    pub permits: Semaphore,
    arrivals: Mutex<Vec<Arrival>>,
    interrupted: Mutex<Vec<LeaseInstant>>,
}

impl Requests {
    /// Arrivals, in the order in which they were started.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    /// Numbers of the arrivals, sorted.
    pub fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.arrivals().iter().map(|a| a.number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// When requests were interrupted.
    pub fn interrupted(&self) -> Vec<LeaseInstant> {
        self.interrupted.lock().unwrap().clone()
    }
}

struct Recording(Arc<Requests>);

struct RecordingSession(Arc<Requests>);

impl SdkTask for Recording {
    const NAME: &'static str = "RECORDING";
    type Spec = ();
    type Client = RecordingSession;

    fn prepare((): &(), _: &Arc<TaskContext>, _: TestOrigin) -> Result<Recording, PrepareError> {
        unreachable!("the tests create it")
    }

    fn client(self: &Arc<Self>, _: Rc<Traffic>) -> RecordingSession {
        RecordingSession(self.0.clone())
    }
}

impl Client for RecordingSession {
    type Session = RecordingSession;

    fn session(&self) -> RecordingSession {
        RecordingSession(self.0.clone())
    }
}

/// A request in flight.
struct InFlight<'a> {
    requests: &'a Requests,
    done: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.done {
            let now = LeaseClock::new().now();
            self.requests.interrupted.lock().unwrap().push(now);
        }
    }
}

impl Session for RecordingSession {
    fn start(&mut self, arrival: Arrival) -> usize {
        self.0.arrivals.lock().unwrap().push(arrival);
        0
    }

    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        let Some(permit) = gate.open() else {
            return Outcome::NotSent;
        };
        let mut in_flight = InFlight {
            requests: &self.0,
            done: false,
        };
        self.0.permits.acquire().await.unwrap().forget();
        in_flight.done = true;
        Outcome::Ok {
            status: None,
            permit,
        }
    }

    async fn idle(&mut self) {
        std::future::pending().await
    }
}

/// A run of a recording task whose first requests take these permits.
pub fn recording(load: Load, threads: usize, permits: usize) -> (Bench, Arc<Requests>) {
    recording_of(Plan::new(Task::Sleep { ms: 0 }, load), threads, permits)
}

/// The same with a whole plan, of which the task is ignored.
pub fn recording_of(plan: Plan, threads: usize, permits: usize) -> (Bench, Arc<Requests>) {
    plan.validate().unwrap();
    recording_of_any(plan, threads, permits)
}

/// The same for a plan that need not be valid.
pub fn recording_of_any(mut plan: Plan, threads: usize, permits: usize) -> (Bench, Arc<Requests>) {
    // So that a busy machine drops and interrupts nothing.
    plan.load.max_lateness = 5 * SECOND;
    plan.swarm.graceful_timeout.get_or_insert(30 * SECOND);
    let requests = Arc::new(Requests {
        permits: Semaphore::new(permits),
        arrivals: Mutex::default(),
        interrupted: Mutex::default(),
    });
    let task = EngineTask::from_task(Arc::new(Recording(requests.clone())));
    let bench = bench_of_any(plan, threads, None, Box::new(move || task.clone()));
    (bench, requests)
}
