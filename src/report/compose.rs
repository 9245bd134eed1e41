//! From what every worker measured to one result. Percentiles are read from merged
//! histograms, and from nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

use super::result::*;
use super::verdict::{self, Facts};
use crate::plan::{Model, Plan, Profile, Task};
use crate::protocol::TestId;
use crate::protocol::merge::WorkerMetrics;
use crate::protocol::messages::{EndReason, Phase};
use crate::protocol::metrics::{Counters, TimeKind, new_histogram};
use crate::protocol::spec::SLOTS;

/// What a result is made of.
#[derive(Clone, Debug)]
pub struct ResultInput {
    /// The test.
    pub test: TestId,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub phase: Phase,
    /// All final snapshots are here.
    pub complete: bool,
    /// Why it ended.
    pub reason: Option<EndReason>,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Unix time of the start of the profile in milliseconds.
    pub started_unix_ms: Option<u64>,
    /// Time since the start of the profile, at most until the end of the test.
    pub elapsed: Duration,
    /// Who coordinated.
    pub coordinators: Vec<Reign>,
    /// Who carried load.
    pub workers: Vec<WorkerInput>,
    /// What happened.
    pub events: Vec<Event>,
}

/// A worker's part.
#[derive(Clone, Debug)]
pub struct WorkerInput {
    /// Its peer id.
    pub peer: String,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its name.
    pub name: String,
    /// The newest of everything it measured.
    pub metrics: WorkerMetrics,
    /// When it was lost.
    pub lost_at: Option<Duration>,
}

/// The merged histograms of a kind.
fn merge<'a>(workers: impl Iterator<Item = &'a WorkerInput>, kind: TimeKind) -> Histogram<u64> {
    let mut all = new_histogram();
    let mut decoder = Deserializer::new();
    for data in workers.flat_map(|w| w.metrics.histograms(kind)) {
        // Checked where it came in: it decodes, and is of the one configuration.
        if let Ok(one) = decoder.deserialize::<u64, _>(&mut &data[..]) {
            let _ = all.add(&one);
        }
    }
    all
}

fn stats(h: &Histogram<u64>) -> Option<Stats> {
    if h.is_empty() {
        return None;
    }
    let ms = |us: f64| us / 1000.0;
    let at = |q: f64| ms(h.value_at_quantile(q) as f64);
    Some(Stats {
        count: h.len(),
        min: ms(h.min() as f64),
        mean: ms(h.mean()),
        stdev: ms(h.stdev()),
        p50: at(0.5),
        p75: at(0.75),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: ms(h.max() as f64),
    })
}

fn encode(h: &Histogram<u64>) -> Option<String> {
    use base64::Engine as _;
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(h, &mut bytes).ok()?;
    Some(base64::engine::general_purpose::STANDARD.encode(bytes))
}

impl ResultInput {
    /// Makes the result. Decodes three histograms a worker: about a millisecond each.
    pub fn build(&self) -> TestResult {
        let profile = Profile::of(&self.plan.load);
        let mut all = Counters::default();
        for w in &self.workers {
            w.metrics
                .counters()
                .iter()
                .for_each(|s| all.add(&s.counters));
        }
        let [response, service, lag] = TimeKind::ALL.map(|kind| merge(self.workers.iter(), kind));
        let ended = self.phase == Phase::Ended;
        let duration = self.measured(&profile);
        let totals = self.totals(&all, &profile, duration);
        let rate = rate(&totals, self.plan.load.model, duration);
        let judged = verdict::judge(&Facts {
            input: self,
            totals: &totals,
            lag_p99: (!lag.is_empty()).then(|| Duration::from_micros(lag.value_at_quantile(0.99))),
            duration,
        });
        TestResult {
            schema: 1,
            test_id: self.test.to_string(),
            name: Some(self.name.clone()).filter(|n| !n.is_empty()),
            tags: self.plan.tags.clone(),
            target: match &self.plan.task {
                Task::Http(http) => http.url.clone(),
                other => other.type_name().to_owned(),
            },
            state: phase_word(self.phase).to_owned(),
            end: self.reason.as_ref().map(|r| end_word(r).to_owned()),
            complete: self.complete,
            verdict: ended.then(|| judged.verdict.to_owned()),
            reasons: judged.reasons,
            started_at: self.started_unix_ms.map(rfc3339),
            duration_s: duration.as_secs_f64(),
            start_skew_ms: self.start_skew_ms(),
            coordinators: self.coordinators.clone(),
            nodes: self.workers.iter().map(node_result).collect(),
            rate,
            status_codes: all
                .status_codes
                .iter()
                .map(|(code, n)| (code.to_string(), *n))
                .collect(),
            response_time_ms: stats(&response),
            service_time_ms: stats(&service),
            lag_ms: stats(&lag),
            histograms: Histograms {
                response: encode(&response),
                service: encode(&service),
                lag: encode(&lag),
            },
            errors: errors(&all),
            events: self.events.clone(),
            totals,
        }
    }

