//! Tests over time: when loads are measured, when what all workers have told is looked at, and
//! who is told what was seen.
//!
//! Every worker measures at the same instants of the profile, an interval apart; every node
//! looks at the merged metrics half an interval later, when the reports have come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::*;
use crate::engine::load_changes;
use crate::handle::EVENT_QUEUE;
use crate::store::Part;
use vajra_core::metrics::Counters;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::test_run::TestRun;
use vajra_plan::{Profile, Task};
use vajra_results::{Point, Progress, Recording, Sample, Timeline, TimelineNode, Update};

/// After a look there is none for so many times as long as it took: of a core, looks take at
/// most a tenth. Where that is longer than an interval, intervals are put together.
const LOOKS_REST: u32 = 9;
/// Looks after which a node that came late asks others how the test began: until it knows whom.
const CATCH_UP_LOOKS: u32 = 3;
/// Instants of an interval at which its load is read: of a straight ramp any number is exact.
const RATE_SAMPLES: u32 = 32;
/// From so many nodes on, their reports are spread in time.
const MANY_NODES: usize = 16;

/// A test over time, and whoever listens to it.
#[derive(Default)]
pub(crate) struct Live {
    recording: Arc<Mutex<Recording>>,
    listeners: Option<broadcast::Sender<Arc<Update>>>,
    /// The instant of the profile at which the load was last measured.
    measured: Duration,
    /// The same of looks.
    looked: Duration,
    /// How many have been taken.
    looks: u32,
    /// This node has come late: its first interval ends then.
    late: Option<f64>,
    /// How it began, as another node tells it, is being fetched.
    catching_up: bool,
    /// How it began; what is recorded here goes on from there.
    beginning: Option<Arc<Recording>>,
    /// A look is being taken.
    looking: bool,
    /// None is taken before; where looks take long, there are fewer of them.
    rest_until: Option<Instant>,
    /// The result is being kept.
    keeping: bool,
    /// More has come since that began.
    again: bool,
    /// 99th percentile of each worker's lag so far, in milliseconds, by peer id.
    lags: BTreeMap<String, f64>,
}

/// What a look has brought.
pub(crate) struct Looked {
    test: TestId,
    look: Sample,
    point: Option<Point>,
    lags: BTreeMap<String, f64>,
    /// When the first interval ends.
    begins_s: f64,
    took: Duration,
}

/// A result, and which others had to go for it.
pub(crate) struct Kept {
    test: TestId,
    result: Arc<TestResult>,
    gone: Vec<TestId>,
}

impl Live {
    /// What is being written down.
    pub(super) fn recording(&self) -> Arc<Mutex<Recording>> {
        self.recording.clone()
    }

    fn listener(&mut self) -> broadcast::Receiver<Arc<Update>> {
        let listeners = &mut self.listeners;
        let sender = listeners.get_or_insert_with(|| broadcast::channel(EVENT_QUEUE).0);
        sender.subscribe()
    }

    fn listened(&self) -> bool {
        let listeners = self.listeners.as_ref();
        listeners.is_some_and(|l| l.receiver_count() > 0)
    }

    fn tell(&self, update: Update) {
        if let Some(listeners) = &self.listeners {
            // Nobody may be listening any more.
            let _ = listeners.send(Arc::new(update));
        }
    }
}

pub(super) fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The newest instant not after this one that is a whole number of intervals.
fn whole(passed: Duration, interval: Duration) -> Duration {
    let over = passed.as_nanos() / interval.as_nanos().max(1);
    Duration::from_nanos((over * interval.as_nanos()) as u64)
}

impl Driver {
    /// Measures and looks where it is time to. Returns when it will be again, at the latest.
    pub(super) fn pace(&mut self) -> Time {
        let now = self.now();
        let interval = self.core.metrics_interval();
        let spread = self.spread(interval);
        let mut next = Time(u64::MAX);
        let mut looks = Vec::new();
        for (id, served) in &mut self.tests {
            let Some(t) = self.core.tests().get(id) else {
                continue;
            };
            let Some(start) = t.start().filter(|_| t.ended().is_none()) else {
                continue;
            };
            let half = interval / 2;
            let passed = now.since(start);
            let (measure, look) = (
                whole(passed, interval),
                whole(passed.saturating_sub(half), interval),
            );
            if measure > served.live.measured {
                served.live.measured = measure;
                if let Some(run) = &mut served.run {
                    run.measure(false, spread);
                }
            }
            let rests = served.live.rest_until.is_some_and(|at| Instant::now() < at);
            if look > served.live.looked && !served.live.looking && !rests {
                let before = std::mem::replace(&mut served.live.looked, look);
                looks.push((*id, before, look));
            }
            next = next.min(start + measure + interval);
            next = next.min(start + look + interval + half);
        }
        for (id, before, at) in looks {
            self.begin_look(id, before, at);
        }
        next
    }

