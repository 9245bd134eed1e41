//! The lease gate, through which every request is sent, and what sessions report to it.

use std::time::Duration;

use crate::metrics::MetricId;
use crate::phase::Phase;

/// Permission to send one request, from [`Gate::open`].
///
/// A session needs it to report success ([`crate::Outcome::Ok`]), so that code that never asks
/// the gate does not compile. It has no size.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "without a permit a request can't succeed"]
pub struct Permit(());

impl Permit {
    /// Creates a permit. Only for implementations of [`Gate`]; a session must not call it.
    pub fn grant() -> Permit {
        Permit(())
    }
}

/// Passed to a session with each request.
///
/// The methods that report measurements do nothing by default. Reporting is optional and costs
/// nothing if it is not used.
pub trait Gate {
    /// Asks for permission to send, immediately before sending; this is the time at which the
    /// request counts as sent. `None` if nothing may be sent: the session returns
    /// [`crate::Outcome::NotSent`]. Called again before a second attempt, which is allowed only
    /// if the server has not processed any of the first one.
    fn open(&mut self) -> Option<Permit>;

    /// Reports the result of a check of the response.
    fn check(&mut self, passed: bool) {
        let _ = passed;
    }

    /// Reports the duration of a phase of this request.
    fn phase(&mut self, phase: Phase, duration: Duration) {
        let _ = (phase, duration);
    }

    /// Adds to a custom counter.
    fn add(&mut self, metric: MetricId, amount: u64) {
        let _ = (metric, amount);
    }

    /// Counts one event of a custom rate, and whether it is a hit.
    fn count_rate(&mut self, metric: MetricId, hit: bool) {
        let _ = (metric, hit);
    }

    /// Records a value in a custom histogram, in the metric's unit.
    fn observe(&mut self, metric: MetricId, value: u64) {
        let _ = (metric, value);
    }
}
