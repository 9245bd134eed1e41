//! Log entries of the coordinator: load changes, and the setup and teardown hooks.

use super::*;
use crate::protocol::error::{HookError, StartRefusal};

impl Coordinator {
    /// All log entries, for beats.
    pub fn log(&self) -> &[LogEntry] {
        self.log.entries()
    }

    /// Committed log entries.
    pub fn committed(&self) -> &[LogEntry] {
        self.log.committed()
    }

    /// Handles a request to change the load. Returns whether the log has a new entry.
    pub fn load_command(
        &mut self,
        now: Time,
        id: u64,
        command: LoadCommand,
        fx: &mut Effects,
    ) -> bool {
        // An isolated worker that runs on would not receive the change.
        if self.hold_mode() {
            return false;
        }
        let stopping = self.stop.is_some() || self.over(now) || self.ending.is_some();
        let Some(start) = self.start.filter(|s| now >= *s && !stopping) else {
            return false;
        };
        let delay = match planted(Bug::CommandsUndelayed) {
            true => Duration::ZERO,
            false => self.start_delay(self.active().count()),
        };
        // A change that counts only after the end has no effect, and a pause would not end.
        if self.profile_end().is_some_and(|end| now + delay >= end) {
            return false;
        }
        // A worker that has not been heard of may hold a longer lease: of a larger roster, or of an
        // earlier coordinator.
        let longest = self.acknowledged.share_lease.max(self.init.earlier_lease);
        let lease = self.grantable_lease().max(longest);
        let appended = self
            .log
            .append_command((start, now), delay, lease, (id, command));
        let Some(at) = appended.map(|entry| entry.at.as_secs_f64()) else {
            return false;
        };
        let (kind, text) = match command {
            LoadCommand::Load { level_milli } => {
                let level = level_milli as f64 / 1e3;
                (
                    EventKind::Scaled,
                    format!("full load is {level} from {at:.1} s on"),
                )
            }
            LoadCommand::Pause => (EventKind::Paused, format!("from {at:.1} s on")),
            LoadCommand::Resume => (EventKind::Resumed, format!("from {at:.1} s on")),
        };
        self.event(now, kind, None, text, fx);
        true
    }

    /// Time from appending an entry to its effect, in which `workers` workers must receive it.
    pub(super) fn start_delay(&self, workers: usize) -> Duration {
        self.timings.start_delay + self.timings.heartbeat_interval(workers)
            - self.timings.beat_interval()
    }

    /// Whether the load may start: not before the plan's setup has finished.
    pub(super) fn setup_ready(
        &mut self,
        now: Time,
        fx: &mut Effects,
    ) -> Result<bool, StartRefusal> {
        if self.init.spec.setup.is_none() || self.log.setup_done() {
            return Ok(true);
        }
        if setup_values(self.log.entries()).is_some() {
            return Ok(false);
        }
        if self.log.hook_started_before(Hook::Setup) && !planted(Bug::RunTwice) {
            return Err(StartRefusal::SetupLost);
        }
        self.run_hook(now, Hook::Setup, fx);
        Ok(false)
    }

    /// Runs a hook once a majority has acknowledged its start.
    fn run_hook(&mut self, now: Time, hook: Hook, fx: &mut Effects) {
        let spec = &self.init.spec;
        let limit = match hook {
            Hook::Setup => spec.setup,
            Hook::Teardown => spec.teardown,
        };
        let run_again = self.log.hook_started_before(hook) && planted(Bug::RunTwice);
        if !self.log.hook_started(hook) {
            let since = self.since_start(now).unwrap_or_default();
            self.log.append(since, EntryKind::HookStarted(hook));
            self.needs_tick |= planted(Bug::LogUnacknowledged);
        }
        if (self.log.all_committed() || run_again) && self.running_hook.is_none() {
            self.running_hook = Some((hook, now + limit.unwrap_or_default()));
            fx.outputs.push(Output::RunHook(self.init.test, hook));
        }
    }

    /// A hook has finished: with the setup's values, or the reason for its failure.
    pub fn hook_finished(
        &mut self,
        now: Time,
        hook: Hook,
        outcome: Result<std::sync::Arc<[u8]>, HookError>,
        fx: &mut Effects,
    ) {
        if self.running_hook.is_none_or(|(running, _)| running != hook) {
            return;
        }
        self.running_hook = None;
        self.needs_tick = true;
        let (kind, text) = match (hook, &outcome) {
            (Hook::Setup, Ok(_)) => (EventKind::Setup, "setup finished".to_owned()),
            (Hook::Teardown, Ok(_)) => (EventKind::Teardown, "teardown finished".to_owned()),
            (Hook::Setup, Err(why)) => (EventKind::SetupFailed, format!("the setup failed: {why}")),
            (Hook::Teardown, Err(why)) => (
                EventKind::TeardownFailed,
                format!("the teardown failed: {why}"),
            ),
        };
        self.event(now, kind, None, text.clone(), fx);
        match (hook, outcome) {
            (Hook::Setup, Ok(values)) => {
                let since = self.since_start(now).unwrap_or_default();
                self.log.append(since, EntryKind::SetupValues(values));
            }
            (Hook::Setup, Err(_)) => self.ending = Some(EndReason::Failed(text)),
            (Hook::Teardown, _) => self.teardown_done = true,
        }
    }

    /// A hook that exceeds its time limit has failed.
    pub(super) fn expire_hook(&mut self, now: Time, fx: &mut Effects) {
        if let Some((hook, _)) = self.running_hook.filter(|(_, until)| now >= *until) {
            self.hook_finished(now, hook, Err(HookError::TimedOut), fx);
        }
    }

    /// Ends the test for a reason: after the teardown, if there is one and the setup has not
    /// failed.
    pub(super) fn end_after_teardown(
        &mut self,
        now: Time,
        reason: EndReason,
        fx: &mut Effects,
    ) -> Option<Ended> {
        let spec = &self.init.spec;
        let set_up = match spec.setup {
            Some(_) => setup_values(self.log.entries()).is_some(),
            None => self.start.is_some(),
        };
        if spec.teardown.is_none() || !set_up || self.teardown_done {
            return Some(self.end(now, reason, fx));
        }
        if self.log.hook_started_before(Hook::Teardown) && !planted(Bug::RunTwice) {
            let text = "the coordinator was lost while the teardown ran, and a teardown is not \
                run twice";
            self.event(now, EventKind::TeardownFailed, None, text.into(), fx);
            return Some(self.end(now, reason, fx));
        }
        self.state = TestState::Stopping;
        self.ending = Some(reason);
        self.run_hook(now, Hook::Teardown, fx);
        None
    }
}
