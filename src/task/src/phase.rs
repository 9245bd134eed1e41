//! Phases of a request, and how long they take.

use std::time::Duration;

use hdrhistogram::Histogram;
use vajra_core::metrics::new_histogram;

/// A phase of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Resolving the target's name.
    Dns,
    /// Opening the connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// From the end of sending to the first byte of the response.
    FirstByte,
    /// From the first to the last byte of the response.
    Body,
}

impl Phase {
    /// All phases, in their order within a request.
    pub const ALL: [Phase; 5] = [
        Phase::Dns,
        Phase::Connect,
        Phase::Tls,
        Phase::FirstByte,
        Phase::Body,
    ];
}

/// A histogram of microseconds for each phase that was reported. A phase that is never reported
/// takes no memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PhaseTimes([Option<Histogram<u64>>; Phase::ALL.len()]);

impl PhaseTimes {
    /// Records the duration of one phase. Durations above the histograms' maximum, one hour, are
    /// recorded as that.
    pub fn record(&mut self, phase: Phase, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let histogram = self.0[phase as usize].get_or_insert_with(new_histogram);
        histogram.saturating_record(micros.min(histogram.high()));
    }

    /// The durations of a phase in microseconds, if any was recorded.
    pub fn get(&self, phase: Phase) -> Option<&Histogram<u64>> {
        self.0[phase as usize].as_ref()
    }

    /// Adds what was recorded elsewhere. The result does not depend on the order of merging.
    pub fn merge(&mut self, other: &PhaseTimes) {
        for (sum, part) in self.0.iter_mut().zip(&other.0) {
            if let Some(part) = part
                && sum.get_or_insert_with(new_histogram).add(part).is_err()
            {
                unreachable!("all histograms have the same configuration");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_phase_times_equals_recording_them_in_one_place() {
        let (mut first, mut second, mut whole) = Default::default();
        let add = |times: &mut PhaseTimes, phase, ms| {
            times.record(phase, Duration::from_millis(ms));
        };
        for (phase, ms) in [(Phase::Dns, 3), (Phase::Tls, 80)] {
            add(&mut first, phase, ms);
            add(&mut whole, phase, ms);
        }
        for (phase, ms) in [(Phase::Tls, 20), (Phase::Body, 10_000_000)] {
            add(&mut second, phase, ms);
            add(&mut whole, phase, ms);
        }
        first.merge(&second);
        assert_eq!(first, whole);
        assert_eq!(whole.get(Phase::Tls).map(Histogram::len), Some(2));
        assert_eq!(whole.get(Phase::Connect), None);
    }
}
