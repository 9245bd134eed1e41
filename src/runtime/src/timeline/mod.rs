//! Tests over time: when loads are measured, when the merged metrics are sampled, and the updates
//! for watchers.
//!
//! All workers measure at the same instants of the profile, one interval apart. Every node samples
//! the merged metrics half an interval later, when the reports have arrived.
//!
//! | module | contents |
//! |---|---|
//! | `recording` | a recording that background tasks share |
//! | `sample` | the metrics of a test at an instant, and its progress |
//! | `late` | timelines of tests that this node joined late |

mod late;
mod recording;
mod sample;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;

pub use self::late::{Beginning, catch_up, replace_stored};
use self::recording::SharedRecording;
pub use self::sample::{progress, sample};
use crate::handle::{CommandError, EVENT_QUEUE};
use crate::results::Unsaved;
use crate::results::store::{Part, Store};
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::{Node, TestId, Time};
use vajra_core::sync::lock;
use vajra_results::{Point, Progress, Recording, Sample, TestResult, Timeline, Update};

/// After a sample there is none for this multiple of the time it took, so that sampling takes at
/// most a tenth of a core. In large swarms this merges several intervals into one.
const SAMPLE_REST: u32 = 9;
/// Samples in which a node that joined late looks for the start of the timeline on other nodes.
const CATCH_UP_SAMPLES: u32 = 3;
/// Number of nodes from which their reports are spread over time.
const MANY_NODES: usize = 16;

/// The timelines of the tests that the protocol tracks.
#[derive(Default)]
pub struct Timelines {
    tests: HashMap<TestId, Live>,
}

/// One test over time, and its watchers.
#[derive(Default)]
struct Live {
    recording: SharedRecording,
    watchers: Option<broadcast::Sender<Arc<Update>>>,
    sampling: Sampling,
    late: LateStart,
    /// 99th percentile of each worker's lag since the start, in milliseconds, by peer id.
    lags: BTreeMap<String, f64>,
}

/// When a test is measured and sampled.
#[derive(Default)]
struct Sampling {
    /// Instant of the profile of the last measurement.
    measured: Duration,
    /// Instant of the profile of the last sample.
    sampled: Duration,
    /// Number of samples.
    count: u32,
    /// A sample is in progress.
    in_progress: bool,
    /// Time before which no sample is taken.
    rest_until: Option<Instant>,
}

/// The state of a test that this node joined late.
#[derive(Default)]
struct LateStart {
    /// End of the first interval recorded here, in seconds; none if the recording is complete.
    begins_s: Option<f64>,
    /// The start of the timeline is being fetched.
    is_fetching: bool,
    /// The start of the timeline; the recording continues it.
    beginning: Option<Arc<Recording>>,
}

/// What is due now.
pub struct Due {
    /// Tests to measure.
    pub measurements: Vec<TestId>,
    /// Tests to sample: the instants of the previous sample and of this one.
    pub samples: Vec<(TestId, Duration, Duration)>,
    /// When something is due next, at the latest.
    pub next: Time,
}

/// A sample that was added to a recording.
pub struct Sampled {
    /// The test.
    pub test: TestId,
    /// The sample.
    pub sample: Sample,
    /// The interval that it closed, if any.
    pub point: Option<Point>,
    lags: BTreeMap<String, f64>,
    /// End of the first interval.
    begins_s: f64,
    took: Duration,
}

/// The largest multiple of `interval` up to `elapsed`.
fn floor(elapsed: Duration, interval: Duration) -> Duration {
    let intervals = elapsed.as_nanos() / interval.as_nanos().max(1);
    Duration::from_nanos((intervals * interval.as_nanos()) as u64)
}

/// The delay between a measurement of this node and its report. All nodes measure at the same
/// instant; in a large swarm the reports are spread over a quarter of an interval.
pub fn report_delay(core: &Node) -> Duration {
    if core.members().len() < MANY_NODES {
        return Duration::ZERO;
    }
    let id = core.local().node.peer.as_bytes();
    // The last byte of a peer id belongs to a public key, so it is evenly distributed.
    let part = id.last().copied().unwrap_or(0);
    core.metrics_interval() * u32::from(part) / (4 * 256)
}

