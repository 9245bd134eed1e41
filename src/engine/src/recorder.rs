//! What an engine thread counts and measures.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use hdrhistogram::Histogram;
use vajra_core::metrics::{Counters, ErrorCount, ErrorKey, MAX_ERRORS};
use vajra_core::text::floor_char_boundary;
use vajra_task::{CustomMetrics, Failure, MetricDeclaration, PhaseTimes};

/// Longest error message that is recorded, in bytes.
const MAX_MESSAGE: usize = 200;

/// Adds another thread's counters of the same step. At most [`MAX_ERRORS`] distinct errors are
/// kept; the others are counted under their kind with an empty message.
pub fn add_counters(sum: &mut Counters, mut part: Counters) {
    let errors = std::mem::take(&mut part.errors);
    sum.add(&part);
    for (key, count) in errors {
        add_error(&mut sum.errors, key, count);
    }
}

fn add_error(errors: &mut BTreeMap<ErrorKey, ErrorCount>, mut key: ErrorKey, count: ErrorCount) {
    if errors.len() >= MAX_ERRORS && !errors.contains_key(&key) {
        key.message.clear();
    }
    let known = errors
        .entry(key)
        .or_insert(ErrorCount { count: 0, ..count });
    known.count += count.count;
    known.first_ms = known.first_ms.min(count.first_ms);
    known.last_ms = known.last_ms.max(count.last_ms);
}

/// The three times of a request, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From the planned time to the end of the response.
    pub response: u64,
    /// From the actual send to the end of the response; `None` if nothing could be sent.
    pub service: Option<u64>,
    /// From the planned time until the engine processed the request.
    pub lag: u64,
}

/// The measurements of one engine thread.
#[derive(Debug)]
pub struct Recorder {
    /// The plan's steps, in order.
    pub steps: Vec<StepRecord>,
    /// Durations of phases, over all steps.
    pub phases: PhaseTimes,
    /// The task's custom metrics, over all steps.
    pub custom: CustomMetrics,
    /// Lag of the first request, in microseconds.
    pub first_lag: Option<u64>,
    dump: Option<BufWriter<File>>,
}

/// The measurements of one step.
#[derive(Debug)]
pub struct StepRecord {
    /// Counts, without those of status codes.
    pub counters: Counters,
    /// Response times in microseconds.
    pub response: Histogram<u64>,
    /// Service times in microseconds.
    pub service: Histogram<u64>,
    /// Lag in microseconds.
    pub lag: Histogram<u64>,
    /// Responses by status code: an array, so that counting allocates nothing.
    statuses: Vec<u64>,
}

impl Recorder {
    /// A recorder for this number of steps, with histograms like `prototype`. `dump` is a file to
    /// which each value is written.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn new(
        prototype: &Histogram<u64>,
        steps: usize,
        metrics: &'static [MetricDeclaration],
        dump: Option<&Path>,
    ) -> std::io::Result<Recorder> {
        let dump = match dump {
            Some(path) => {
                let mut file = BufWriter::new(File::create(path)?);
                writeln!(file, "response_us,service_us,lag_us")?;
                Some(file)
            }
            None => None,
        };
        let step = |_| StepRecord {
            counters: Counters::default(),
            response: prototype.clone(),
            service: prototype.clone(),
            lag: prototype.clone(),
            statuses: vec![0; 1000],
        };
        Ok(Recorder {
            steps: (0..steps).map(step).collect(),
            phases: PhaseTimes::default(),
            custom: CustomMetrics::new(metrics),
            first_lag: None,
            dump,
        })
    }

    /// Records the times of a request after the warm-up.
    pub fn times(&mut self, step: usize, times: Times) {
        let record = &mut self.steps[step];
        let (low, high) = (record.response.low(), record.response.high());
        let bounded = |us: u64| us.clamp(low, high);
        record.response.saturating_record(bounded(times.response));
        record.lag.saturating_record(bounded(times.lag));
        if let Some(service) = times.service {
            record.service.saturating_record(bounded(service));
        }
        if let Some(file) = &mut self.dump {
            let service = times
                .service
                .map(|s| bounded(s).to_string())
                .unwrap_or_default();
            let line = writeln!(
                file,
                "{},{service},{}",
                bounded(times.response),
                bounded(times.lag)
            );
            if line.is_err() {
                self.dump = None;
            }
        }
    }
}

