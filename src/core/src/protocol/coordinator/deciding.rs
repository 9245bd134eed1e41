//! What is decided on the way: changes of the load, setup before it, teardown after it.

use super::*;

/// Why a test ends whose setup was begun by a coordinator that was lost.
const SETUP_LOST: &str = "its coordinator was lost while the setup ran, and it is not run a second \
    time; look at what it has left behind, and start the test again";

impl Coordinator {
    /// Everything decided so far, which beats carry.
    pub fn decisions(&self) -> &[LogEntry] {
        self.decisions.all()
    }

    /// What may be acted on.
    pub fn settled(&self) -> &[LogEntry] {
        self.decisions.settled()
    }

    /// Somebody wants the load changed. Says whether there is something new for the electors.
    pub fn steer(&mut self, now: Time, id: u64, steer: LoadCommand, fx: &mut Effects) -> bool {
        let over = self.stop.is_some() || self.over(now) || self.ending.is_some();
        let Some(start) = self.start.filter(|s| now >= *s && !over) else {
            return false;
        };
        let delay = self.start_delay(self.active().count());
        // What counts only after the end changes nothing, and a pause would never end.
        if self.profile_end().is_some_and(|end| now + delay >= end) {
            return false;
        }
        let lease = self.granted();
        let decided = self
            .decisions
            .steer((start, now), delay, lease, (id, steer));
        let Some(at) = decided.map(|d| d.at.as_secs_f64()) else {
            return false;
        };
        let (kind, text) = match steer {
            LoadCommand::Load { level_milli } => {
                let level = level_milli as f64 / 1e3;
                ("scaled", format!("full load is {level} from {at:.1} s on"))
            }
            LoadCommand::Pause => ("paused", format!("from {at:.1} s on")),
            LoadCommand::Resume => ("resumed", format!("from {at:.1} s on")),
        };
        self.event(now, kind, None, text, fx);
        true
    }

    /// From deciding something to when it counts: time for so many workers to hear of it.
    pub(super) fn start_delay(&self, workers: usize) -> Duration {
        self.timings.start_delay + self.timings.heartbeat_interval(workers)
            - self.timings.beat_interval()
    }

    /// Whether the load may begin; if the plan has a setup, not before it was run. Says why it
    /// never will, if so.
    pub(super) fn set_up(&mut self, now: Time, fx: &mut Effects) -> Result<bool, String> {
        if self.charge.spec.setup.is_none() || self.decisions.set_up() {
            return Ok(true);
        }
        if values(self.decisions.all()).is_some() {
            return Ok(false);
        }
        if self.decisions.begun_before(Hook::Setup) && !planted(Bug::RunTwice) {
            return Err(SETUP_LOST.into());
        }
        self.run(now, Hook::Setup, fx);
        Ok(false)
    }

    /// Runs setup or teardown, once a majority knows that it has been begun.
    fn run(&mut self, now: Time, once: Hook, fx: &mut Effects) {
        let spec = &self.charge.spec;
        let limit = match once {
            Hook::Setup => spec.setup,
            Hook::Teardown => spec.teardown,
        };
        let before = self.decisions.begun_before(once) && planted(Bug::RunTwice);
        if !self.decisions.begun(once) {
            let since = self.since_start(now).unwrap_or_default();
            self.decisions.decide(since, Decision::Begun(once));
            self.pressing |= planted(Bug::DecisionsUnacknowledged);
        }
        if (self.decisions.all_settled() || before) && self.running.is_none() {
            self.running = Some((once, now + limit.unwrap_or_default()));
            fx.outputs.push(Output::RunOnce(self.charge.test, once));
        }
    }

    /// Setup or teardown was run: the setup's values, or why it failed.
    pub fn ran(
        &mut self,
        now: Time,
        once: Hook,
        how: Result<std::sync::Arc<[u8]>, String>,
        fx: &mut Effects,
    ) {
        if self.running.is_none_or(|(running, _)| running != once) {
            return;
        }
        self.running = None;
        self.pressing = true;
        let (kind, text) = match (once, &how) {
            (Hook::Setup, Ok(_)) => ("setup", "the setup was run".to_owned()),
            (Hook::Teardown, Ok(_)) => ("teardown", "the teardown was run".to_owned()),
            (Hook::Setup, Err(why)) => ("setup_failed", format!("the setup failed: {why}")),
            (Hook::Teardown, Err(why)) => {
                ("teardown_failed", format!("the teardown failed: {why}"))
            }
        };
        self.event(now, kind, None, text.clone(), fx);
        match (once, how) {
            (Hook::Setup, Ok(values)) => {
                let since = self.since_start(now).unwrap_or_default();
                self.decisions.decide(since, Decision::SetUp(values));
            }
            (Hook::Setup, Err(_)) => self.ending = Some(EndReason::Failed(text)),
            (Hook::Teardown, _) => self.torn_down = true,
        }
    }

    /// What takes longer than it may is over.
    pub(super) fn give_up_running(&mut self, now: Time, fx: &mut Effects) {
        if let Some((once, _)) = self.running.filter(|(_, until)| now >= *until) {
            self.ran(now, once, Err("it took too long".into()), fx);
        }
    }

    /// The test is over for this reason: it ends, once the teardown was run, if there is one
    /// and a setup has not failed before it.
    pub(super) fn end_after_teardown(
        &mut self,
        now: Time,
        reason: EndReason,
        fx: &mut Effects,
    ) -> Option<Ended> {
        let spec = &self.charge.spec;
        let made = match spec.setup {
            Some(_) => values(self.decisions.all()).is_some(),
            None => self.start.is_some(),
        };
        if spec.teardown.is_none() || !made || self.torn_down {
            return Some(self.end(now, reason, fx));
        }
        if self.decisions.begun_before(Hook::Teardown) && !planted(Bug::RunTwice) {
            let text = "the coordinator was lost while the teardown ran, and it is not run a \
                second time";
            self.event(now, "teardown_failed", None, text.into(), fx);
            return Some(self.end(now, reason, fx));
        }
        self.phase = TestState::Stopping;
        self.ending = Some(reason);
        self.run(now, Hook::Teardown, fx);
        None
    }
}
