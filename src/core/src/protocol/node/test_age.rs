//! The age of a test by the wall clock. An announcement that is older than its test can last is a
//! repetition of an old one, and is not acted on.

use std::time::Duration;

use super::super::announcement::MAX_CLOCK_DIFFERENCE;
use super::*;

/// Longest test: its profile, pauses, setup and teardown.
pub(super) const MAX_TEST: Duration = Duration::from_secs(7 * 24 * 3600);

impl Node {
    /// The wall clock shows this Unix time in milliseconds at `now`.
    pub fn set_wall_clock(&mut self, now: Time, unix_ms: u64) {
        self.wall_clock = Some((now, unix_ms));
    }

    /// Whether a test of at most this length can still be running.
    pub(super) fn may_be_running(
        &self,
        now: Time,
        announcement: &Announcement,
        longest: Duration,
    ) -> bool {
        let Some((at, unix_ms)) = self.wall_clock else {
            return true;
        };
        let here = i128::from(unix_ms) + i128::from(now.signed_since(at) / 1_000_000);
        let age = here - i128::from(announcement.submitted_unix_ms);
        let ms = |d: Duration| d.as_millis() as i128;
        let (earliest, latest) = (
            -ms(MAX_CLOCK_DIFFERENCE),
            ms(longest + MAX_CLOCK_DIFFERENCE),
        );
        (earliest..=latest).contains(&age)
    }

    /// Longest time from the submission of such a test to its end.
    pub(super) fn longest(&self, spec: &TestSpec) -> Duration {
        let timings = &self.timings;
        let load = spec.length.max(spec.end) + timings.max_pause;
        timings.start_limit + spec.hook_limit() + load + spec.grace
    }
}