impl Timelines {
    fn live(&mut self, test: TestId) -> &mut Live {
        self.tests.entry(test).or_default()
    }

    /// Starts the timeline of a test.
    pub fn track(&mut self, test: TestId) {
        self.live(test);
    }

    /// Forgets all other tests.
    pub fn retain<T>(&mut self, tests: &BTreeMap<TestId, T>) {
        self.tests.retain(|id, _| tests.contains_key(id));
    }

    /// The largest 99th percentile of a node's lag in the tests that `is_running` selects, in
    /// milliseconds.
    pub fn lag_of(&self, peer: &str, is_running: impl Fn(TestId) -> bool) -> Option<f64> {
        let running = self.tests.iter().filter(|(id, _)| is_running(**id));
        let lags = running.filter_map(|(_, live)| live.lags.get(peer).copied());
        lags.reduce(f64::max)
    }

    // ---- sampling ----

    /// The measurements and samples that are due.
    pub fn due(&mut self, core: &Node, now: Time) -> Due {
        let interval = core.metrics_interval();
        let half = interval / 2;
        let mut due = Due {
            measurements: Vec::new(),
            samples: Vec::new(),
            next: Time::MAX,
        };
        for (id, live) in &mut self.tests {
            let running = core.tests().get(id).filter(|t| t.ended().is_none());
            let Some(start) = running.and_then(|t| t.start()) else {
                continue;
            };
            let elapsed = now.since(start);
            let measure = floor(elapsed, interval);
            let sample = floor(elapsed.saturating_sub(half), interval);
            let sampling = &mut live.sampling;
            if measure > sampling.measured {
                sampling.measured = measure;
                due.measurements.push(*id);
            }
            let rests = sampling.rest_until.is_some_and(|at| Instant::now() < at);
            if sample > sampling.sampled && !sampling.in_progress && !rests {
                let before = std::mem::replace(&mut sampling.sampled, sample);
                due.samples.push((*id, before, sample));
            }
            due.next = due.next.min(start + measure + interval);
            due.next = due.next.min(start + sample + interval + half);
        }
        due
    }

    /// Instant of the profile of the last sample.
    pub fn last_sample(&self, test: TestId) -> Duration {
        let live = self.tests.get(&test);
        live.map_or(Duration::ZERO, |live| live.sampling.sampled)
    }

    /// The work that adds a sample to the recording; it merges many histograms.
    pub fn add_sample(
        &mut self,
        test: TestId,
        sample: Sample,
    ) -> impl FnOnce() -> Sampled + Send + use<> {
        let live = self.live(test);
        live.sampling.in_progress = true;
        let recording = live.recording.clone();
        move || {
            let mut recording = lock(&recording);
            let started = Instant::now();
            let point = recording.add(&sample);
            Sampled {
                test,
                sample,
                point,
                lags: recording.lags().clone(),
                begins_s: recording.first_end_s(),
                took: started.elapsed(),
            }
        }
    }

    /// A sample was added. Returns whether the start of the timeline is to be fetched, since this
    /// node joined the test late.
    pub fn sampled(&mut self, sampled: &Sampled, interval: Duration) -> bool {
        let live = self.live(sampled.test);
        let sampling = &mut live.sampling;
        sampling.in_progress = false;
        sampling.rest_until = Some(Instant::now() + sampled.took * SAMPLE_REST);
        sampling.count += 1;
        live.lags.clone_from(&sampled.lags);
        let late = &mut live.late;
        if sampling.count == 1 && sampled.begins_s > interval.as_secs_f64() * 2.0 {
            late.begins_s = Some(sampled.begins_s);
        }
        let is_missing = late.begins_s.is_some() && late.beginning.is_none() && !late.is_fetching;
        let fetch = is_missing && sampling.count <= CATCH_UP_SAMPLES;
        late.is_fetching |= fetch;
        fetch
    }

    /// The recording of a test.
    pub fn recording(&mut self, test: TestId) -> SharedRecording {
        self.live(test).recording.clone()
    }

    /// The search for the start of a timeline has ended.
    pub fn caught_up(&mut self, found: Beginning) {
        if let Some(live) = self.tests.get_mut(&found.test) {
            live.late.is_fetching = false;
            live.late.beginning = found.recording;
        }
    }

