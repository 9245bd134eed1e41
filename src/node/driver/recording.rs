//! Tests over time: when loads are measured, when what all workers have told is looked at, and
//! who is told what was seen.
//!
//! Every worker measures at the same instants of the profile, an interval apart; every node
//! looks at the merged metrics half an interval later, when the reports have come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::*;
use crate::node::engine::load_changes;
use crate::node::handle::EVENT_QUEUE;
use crate::node::store::Part;
use crate::plan::{Profile, Task};
use crate::protocol::metrics::Counters;
use crate::protocol::test::Test;
use crate::report::{Look, Point, Progress, Recording, Timeline, TimelineNode, Update, phase_word};

/// A test over time, and whoever listens to it.
#[derive(Default)]
pub(in crate::node) struct Live {
    recording: Arc<Mutex<Recording>>,
    listeners: Option<broadcast::Sender<Arc<Update>>>,
    /// The instant of the profile at which the load was last measured.
    measured: Duration,
    /// The same of looks.
    looked: Duration,
    /// A look is being taken.
    looking: bool,
}

/// What a look has brought.
pub(in crate::node) struct Looked {
    test: TestId,
    look: Look,
    point: Option<Point>,
}

impl Live {
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

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
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
                    run.measure(false);
                }
            }
            if look > served.live.looked && !served.live.looking {
                served.live.looked = look;
                looks.push((*id, look));
            }
            next = next.min(start + measure + interval);
            next = next.min(start + look + interval + half);
        }
        for (id, at) in looks {
            self.begin_look(id, at);
        }
        next
    }

    /// Adds many histograms up, beside the loop.
    fn begin_look(&mut self, id: TestId, at: Duration) {
        let Some(look) = self.look(id, at) else {
            return;
        };
        let live = &mut self.served(id).live;
        live.looking = true;
        let (recording, looked) = (live.recording.clone(), self.looked_to.clone());
        tokio::task::spawn_blocking(move || {
            let point = lock(&recording).take(&look);
            // The driver may have ended meanwhile.
            let _ = looked.blocking_send(Looked {
                test: id,
                look,
                point,
            });
        });
    }

    fn look(&self, id: TestId, at: Duration) -> Option<Look> {
        let t = self.core.tests().get(&id)?;
        let (asked, users, _) = self.asked(id, t, at);
        let workers = t.merge().workers().iter().map(|(n, m)| {
            let node = TimelineNode {
                peer: network::show_peer(&n.peer),
                incarnation: n.incarnation.0,
                name: self.name_of(n, t),
            };
            (node, m.clone())
        });
        Some(Look {
            at,
            asked,
            users,
            workers: workers.collect(),
        })
    }

    /// What the plan asks for at an instant: arrivals a second, users; and its length in
    /// seconds. Of scenarios it is not known beforehand how many requests they are.
    pub(in crate::node) fn asked(&self, id: TestId, t: &Test, at: Duration) -> (f64, u32, f64) {
        let Some(plan) = self.tests.get(&id).and_then(|s| s.plan.as_ref()) else {
            return (0.0, 0, 0.0);
        };
        let changes = load_changes(t.decisions(), self.room.max_pause);
        let profile = Profile::changed(&plan.load, &changes);
        let asked = match plan.task {
            Task::Scenarios(_) => 0.0,
            _ => profile.rate_at(at),
        };
        (asked, profile.users_at(at), profile.end().as_secs_f64())
    }

    /// A look has been taken: whoever listens is told.
    pub(super) fn looked(&mut self, looked: Looked) {
        let id = looked.test;
        self.served(id).live.looking = false;
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
    }

    /// A line to whoever listens to a test that has not begun, or is over and waits for the
    /// last reports: there is nothing to look at.
    pub(super) fn tell_waiting(&mut self) {
        let now = self.now();
        let waits = |t: &Test| match t.start() {
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

    fn progress(&self, id: TestId, seen: Option<(&Look, &Point)>) -> Option<Progress> {
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
            state: phase_word(t.phase().min(crate::protocol::messages::Phase::Stopping)).into(),
            elapsed_s,
            duration_s,
            nodes,
            asked,
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
    ) -> Result<broadcast::Receiver<Arc<Update>>, CommandError> {
        if let Some(result) = self.kept(test) {
            let (sender, receiver) = broadcast::channel(1);
            // The receiver is right here.
            let _ = sender.send(Arc::new(Update::Progress(Progress::of_ended(&result))));
            return Ok(receiver);
        }
        if !self.core.tests().contains_key(&test) {
            return Err(CommandError::NotFound(format!(
                "no test {test} is known here"
            )));
        }
        Ok(self.served(test).live.listener())
    }

    /// The last line: the test has ended and its result is kept.
    pub(super) fn tell_ended(&mut self, test: TestId, result: &TestResult) {
        let live = &mut self.served(test).live;
        live.tell(Update::Progress(Progress::of_ended(result)));
        live.listeners = None;
    }

    /// What the test was like over time, with all that the last reports brought.
    pub(super) fn whole_timeline(&mut self, test: TestId) -> Option<Timeline> {
        let t = self.core.tests().get(&test)?;
        let end = t.merge().workers().values().map(|m| m.elapsed).max()?;
        let look = self.look(test, end)?;
        let recording = self.served(test).live.recording.clone();
        let mut recording = lock(&recording);
        recording.take(&look);
        Some(recording.timeline(&test.to_string(), "ended", usize::MAX, true))
    }

    /// It is on disk; it need not be in memory too.
    pub(super) fn forget_recording(&mut self, test: TestId) {
        self.served(test).live.recording = Arc::default();
    }

    /// Answers with a test over time: as it is being written down, or as it was kept.
    pub(super) fn timeline(
        &self,
        test: TestId,
        points: usize,
        histograms: bool,
        reply: oneshot::Sender<Result<Timeline, CommandError>>,
    ) {
        let served = self.tests.get(&test).map(|s| s.live.recording.clone());
        let t = self.core.tests().get(&test);
        let state = t.map_or("ended", |t| phase_word(t.phase()));
        let known = t.is_some() || self.store.has(test, Part::Result);
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            let show = |r: &Recording| r.timeline(&test.to_string(), state, points, histograms);
            let live = served.map(|r| lock(&r).clone()).filter(|r| !r.is_empty());
            let kept = || store.timeline(test).map(Recording::read);
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
