//! Load commands, the committed log, and hooks.

use super::super::log::setup_values;
use super::*;

/// Time for which a load command of this node is repeated: longer than a fail-over takes.
const REPEAT_FOR: Duration = Duration::from_secs(10);

impl TestRun {
    /// Committed log entries known on this node.
    pub fn log(&self) -> &[LogEntry] {
        &self.observed.committed
    }

    /// Reason why a load command is refused now, if so.
    pub fn refuses(&self, now: Time, command: LoadCommand) -> Option<&'static str> {
        let hold = |s: &TestSpec| s.on_lost == OnLost::Hold;
        if self.spec.as_ref().is_some_and(hold) {
            return Some(
                "its plan says on_lost_worker = \"hold\": a worker without a coordinator goes on, and \
                 would not receive the change; use \"reassign\" to change the load of a running test",
            );
        }
        let started = self.start().is_some_and(|s| now >= s);
        match self.state() {
            TestState::Running if started && self.stop.request.is_none() => {
                let duration =
                    |s: &TestSpec| s.load_duration(&self.observed.committed, &self.timings);
                let end = self.start().zip(self.spec.as_ref().map(duration));
                match end.is_some_and(|(s, l)| now + self.timings.start_delay >= s + l) {
                    true => Some("it is about to end"),
                    false => refusal(&self.observed.committed, command),
                }
            }
            TestState::Ended | TestState::Stopping => {
                Some("the test has ended; its load can no longer be changed")
            }
            TestState::Running if started => Some("it is being stopped"),
            _ => Some("its load has not started yet"),
        }
    }

    /// Requests a change of the load, and repeats the request until it is in the log.
    pub fn request_load_change(
        &mut self,
        now: Time,
        id: u64,
        command: LoadCommand,
        fx: &mut Effects,
    ) {
        if self.end.ended.is_none() {
            self.load_changes
                .pending
                .push((id, command, now + REPEAT_FOR));
            self.repeat_load_commands(now, fx);
        }
    }

    pub(super) fn repeat_load_commands(&mut self, now: Time, fx: &mut Effects) {
        self.load_changes.next_repeat = Time::MAX;
        let ended = self.end.ended.is_some();
        let replicated = self.election.replicated();
        let in_log = |id: u64| replicated.log.entries.iter().any(|d| d.id == id);
        self.load_changes
            .pending
            .retain(|(id, _, until)| !ended && now < *until && !in_log(*id));
        for (id, command, _) in &self.load_changes.pending {
            self.load_changes.next_repeat = now + REPEAT;
            fx.publish(TestMessage::LoadCommand {
                test: self.announcement.test,
                by: self.local.node.clone(),
                id: *id,
                command: *command,
            });
        }
    }

    pub(super) fn receive_load_command(
        &mut self,
        now: Time,
        id: u64,
        command: LoadCommand,
        fx: &mut Effects,
    ) {
        let authority = self.election.has_authority(now) && self.end.ended.is_none();
        let coordinator = self.coordinator.as_mut().filter(|_| authority);
        if coordinator.is_some_and(|c| c.load_command(now, id, command, fx)) {
            self.election.beat_now(now);
            self.tick_election(now, fx);
        }
    }

    /// Acts on committed entries. The committed log only grows, and is the same on all nodes.
    pub(super) fn commit(&mut self, committed: &[LogEntry], fx: &mut Effects) {
        if committed.len() > self.observed.committed.len() {
            self.observed.committed = committed.into();
        }
        if let Some(worker) = &mut self.worker {
            worker.update_log(&self.observed.committed, fx);
        }
    }

    /// This node has run a hook: with the setup's values, or the reason for its failure.
    pub fn hook_finished(
        &mut self,
        now: Time,
        hook: Hook,
        outcome: Result<Arc<[u8]>, HookError>,
        fx: &mut Effects,
    ) {
        let authority = self.election.has_authority(now) && self.end.ended.is_none();
        if let Some(coordinator) = self.coordinator.as_mut().filter(|_| authority) {
            coordinator.hook_finished(now, hook, outcome, fx);
        }
    }

    /// Values of the setup hook, once it has finished.
    pub fn setup_values(&self) -> Option<&Arc<[u8]>> {
        setup_values(&self.observed.committed)
    }
}
