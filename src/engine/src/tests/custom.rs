//! Custom metrics and phases of a task that is not one of Vajra's.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use vajra_task::{
    Client, CustomMetrics, FailureKind, FromTask, Gate, MetricDeclaration, MetricId, MetricKind,
    MetricValue, Outcome, Phase, PrepareError, Session, Task as SdkTask, Traffic,
};

/// Counts its requests: each one is an event of a rate and a value of a histogram.
struct Counting {
    next: AtomicU64,
}

struct CountingSession(Arc<Counting>);

const REQUESTS: MetricId = MetricId(0);
const EVEN: MetricId = MetricId(1);
const NUMBER: MetricId = MetricId(2);

impl SdkTask for Counting {
    const NAME: &'static str = "COUNTING";
    type Spec = ();
    type Client = CountingSession;

    fn metrics() -> &'static [MetricDeclaration] {
        const fn metric(name: &'static str, kind: MetricKind) -> MetricDeclaration {
            MetricDeclaration {
                name,
                kind,
                unit: "",
                help: "For tests.",
            }
        }
        const {
            &[
                metric("requests", MetricKind::Counter),
                metric("even", MetricKind::Rate),
                metric("number", MetricKind::Histogram),
            ]
        }
    }

    fn prepare((): &(), _: &Arc<TaskContext>, _: TestOrigin) -> Result<Counting, PrepareError> {
        let next = AtomicU64::new(0);
        Ok(Counting { next })
    }

    fn client(self: &Arc<Self>, _: Rc<Traffic>) -> CountingSession {
        CountingSession(self.clone())
    }
}

impl Client for CountingSession {
    type Session = CountingSession;

    fn session(&self) -> CountingSession {
        CountingSession(self.0.clone())
    }
}

impl Session for CountingSession {
    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        let Some(permit) = gate.open() else {
            return Outcome::NotSent;
        };
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        gate.add(REQUESTS, 2);
        gate.count_rate(EVEN, number.is_multiple_of(2));
        gate.observe(NUMBER, number);
        gate.phase(Phase::FirstByte, ms(number));
        tokio::task::yield_now().await;
        match number % 10 {
            0 => vajra_task::Failure::new(FailureKind::Custom("tenth"), "").into(),
            _ => Outcome::Ok {
                status: None,
                permit,
            },
        }
    }

    async fn idle(&mut self) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn metrics_of_a_third_party_task_are_summed_over_threads() {
    let task = Counting::prepare(&(), &Arc::default(), TestOrigin::ThisNode).unwrap();
    let task = EngineTask::from_task(Arc::new(task));
    assert_eq!(format!("{task:?}"), "EngineTask(\"COUNTING\")");
    let plan = Plan::new(Task::Sleep { ms: 0 }, Load::open(500.0, ms(400)));
    let mut bench = bench_of(plan, 3, None, Box::new(move || task.clone()));
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    let (error, count) = c.errors.first_key_value().unwrap();
    assert_eq!((c.ok, c.failed), (180, 20), "{c:?}");
    assert_eq!((error.kind.as_str(), count.count), ("tenth", 20));

    let mut expected = CustomMetrics::new(Counting::metrics());
    for number in 0..200u64 {
        expected.add(REQUESTS, 2);
        expected.count_rate(EVEN, number.is_multiple_of(2));
        expected.observe(NUMBER, number);
    }
    let snapshot = bench.run.snapshot().await;
    assert_eq!(snapshot.custom, expected);
    let values: Vec<_> = snapshot.custom.iter().map(|(d, v)| (d.name, v)).collect();
    assert_eq!(values[0], ("requests", &MetricValue::Counter(400)));
    let first_byte = snapshot.phases.get(Phase::FirstByte).unwrap();
    assert_eq!(first_byte.len(), 200);
    assert_eq!(snapshot.phases.get(Phase::Tls), None);
}

#[tokio::test]
async fn a_task_without_custom_metrics_has_none_in_the_snapshot() {
    let plan = Plan::new(Task::Sleep { ms: 0 }, Load::open(100.0, ms(100)));
    let mut bench = bench(plan);
    bench.go(Slots::whole());
    bench.end().await;
    let snapshot = bench.run.snapshot().await;
    assert_eq!(snapshot.custom, CustomMetrics::default());
}