    /// How long after its measurement this node reports it. All measure at the same instant; in
    /// a large swarm they do not all report then, but over a quarter of an interval.
    fn spread(&self, interval: Duration) -> Duration {
        if self.core.members().len() < MANY_NODES {
            return Duration::ZERO;
        }
        let id = self.core.local().node.peer.as_bytes();
        // The end of a peer id is that of a public key: evenly spread.
        let part = id.last().copied().unwrap_or(0);
        interval * u32::from(part) / (4 * 256)
    }

    /// The lag of a node in the running tests, in milliseconds: the largest of its 99th
    /// percentiles.
    pub(crate) fn lag_of(&self, peer: &str) -> Option<f64> {
        let running = self.tests.iter().filter(|(id, _)| {
            let t = self.core.tests().get(id);
            t.is_some_and(|t| t.ended().is_none())
        });
        let lags = running.filter_map(|(_, served)| served.live.lags.get(peer).copied());
        lags.reduce(f64::max)
    }

    /// Adds many histograms up, beside the loop.
    fn begin_look(&mut self, id: TestId, before: Duration, at: Duration) {
        let Some(look) = self.look(id, before, at) else {
            return;
        };
        let live = &mut self.served(id).live;
        live.looking = true;
        let (recording, looked) = (live.recording.clone(), self.looked_to.clone());
        tokio::task::spawn_blocking(move || {
            let (begun, point, lags, begins_s) = {
                let mut recording = lock(&recording);
                let begun = Instant::now();
                let point = recording.add(&look);
                (
                    begun,
                    point,
                    recording.lags().clone(),
                    recording.first_end_s(),
                )
            };
            // The driver may have ended meanwhile.
            let _ = looked.blocking_send(Looked {
                test: id,
                look,
                point,
                lags,
                begins_s,
                took: begun.elapsed(),
            });
        });
    }

    fn look(&self, id: TestId, before: Duration, at: Duration) -> Option<Sample> {
        let t = self.core.tests().get(&id)?;
        let (_, users, _) = self.asked(id, t, at);
        let asked = self.asked_between(id, t, before, at);
        let workers = t.merge().workers().iter().map(|(n, m)| {
            let node = TimelineNode {
                peer: network::show_peer(&n.peer),
                incarnation: n.incarnation.0,
                name: self.name_of(n, t),
            };
            (node, m.clone())
        });
        Some(Sample {
            at,
            planned: asked,
            users,
            workers: workers.collect(),
        })
    }

    /// What the plan asks for at an instant: arrivals a second, users; and its length in
    /// seconds. Of scenarios it is not known beforehand how many requests they are.
    pub(crate) fn asked(&self, id: TestId, t: &TestRun, at: Duration) -> (f64, u32, f64) {
        let Some((plan, profile)) = self.profile(id, t) else {
            return (0.0, 0, 0.0);
        };
        let asked = match plan.task {
            Task::Scenarios(_) => 0.0,
            _ => profile.rate_at(at),
        };
        let end = profile.end_if_resumed(at).as_secs_f64();
        (asked, profile.users_at(at), end)
    }

    /// Arrivals a second that the plan asks for between two instants, on average.
    fn asked_between(&self, id: TestId, t: &TestRun, from: Duration, to: Duration) -> f64 {
        match self.profile(id, t) {
            Some((plan, profile)) if !matches!(plan.task, Task::Scenarios(_)) => {
                let part = to.saturating_sub(from) / RATE_SAMPLES;
                let middles = (0..RATE_SAMPLES).map(|i| from + part * i + part / 2);
                middles.map(|at| profile.rate_at(at)).sum::<f64>() / f64::from(RATE_SAMPLES)
            }
            _ => 0.0,
        }
    }

