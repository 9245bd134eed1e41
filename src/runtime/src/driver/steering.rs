//! Changing the load of a running test: what is asked for is checked here, published by the
//! protocol, and answered once it is settled.

use super::*;
use crate::engine::load_changes;
use crate::handle::LoadRequest;
use vajra_core::protocol::log::LoadCommand;
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::time::for_waiter;
use vajra_plan::{Change, LoadChange, Model, PlanError, Profile};

/// How long a caller waits for a coordinator to take it up: as long as it is repeated.
const PATIENCE: Duration = Duration::from_secs(10);
/// Callers that wait at the same time; a person changes one thing after the other.
const MOST: usize = 64;

/// Somebody waits for a change to be settled.
pub(super) struct Steered {
    test: TestId,
    id: u64,
    steer: LoadCommand,
    until: Instant,
    reply: oneshot::Sender<Result<Duration, CommandError>>,
}

impl Driver {
    pub(super) fn steer(
        &mut self,
        test: TestId,
        how: LoadRequest,
        reply: oneshot::Sender<Result<Duration, CommandError>>,
    ) {
        match self.steerable(test, how) {
            Ok(steer) => {
                let id = getrandom::u64().unwrap_or(0).max(1);
                self.steered.push(Steered {
                    test,
                    id,
                    steer,
                    until: Instant::now() + PATIENCE,
                    reply,
                });
                self.input(Input::LoadCommand(test, id, steer));
            }
            // Whoever asked may be gone; so below.
            Err(why) => drop(reply.send(Err(why))),
        }
    }

    /// What the protocol is to be asked for, if it makes sense.
    fn steerable(&self, test: TestId, how: LoadRequest) -> Result<LoadCommand, CommandError> {
        let refused = |why: &str| Err(CommandError::Refused(why.to_owned()));
        let known = self.core.tests().get(&test);
        let Some(t) = known else {
            return match self.old.contains_key(&test) || self.history.others.knows(test) {
                true => refused("the test has ended: its load cannot be changed any more"),
                false => Err(CommandError::NotFound(format!("no test {test} here"))),
            };
        };
        let Some(plan) = self.tests.get(&test).and_then(|s| s.plan.as_ref()) else {
            return refused("its plan has not arrived at this node yet; try again");
        };
        let steer = match (how, plan.load.model) {
            (LoadRequest::Rate(rate), Model::Open) if (0.001..=1e6).contains(&rate) => {
                LoadCommand::Load {
                    level_milli: (rate * 1e3).round() as u64,
                }
            }
            (LoadRequest::Users(users), Model::Closed) if (1..=1_000_000).contains(&users) => {
                LoadCommand::Load {
                    level_milli: u64::from(users) * 1_000,
                }
            }
            (LoadRequest::Rate(rate), Model::Open) => {
                return refused(&format!(
                    "rate {rate} is not allowed; it must be between 0.001 and 1000000 a second"
                ));
            }
            (LoadRequest::Users(users), Model::Closed) => {
                return refused(&format!(
                    "{users} users are not allowed; it must be between 1 and 1000000"
                ));
            }
            (LoadRequest::Rate(_), Model::Closed) => {
                return refused("its load is users; give a number of users instead of a rate");
            }
            (LoadRequest::Users(_), Model::Open) => {
                return refused("its load is a rate; give a rate instead of users");
            }
            (LoadRequest::Pause, _) => LoadCommand::Pause,
            (LoadRequest::Resume, _) => LoadCommand::Resume,
        };
        if let Some(why) = t.refuses(self.now(), steer) {
            return refused(why);
        }
        if self.steered.len() >= MOST {
            return refused("too many changes are under way; try again");
        }
        self.rows_suffice(t, plan, steer)
            .map_err(|why| CommandError::Refused(why.to_string()))?;
        Ok(steer)
    }

    /// Whether the plan's data have rows for what a change makes of its load: numbers that
    /// are passed over where the load sinks take rows with them.
    fn rows_suffice(&self, t: &TestRun, plan: &Plan, steer: LoadCommand) -> Result<(), PlanError> {
        let at = t.start().map_or(Duration::ZERO, |s| self.now().since(s));
        let workers = self.core.members().live(self.now()).count() + 1;
        let lag = for_waiter(self.core.timings().share_lease(workers));
        let mut changes = load_changes(t.log(), self.room.max_pause);
        let mut change = |what| changes.push(LoadChange { at, lag, what });
        match steer {
            LoadCommand::Load { level_milli } => change(Change::Level(level_milli as f64 / 1e3)),
            // However long it lasts: what counts is that it goes on.
            LoadCommand::Pause => {
                change(Change::Pause(Duration::ZERO));
                change(Change::Resume);
            }
            LoadCommand::Resume => change(Change::Resume),
        }
        let profile = Profile::changed(&plan.load, &changes);
        plan.enough_rows(profile.numbers())?;
        plan.enough_users(profile.peak())
    }

    /// Answers who waits for a change that is settled by now, or never will be.
    pub(super) fn answer_steered(&mut self) {
        if self.steered.is_empty() {
            return;
        }
        let (now, here) = (Instant::now(), self.now());
        let tests = self.core.tests();
        let settled = |s: &Steered| {
            let t = tests.get(&s.test);
            let found = t.and_then(|t| t.log().iter().find(|d| d.id == s.id));
            match (found, t) {
                (Some(decided), _) => Some(Ok(decided.at)),
                (None, Some(t)) if t.ended().is_none() && now < s.until => None,
                (None, Some(t)) if t.ended().is_none() => {
                    Some(Err(t.refuses(here, s.steer).unwrap_or(
                        "no coordinator took it up within 10 s; see `vajra-node nodes`, and try \
                         again",
                    )))
                }
                _ => Some(Err("it ended before that")),
            }
        };
        let waiting = std::mem::take(&mut self.steered);
        for s in waiting {
            match settled(&s) {
                Some(answer) => {
                    let answer = answer.map_err(|why| CommandError::Refused(why.into()));
                    let _ = s.reply.send(answer);
                }
                None => self.steered.push(s),
            }
        }
    }
}
