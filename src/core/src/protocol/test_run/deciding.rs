//! Decisions: asking for them, and acting on those that are settled.

use super::super::decisions::values;
use super::*;

/// How long a change of the load that was asked for here is repeated: longer than a fail-over
/// takes.
const ASKING: Duration = Duration::from_secs(10);

impl TestRun {
    /// The settled decisions, as far as they are known here.
    pub fn decisions(&self) -> &[LogEntry] {
        &self.settled
    }

    /// Why the load can't be changed in this way now, if so.
    pub fn refuses(&self, now: Time, steer: LoadCommand) -> Option<&'static str> {
        let begun = self.start().is_some_and(|s| now >= s);
        match self.phase() {
            TestState::Running if begun && self.stop.is_none() => {
                let lasts = |s: &TestSpec| s.lasts(&self.settled, &self.timings);
                let end = self.start().zip(self.spec.as_ref().map(lasts));
                match end.is_some_and(|(s, l)| now + self.timings.start_delay >= s + l) {
                    true => Some("it is about to end"),
                    false => refuse(&self.settled, steer),
                }
            }
            TestState::Ended | TestState::Stopping => {
                Some("the test has ended: its load cannot be changed any more")
            }
            TestState::Running if begun => Some("it is being stopped"),
            _ => Some("its load has not begun yet; wait until it runs"),
        }
    }

    /// A change of the load was asked for here: it is repeated until it is decided.
    pub fn request_steer(&mut self, now: Time, id: u64, steer: LoadCommand, fx: &mut Effects) {
        if self.ended.is_none() {
            self.asked.push((id, steer, now + ASKING));
            self.ask_again(now, fx);
        }
    }

    pub(super) fn ask_again(&mut self, now: Time, fx: &mut Effects) {
        self.next_steer = Time::MAX;
        let over = self.ended.is_some();
        let heard = self.election.heard();
        let decided = |id: u64| heard.decisions.list.iter().any(|d| d.id == id);
        self.asked
            .retain(|(id, _, until)| !over && now < *until && !decided(*id));
        for (id, steer, _) in &self.asked {
            self.next_steer = now + REPEAT;
            fx.publish(TestMessage::LoadCommand {
                test: self.announcement.test,
                by: self.myself.node.clone(),
                id: *id,
                steer: *steer,
            });
        }
    }

    pub(super) fn hear_steer(&mut self, now: Time, id: u64, steer: LoadCommand, fx: &mut Effects) {
        let authority = self.election.has_authority(now) && self.ended.is_none();
        let office = self.coordinator.as_mut().filter(|_| authority);
        if office.is_some_and(|c| c.steer(now, id, steer, fx)) {
            self.election.hurry_beat(now);
            self.tick_election(now, fx);
        }
    }

    /// These decisions are settled. What is settled only grows, and is the same for all.
    pub(super) fn settle(&mut self, settled: &[LogEntry], fx: &mut Effects) {
        if settled.len() > self.settled.len() {
            self.settled = settled.into();
        }
        if let Some(worker) = &mut self.worker {
            worker.decide(&self.settled, fx);
        }
    }

    /// Setup or teardown was run by this node: the setup's values, or why it failed.
    pub fn ran(&mut self, now: Time, once: Hook, how: Result<Arc<[u8]>, String>, fx: &mut Effects) {
        let authority = self.election.has_authority(now) && self.ended.is_none();
        if let Some(coordinator) = self.coordinator.as_mut().filter(|_| authority) {
            coordinator.ran(now, once, how, fx);
        }
    }

    /// The values that the setup handed on, once it was run.
    pub fn values(&self) -> Option<&Arc<[u8]>> {
        values(&self.settled)
    }
}