    /// A test's plan, and its load as it was changed on the way.
    fn profile(&self, id: TestId, t: &TestRun) -> Option<(&Plan, Profile)> {
        let plan = self.tests.get(&id)?.plan.as_deref()?;
        let changes = load_changes(t.log(), self.room.max_pause);
        let profile = Profile::changed(&plan.load, &changes);
        Some((plan, profile))
    }

    /// A look has been taken: whoever listens is told.
    pub(super) fn looked(&mut self, looked: Looked) {
        let id = looked.test;
        let soon = self.core.metrics_interval().as_secs_f64() * 2.0;
        let live = &mut self.served(id).live;
        live.looking = false;
        live.rest_until = Some(Instant::now() + looked.took * LOOKS_REST);
        live.lags = looked.lags;
        live.looks += 1;
        if looked.begins_s > soon && live.looks == 1 {
            live.late = Some(looked.begins_s);
        }
        let missing = live.late.is_some() && live.beginning.is_none() && !live.catching_up;
        let catch_up = missing && live.looks <= CATCH_UP_LOOKS;
        live.catching_up |= catch_up;
        if let Some(point) = looked.point
            && self.served(id).live.listened()
        {
            let progress = self.progress(id, Some((&looked.look, &point)));
            let live = &self.served(id).live;
            progress
                .into_iter()
                .for_each(|p| live.tell(Update::Progress(p)));
            live.tell(Update::Point(Box::new(point)));
        }
        if catch_up {
            self.catch_up(id);
        }
    }

    /// Somebody has told how a test began, or nobody has.
    pub(super) fn caught_up(&mut self, test: TestId, found: Option<Arc<Recording>>) {
        if let Some(served) = self.tests.get_mut(&test) {
            served.live.catching_up = false;
            served.live.beginning = found;
        }
    }

    /// The timeline that is kept is a better one than what was recorded here.
    pub(super) fn took_over(&mut self, test: TestId) {
        if let Some(served) = self.tests.get_mut(&test) {
            served.live.recording = Arc::default();
            (served.live.beginning, served.live.late) = (None, None);
        }
    }

    /// A line to whoever listens to a test that has not begun, or is over and waits for the
    /// last reports: there is nothing to look at.
    pub(super) fn tell_waiting(&mut self) {
        let now = self.now();
        let waits = |t: &TestRun| match t.start() {
            Some(start) => now < start || t.ended().is_some(),
            None => true,
        };
        let listened = self.tests.iter().filter(|(_, s)| s.live.listened());
        let ids: Vec<TestId> = listened.map(|(id, _)| *id).collect();
        for id in ids {
            if self.core.tests().get(&id).is_some_and(waits)
                && let Some(progress) = self.progress(id, None)
            {
                self.served(id).live.tell(Update::Progress(progress));
            }
        }
    }

    fn progress(&self, id: TestId, seen: Option<(&Sample, &Point)>) -> Option<Progress> {
        let t = self.core.tests().get(&id)?;
        let now = self.now();
        let elapsed_s = t.start().map_or(0.0, |s| now.signed_since(s) as f64 / 1e9);
        let at = Duration::from_secs_f64(elapsed_s.max(0.0));
        let (asked, users, duration_s) = self.asked(id, t, at);
        let mut totals = Counters::default();
        let mut nodes = 0;
        for m in t.merge().workers().values() {
            nodes += u32::from(m.slots > 0);
            m.counters().iter().for_each(|s| totals.add(&s.counters));
        }
        let point = seen.map(|(_, point)| point);
        let times = point.and_then(|p| p.response_time_ms.as_ref());
        Some(Progress {
            test_id: id.to_string(),
            // The last line, with state `ended`, is sent with the result.
            state: t.state().min(TestState::Stopping),
            elapsed_s,
            duration_s,
            nodes,
            planned: asked,
            users,
            rate: point.map_or(0.0, |p| p.rate),
            sent: totals.sent,
            failed: totals.failed,
            p50_ms: times.map(|s| s.p50),
            p99_ms: times.map(|s| s.p99),
            lag_p99_ms: point.and_then(|p| p.lag_p99_ms),
        })
    }