    /// How long load was made: the profile, or what there was of it.
    fn measured(&self, profile: &Profile) -> Duration {
        let longest = self.workers.iter().map(|w| w.metrics.elapsed).max();
        let whole = profile.end();
        match &self.reason {
            Some(EndReason::Completed) if self.plan.load.model == Model::Open => profile.last_due(),
            Some(_) => longest.unwrap_or_default().min(whole),
            None => self.elapsed.min(whole),
        }
    }

    fn totals(&self, all: &Counters, profile: &Profile, duration: Duration) -> Totals {
        let seen = all.sent + all.dropped();
        let asked = match (&self.reason, self.plan.load.model) {
            (Some(EndReason::Completed), Model::Open) => profile.total_arrivals().unwrap_or(0),
            // A stop reaches each worker a moment apart; each knows what it still owed.
            (Some(_), Model::Open) if self.workers.iter().all(|w| w.lost_at.is_none()) => {
                all.planned
            }
            (Some(_), Model::Open) => profile.integral(duration) as u64,
            _ => seen,
        };
        let planned = asked.max(seen);
        Totals {
            planned,
            sent: all.sent,
            ok: all.ok,
            failed: all.failed,
            abandoned: all.abandoned,
            dropped: all.dropped(),
            short: planned - seen,
            warm_up: all.warm_up,
            bytes_sent: all.bytes_sent,
            bytes_received: all.bytes_received,
        }
    }

    fn start_skew_ms(&self) -> Option<f64> {
        let errors = self.workers.iter().filter_map(|w| w.metrics.start_error_us);
        let (min, max) = errors.fold((i64::MAX, i64::MIN), |(lo, hi), e| (lo.min(e), hi.max(e)));
        (min <= max).then(|| (max - min) as f64 / 1000.0)
    }
}

fn rate(totals: &Totals, model: Model, duration: Duration) -> Rate {
    let seconds = duration.as_secs_f64();
    if seconds <= 0.0 {
        return Rate::default();
    }
    let achieved = totals.sent as f64 / seconds;
    let asked = match model {
        Model::Open => totals.planned as f64 / seconds,
        Model::Closed => achieved,
    };
    Rate { asked, achieved }
}

fn node_result(w: &WorkerInput) -> NodeResult {
    let mut c = Counters::default();
    w.metrics.counters().iter().for_each(|s| c.add(&s.counters));
    let lag = merge(std::iter::once(w), TimeKind::Lag);
    NodeResult {
        peer: w.peer.clone(),
        incarnation: w.incarnation,
        name: w.name.clone(),
        share: f64::from(w.metrics.slots) / f64::from(SLOTS),
        sent: c.sent,
        ok: c.ok,
        failed: c.failed,
        dropped: c.dropped(),
        lag_p99_ms: stats(&lag).map(|s| s.p99),
        lost_at_ms: w.lost_at.map(|d| d.as_millis() as u64),
    }
}

fn errors(all: &Counters) -> Vec<ErrorEntry> {
    let mut merged: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (key, e) in &all.errors {
        *merged.entry((&key.kind, &key.message)).or_default() += e.count;
    }
    let mut errors: Vec<ErrorEntry> = merged
        .into_iter()
        .map(|((kind, message), count)| ErrorEntry {
            kind: kind.to_owned(),
            message: message.to_owned(),
            count,
        })
        .collect();
    errors.sort_by(|a, b| {
        b.count
            .cmp(&a.count)
            .then_with(|| a.message.cmp(&b.message))
    });
    errors
}

/// The word for a phase.
pub fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Electing => "electing",
        Phase::Registering => "registering",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
        Phase::Ended => "ended",
    }
}

fn end_word(reason: &EndReason) -> &'static str {
    match reason {
        EndReason::Completed => "completed",
        EndReason::Stopped => "stopped",
        EndReason::Failed(_) => "failed",
    }
}

fn rfc3339(unix_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + Duration::from_millis(unix_ms);
    humantime::format_rfc3339_millis(at).to_string()
}

/// A histogram of a result, decoded.
pub fn decode(base64: &str) -> Option<Histogram<u64>> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(base64)
        .ok()?;
    Deserializer::new().deserialize(&mut &bytes[..]).ok()
}