/// The text with spaces in place of control characters, which would end lines and colour terminals.
fn without_control(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        true => text.replace(char::is_control, " ").into(),
        false => text.into(),
    }
}

impl StepRecord {
    /// Counts a status code.
    pub fn status(&mut self, code: u16) {
        if let Some(n) = self.statuses.get_mut(usize::from(code)) {
            *n += 1;
        }
    }

    /// Counts a failure, at a time in milliseconds after the start of the profile.
    pub fn failure(&mut self, failure: &Failure, at_ms: u64) {
        let end = floor_char_boundary(&failure.message, MAX_MESSAGE);
        let kind = failure.kind.as_str();
        let message = &*without_control(&failure.message[..end]);
        // A known error allocates nothing: failures are frequent when a target is overloaded.
        let mut errors = self.counters.errors.iter_mut();
        if let Some((_, known)) = errors.find(|(k, _)| k.kind == kind && k.message == message) {
            known.count += 1;
            known.first_ms = known.first_ms.min(at_ms);
            known.last_ms = known.last_ms.max(at_ms);
            return;
        }
        let key = ErrorKey {
            kind: kind.to_owned(),
            message: message.to_owned(),
        };
        let once = ErrorCount {
            count: 1,
            first_ms: at_ms,
            last_ms: at_ms,
        };
        add_error(&mut self.counters.errors, key, once);
    }

    /// All counts.
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters.clone();
        for (code, n) in self.statuses.iter().enumerate().filter(|(_, n)| **n > 0) {
            counters.status_codes.insert(code as u16, *n);
        }
        counters
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use vajra_task::FailureKind;

    use super::*;

    fn recorder() -> Recorder {
        let prototype = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        Recorder::new(&prototype, 1, &[], None).unwrap()
    }

    fn key(kind: &str, message: &str) -> ErrorKey {
        ErrorKey {
            kind: kind.into(),
            message: message.into(),
        }
    }

    #[test]
    fn distinct_errors_are_limited_and_none_is_lost() {
        let mut all = recorder();
        let r = &mut all.steps[0];
        for i in 0..100 {
            r.failure(&Failure::new(FailureKind::Tls, format!("reason {i}")), i);
        }
        r.failure(&Failure::new(FailureKind::Tls, "x".repeat(300)), 100);
        r.failure(&Failure::new(FailureKind::Tls, "reason 3"), 101);
        let c = r.counters();
        assert_eq!(c.errors.len(), MAX_ERRORS + 1);
        assert_eq!(c.errors.values().map(|e| e.count).sum::<u64>(), 102);
        let third = &c.errors[&key("tls", "reason 3")];
        assert_eq!((third.count, third.first_ms, third.last_ms), (2, 3, 101));
        let rest = &c.errors[&key("tls", "")];
        assert_eq!(rest.count, 100 - MAX_ERRORS as u64 + 1);
    }

    #[test]
    fn errors_of_several_threads_stay_limited_and_none_is_lost() {
        let mut sum = Counters::default();
        for thread in 0..3 {
            let mut all = recorder();
            for i in 0..30 {
                let message = format!("thread {thread} reason {i}");
                all.steps[0].failure(&Failure::new(FailureKind::Tls, message), i);
            }
            add_counters(&mut sum, all.steps[0].counters());
        }
        assert_eq!(sum.errors.len(), MAX_ERRORS + 1);
        assert_eq!(sum.errors.values().map(|e| e.count).sum::<u64>(), 90);
    }

    #[test]
    fn values_beyond_the_bounds_are_recorded_at_them() {
        let mut r = recorder();
        let times = Times {
            response: u64::MAX,
            service: None,
            lag: 0,
        };
        r.times(0, times);
        let r = &r.steps[0];
        assert!(r.response.max() >= 3_600_000_000);
        assert_eq!((r.lag.min(), r.lag.len(), r.service.len()), (1, 1, 0));
    }

    #[test]
    fn adding_threads_adds_every_count() {
        let mut all = recorder();
        let a = &mut all.steps[0];
        a.status(200);
        a.failure(&Failure::new(FailureKind::Reset, "x"), 5);
        let mut sum = a.counters();
        a.status(200);
        a.failure(&Failure::new(FailureKind::Reset, "x"), 2);
        add_counters(&mut sum, a.counters());
        assert_eq!(sum.status_codes[&200], 3);
        let error = &sum.errors[&key("reset", "x")];
        assert_eq!((error.count, error.first_ms, error.last_ms), (3, 2, 5));
    }
}
