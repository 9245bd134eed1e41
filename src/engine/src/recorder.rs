//! What an engine thread counts and times.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use hdrhistogram::Histogram;

use vajra_tasks::Failure;

/// Most distinct errors (kind and message) told apart; the rest is summed under the kind
/// with an empty message.
const MAX_ERRORS: usize = 32;

/// Longest error message kept, in bytes.
const MAX_MESSAGE: usize = 200;

/// Cumulative counts of a step. `planned = sent + dropped`, plus what waits; `sent = ok +
/// failed + abandoned`, plus what is in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Arrivals that the share has asked for so far. In the closed model: requests that its
    /// users turned to.
    pub planned: u64,
    /// Requests sent.
    pub sent: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests given up while in flight, at a stop or the end.
    pub abandoned: u64,
    /// Requests of the warm-up among `sent`; in no histogram.
    pub warm_up: u64,
    /// Not sent for want of a lease. In the closed model: one for each user and lapse.
    pub dropped_lease: u64,
    /// Not sent because the generator itself was too late.
    pub dropped_late: u64,
    /// Not sent because `max_in_flight` was reached, or because no connection came free
    /// before the end.
    pub dropped_full: u64,
    /// Waiting or in flight now.
    pub in_flight: u64,
    /// Bytes written to connections.
    pub bytes_sent: u64,
    /// Bytes read from connections.
    pub bytes_received: u64,
    /// Checks of responses that held.
    pub checks_passed: u64,
    /// Checks of responses that did not.
    pub checks_failed: u64,
    /// Responses by status code.
    pub status_codes: BTreeMap<u16, u64>,
    /// Errors by kind and message; at most 32, and one without message for each kind.
    pub errors: Vec<CountedError>,
}

/// How often and when an error occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedError {
    /// A short fixed word.
    pub kind: String,
    /// What happened; empty for those that are not told apart.
    pub message: String,
    /// Occurrences.
    pub count: u64,
    /// First occurrence, milliseconds after the start of the profile.
    pub first_ms: u64,
    /// Last occurrence, milliseconds after the start of the profile.
    pub last_ms: u64,
}

impl Counters {
    /// Arrivals not sent, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_lease + self.dropped_late + self.dropped_full
    }

    /// Adds another thread's counts of the same step.
    pub fn add(&mut self, other: &Counters) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.ok += other.ok;
        self.failed += other.failed;
        self.abandoned += other.abandoned;
        self.warm_up += other.warm_up;
        self.dropped_lease += other.dropped_lease;
        self.dropped_late += other.dropped_late;
        self.dropped_full += other.dropped_full;
        self.in_flight += other.in_flight;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.checks_passed += other.checks_passed;
        self.checks_failed += other.checks_failed;
        for (code, n) in &other.status_codes {
            *self.status_codes.entry(*code).or_default() += n;
        }
        for error in &other.errors {
            self.add_error(&error.kind, &error.message, error);
        }
    }

    fn add_error(&mut self, kind: &str, message: &str, times: &CountedError) {
        let known = self
            .errors
            .iter_mut()
            .find(|e| e.kind == kind && e.message == message);
        if let Some(known) = known {
            known.count += times.count;
            known.first_ms = known.first_ms.min(times.first_ms);
            known.last_ms = known.last_ms.max(times.last_ms);
        } else if self.errors.len() < MAX_ERRORS || message.is_empty() {
            self.errors.push(CountedError {
                kind: kind.to_owned(),
                message: message.to_owned(),
                ..times.clone()
            });
        } else {
            self.add_error(kind, "", times);
        }
    }
}

/// The three times of a request, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From the planned instant to the end of the response.
    pub response: u64,
    /// From the actual send to the end of the response; none if nothing could be sent.
    pub service: Option<u64>,
    /// From the planned instant to the engine's turning to it.
    pub lag: u64,
}

/// One engine thread's record.
#[derive(Debug)]
pub struct Recorder {
    /// The plan's steps, in order.
    pub steps: Vec<StepRecord>,
    /// How late the very first request was, in microseconds.
    pub first_lag: Option<u64>,
    dump: Option<BufWriter<File>>,
}

/// What is recorded of a step.
#[derive(Debug)]
pub struct StepRecord {
    /// Counts.
    pub counters: Counters,
    /// Response times in microseconds.
    pub response: Histogram<u64>,
    /// Service times in microseconds.
    pub service: Histogram<u64>,
    /// Lag in microseconds.
    pub lag: Histogram<u64>,
    statuses: Vec<u64>,
}

impl Recorder {
    /// Of so many steps, with histograms like `prototype`. If `dump` is given, each value also
    /// goes to the file of that name.
    pub fn new(
        prototype: &Histogram<u64>,
        steps: usize,
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
            first_lag: None,
            dump,
        })
    }

    /// A request of the measured part of the profile.
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

impl StepRecord {
    /// A response's status code.
    pub fn status(&mut self, code: u16) {
        if let Some(n) = self.statuses.get_mut(usize::from(code)) {
            *n += 1;
        }
    }

    /// A request failed, so long after the start of the profile.
    pub fn failure(&mut self, failure: &Failure, at_ms: u64) {
        let mut end = failure.message.len().min(MAX_MESSAGE);
        while !failure.message.is_char_boundary(end) {
            end -= 1;
        }
        let once = CountedError {
            kind: String::new(),
            message: String::new(),
            count: 1,
            first_ms: at_ms,
            last_ms: at_ms,
        };
        self.counters
            .add_error(failure.kind, &failure.message[..end], &once);
    }

    /// The counts so far.
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
    use super::*;

    fn recorder() -> Recorder {
        let prototype = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        Recorder::new(&prototype, 1, None).unwrap()
    }

    #[test]
    fn distinct_errors_are_bounded_and_none_is_lost() {
        let mut all = recorder();
        let r = &mut all.steps[0];
        for i in 0..100 {
            r.failure(&Failure::new("tls", format!("reason {i}")), i);
        }
        r.failure(&Failure::new("tls", "x".repeat(300)), 100);
        r.failure(&Failure::new("tls", "reason 3"), 101);
        let c = r.counters();
        assert_eq!(c.errors.len(), MAX_ERRORS + 1);
        assert_eq!(c.errors.iter().map(|e| e.count).sum::<u64>(), 102);
        let third = c.errors.iter().find(|e| e.message == "reason 3").unwrap();
        assert_eq!((third.count, third.first_ms, third.last_ms), (2, 3, 101));
        let rest = c.errors.iter().find(|e| e.message.is_empty()).unwrap();
        assert_eq!(rest.count, 100 - MAX_ERRORS as u64 + 1);
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
        a.failure(&Failure::new("reset", "x"), 5);
        let mut sum = a.counters();
        a.status(200);
        a.failure(&Failure::new("reset", "x"), 2);
        sum.add(&a.counters());
        assert_eq!(sum.status_codes[&200], 3);
        assert_eq!(
            (
                sum.errors[0].count,
                sum.errors[0].first_ms,
                sum.errors[0].last_ms
            ),
            (3, 2, 5)
        );
    }
}