    /// The stored timeline was replaced by a better one than was recorded here.
    pub fn replaced(&mut self, test: TestId) {
        if let Some(live) = self.tests.get_mut(&test) {
            live.recording = Arc::default();
            live.late = LateStart {
                is_fetching: live.late.is_fetching,
                ..LateStart::default()
            };
        }
    }

    // ---- watchers ----

    /// Updates of a test from now on.
    pub fn watch(&mut self, test: TestId) -> broadcast::Receiver<Arc<Update>> {
        let watchers = &mut self.live(test).watchers;
        let sender = watchers.get_or_insert_with(|| broadcast::channel(EVENT_QUEUE).0);
        sender.subscribe()
    }

    /// Whether a test is watched.
    pub fn is_watched(&self, test: TestId) -> bool {
        let watchers = self.tests.get(&test).and_then(|l| l.watchers.as_ref());
        watchers.is_some_and(|w| w.receiver_count() > 0)
    }

    /// The watched tests.
    pub fn watched(&self) -> Vec<TestId> {
        let watched = self.tests.keys().filter(|id| self.is_watched(**id));
        watched.copied().collect()
    }

    /// Sends an update to the watchers of a test.
    pub fn publish(&self, test: TestId, update: Update) {
        if let Some(watchers) = self.tests.get(&test).and_then(|l| l.watchers.as_ref()) {
            // The watchers may be gone.
            let _ = watchers.send(Arc::new(update));
        }
    }

    // ---- the end ----

    /// The work that adds a last sample, and returns the complete timeline.
    pub fn finish(
        &mut self,
        test: TestId,
        last: Option<Sample>,
    ) -> impl FnOnce() -> Option<Timeline> + Send + use<> {
        let recording = self.recording(test);
        move || {
            let mut recording = lock(&recording);
            if let Some(sample) = &last {
                recording.add(sample);
            }
            (!recording.is_empty()).then(|| recording.to_stored(&test.to_string()))
        }
    }

    /// The result of a test was stored: its watchers get the last update. Returns the start of the
    /// recording in seconds if this node joined late, and a better timeline is to be fetched.
    pub fn saved(&mut self, test: TestId, result: &TestResult, is_on_disk: bool) -> Option<f64> {
        self.publish(test, Update::Progress(Progress::of_ended(result)));
        let live = self.live(test);
        live.watchers = None;
        // The reports of a worker that was cut off may still arrive.
        if is_on_disk && result.complete {
            live.recording = Arc::default();
        }
        live.late.begins_s.filter(|_| result.complete)
    }

    // ---- reading ----

    /// The timeline of a test as recorded, if there is one.
    pub fn unsaved(&self, test: TestId) -> Option<Unsaved> {
        let recording = self.tests.get(&test)?.recording.clone();
        Some(Box::new(move || {
            let recording = lock(&recording).clone();
            if recording.is_empty() {
                return None;
            }
            let timeline = recording.to_stored(&test.to_string());
            serde_json::to_vec(&timeline).ok().map(Into::into)
        }))
    }

    /// The work that returns a timeline of at most `points` points, as recorded or stored. `state`
    /// is none if the protocol does not know the test.
    pub fn read(
        &self,
        test: TestId,
        state: Option<TestState>,
        (points, histograms): (usize, bool),
        store: &Store,
    ) -> impl FnOnce() -> Result<Timeline, CommandError> + Send + use<> {
        let live = self.tests.get(&test);
        let live = live.map(|l| (l.recording.clone(), l.late.beginning.clone()));
        let is_known = state.is_some() || store.has(test, Part::Result);
        let state = state.unwrap_or(TestState::Ended);
        let store = store.clone();
        move || {
            let show = |r: &Recording| r.timeline(&test.to_string(), state, points, histograms);
            let live = live.map(|(recording, beginning)| {
                let recording = lock(&recording).clone();
                beginning.map_or_else(|| recording.clone(), |b| recording.with_start_of(&b))
            });
            let live = live.filter(|r| !r.is_empty());
            let stored = || store.timeline(test).map(Recording::from_stored);
            match live.or_else(stored) {
                Some(recording) => Ok(show(&recording)),
                None if is_known => Ok(show(&Recording::default())),
                None => Err(CommandError::unknown_test(test)),
            }
        }
    }
}