    /// Progress of a test, as it goes on.
    pub(super) fn watch(
        &mut self,
        test: TestId,
        reply: oneshot::Sender<Result<broadcast::Receiver<Arc<Update>>, CommandError>>,
    ) {
        let ended = self.tests.get(&test).and_then(|s| s.result.clone());
        // Whoever asked may be gone; so below.
        if ended.is_none() && self.core.tests().contains_key(&test) {
            let _ = reply.send(Ok(self.served(test).live.listener()));
            return;
        }
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            let last = |result: Arc<TestResult>| {
                let (sender, receiver) = broadcast::channel(1);
                // The receiver is right here.
                let _ = sender.send(Arc::new(Update::Progress(Progress::of_ended(&result))));
                receiver
            };
            let unknown = || CommandError::NotFound(format!("no test {test} is known here"));
            let ended = ended.or_else(|| store.get(test));
            let _ = reply.send(ended.map(last).ok_or_else(unknown));
        });
    }

    /// The result of a test is as complete as it will be, or as it is for now: it is kept, with
    /// what the test was like over time. Adding up and writing take their time; the loop goes on.
    pub(super) fn finish(&mut self, test: TestId) {
        let Some(input) = self.result_input(test) else {
            return;
        };
        let last = input.workers.iter().map(|w| w.metrics.elapsed).max();
        let before = self.served(test).live.looked;
        let look = last.and_then(|at| self.look(test, before, at));
        let (store, kept_to) = (self.store.clone(), self.kept_to.clone());
        let term = self.term_of(test);
        let served = self.served(test);
        served.written = true;
        if std::mem::replace(&mut served.live.keeping, true) {
            // What has come meanwhile is kept when this is done.
            served.live.again = true;
            return;
        }
        let recording = served.live.recording.clone();
        tokio::task::spawn_blocking(move || {
            let result = Arc::new(input.build());
            let timeline = {
                let mut recording = lock(&recording);
                look.iter().for_each(|look| drop(recording.add(look)));
                let whole = !recording.is_empty();
                whole.then(|| recording.to_stored(&test.to_string()))
            };
            let gone = store.keep(test, &result, timeline.as_ref(), term);
            // The driver may have ended meanwhile.
            let _ = kept_to.blocking_send(Kept { test, result, gone });
        });
    }

    /// A result has been kept, or could not be: whoever listens is told of the end.
    pub(super) fn kept_now(&mut self, kept: Kept) {
        let Kept { test, result, gone } = kept;
        self.old.insert(test, ResultSummary::of(&result));
        gone.iter().for_each(|id| drop(self.old.remove(id)));
        let on_disk = self.store.is_on_disk();
        let served = self.served(test);
        let live = &mut served.live;
        live.keeping = false;
        live.tell(Update::Progress(Progress::of_ended(&result)));
        live.listeners = None;
        // A worker that was cut off may yet return with more.
        if on_disk && result.complete {
            live.recording = Arc::default();
        }
        let again = std::mem::take(&mut live.again);
        let late = live.late.filter(|_| result.complete);
        served.result = Some(result.clone());
        served.data = None;
        if let Some(begins_s) = late {
            self.take_over_timeline(test, result, begins_s);
        }
        if again {
            self.finish(test);
        }
    }

    /// Answers with a test over time: as it is being written down, or as it was kept.
    pub(super) fn timeline(
        &self,
        test: TestId,
        points: usize,
        histograms: bool,
        reply: oneshot::Sender<Result<Timeline, CommandError>>,
    ) {
        let served = self.tests.get(&test);
        let served = served.map(|s| (s.live.recording.clone(), s.live.beginning.clone()));
        let t = self.core.tests().get(&test);
        let state = t.map_or(TestState::Ended, TestRun::state);
        let known = t.is_some() || self.store.has(test, Part::Result);
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            let show = |r: &Recording| r.timeline(&test.to_string(), state, points, histograms);
            if reply.is_closed() {
                return;
            }
            let live = served.map(|(recording, beginning)| {
                let recording = lock(&recording).clone();
                beginning.map_or_else(|| recording.clone(), |b| recording.with_start_of(&b))
            });
            let live = live.filter(|r| !r.is_empty());
            let kept = || store.timeline(test).map(Recording::from_stored);
            let answer = match live.or_else(kept) {
                Some(recording) => Ok(show(&recording)),
                None if known => Ok(show(&Recording::default())),
                None => Err(CommandError::NotFound(format!(
                    "no test {test} is known here"
                ))),
            };
            // Whoever asked may be gone.
            let _ = reply.send(answer);
        });
    }
}
