//! The time at which this node ends the test without a message from a coordinator, and the reason
//! that it gives.

use super::super::spec::OnLost;
use super::*;

/// Time limit of the inspection of a plan, which includes fetching its data files: the limit of
/// all fetches.
const INSPECTION_LIMIT: Duration = Duration::from_secs(600);

impl TestRun {
    /// Time at which this node ends the test without a message from a coordinator: one share lease
    /// after a coordinator would have ended it.
    pub(super) fn deadline(&self) -> Time {
        let lease = self.longest_lease();
        let ends = self.ends_by().map(|at| at + lease);
        if self.start().is_some() || self.stop.request.is_some() {
            return ends.unwrap_or_else(|| self.silence_limit());
        }
        ends.unwrap_or(Time::MAX).min(self.silence_limit())
    }

    /// Time by which a coordinator ends the test, as far as this node knows.
    pub(super) fn ends_by(&self) -> Option<Time> {
        let stopped = match (&self.stop.request, &self.spec) {
            (Some((s, at)), Some(spec)) => Some(*at + s.order.timeout + spec.hook_limit()),
            // A later beat has taken the stop into account.
            (Some((_, at)), None) if self.observed.last_beat > Some(*at) => None,
            (Some((s, at)), None) => Some(*at + s.order.timeout),
            (None, _) => None,
        };
        let planned = match self.start() {
            Some(start) => self.planned_end(start).or(self.observed.ends_by),
            None => self.start_by().max(self.observed.ends_by),
        };
        match (planned, stopped) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }

    /// Time by which the test ends if no command changes it.
    fn planned_end(&self, start: Time) -> Option<Time> {
        let spec = self.spec.as_ref()?;
        let profile_end = self.profile_end(start)?;
        if self.coordinated_at(profile_end) {
            return Some(profile_end + spec.grace + spec.teardown.unwrap_or_default());
        }
        // Without a coordinator no teardown runs, and without `hold` the load has stopped when the
        // shares lapsed.
        match self.observed.last_beat {
            Some(beat) if spec.on_lost != OnLost::Hold => {
                Some(profile_end.max(beat + self.longest_lease() + spec.grace))
            }
            _ => Some(profile_end + spec.grace),
        }
    }

    pub(super) fn profile_end(&self, start: Time) -> Option<Time> {
        let log = &self.election.replicated().log.entries;
        let spec = self.spec.as_ref()?;
        Some(start + spec.load_duration(log, &self.timings))
    }

    /// Whether the last beat is so new that shares may last until `at`.
    pub(super) fn coordinated_at(&self, at: Time) -> bool {
        let last = self.observed.last_beat;
        last.is_some_and(|beat| beat + self.longest_lease() >= at)
    }

    /// Time by which a coordinator on this node must have started the profile.
    pub(super) fn start_by(&self) -> Option<Time> {
        let (spec, inspected) = (self.spec.as_ref()?, self.plan.inspected?);
        Some(inspected + self.timings.start_limit + spec.setup.unwrap_or_default())
    }

    fn longest_lease(&self) -> Duration {
        let known = self.election.replicated().share_lease;
        for_waiter(self.timings.share_lease.max(known))
    }

    /// Time until which a test without a start may go without a beat.
    fn silence_limit(&self) -> Time {
        let timeout = self.timings.registration_window + self.timings.share_lease * 8;
        let inspection = self.plan.inspecting.map(|since| since + INSPECTION_LIMIT);
        let from = self.observed.last_beat.max(inspection);
        from.max(self.plan.inspected)
            .unwrap_or(self.announced_at)
            .max(self.announced_at)
            + timeout
    }

    /// The reason for an end that no coordinator declared.
    pub(super) fn conclusion(&self, now: Time) -> EndReason {
        if self.stop.request.is_some() {
            return EndReason::Stopped;
        }
        let Some(start) = self.start() else {
            return EndReason::Failed(self.not_started(now));
        };
        let Some(profile_end) = self.profile_end(start) else {
            return EndReason::Failed(
                "this node could not read the plan, and no coordinator told it the end of the test"
                    .into(),
            );
        };
        match self.carried_out(profile_end) {
            true => EndReason::Completed,
            false => EndReason::Failed(self.without_coordinator(now, start)),
        }
    }

    /// Whether the whole plan was carried out as far as this node knows: shares lasted until the
    /// end of the profile, and only the message of the end was lost.
    fn carried_out(&self, profile_end: Time) -> bool {
        let hold = self
            .spec
            .as_ref()
            .is_some_and(|s| s.on_lost == OnLost::Hold);
        let ran_on = hold && self.worker.as_ref().is_some_and(Worker::finished);
        self.observed.state >= TestState::Stopping || self.coordinated_at(profile_end) || ran_on
    }

    fn not_started(&self, now: Time) -> String {
        let Some(first) = self.observed.tenures.first() else {
            return "no coordinator was elected: most of the nodes that may vote cannot be \
                reached; see `vajra-node nodes`, and start the test again"
                .into();
        };
        let elections = self.observed.tenures.len();
        format!(
            "the test did not start within {} s ({elections} elections, the first {} s before \
             this end): nodes answer too slowly for this timing profile, or cannot be reached; \
             see `vajra-node nodes`, and start the test again",
            self.timings.start_limit.as_secs(),
            now.since(first.from).as_secs(),
        )
    }

    fn without_coordinator(&self, now: Time, start: Time) -> String {
        let since = self.no_coordinator_since(now).unwrap_or(now);
        let seconds = |at: Time| at.since(start).as_secs_f64();
        let silent = match self.silent_electors(now) {
            Some((silent, all)) if silent > 0 => {
                format!(": {silent} of {all} nodes that may vote cannot be reached")
            }
            _ => String::new(),
        };
        let stopped = match self.load_stopped_at(now) {
            Some(at) => format!("the load stopped at {:.1} s", seconds(at)),
            None => "the rest of the plan was not sent".into(),
        };
        format!(
            "no coordinator could be elected since {:.1} s{silent}; {stopped}",
            seconds(since),
        )
    }
}
