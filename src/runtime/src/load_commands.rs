//! Load commands of this node's users: checked here, published by the protocol, and answered once
//! they have taken effect.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::handle::{CommandError, LoadRequest};
use crate::plans::Plans;
use vajra_core::protocol::log::LoadCommand;
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::time::for_waiter;
use vajra_core::protocol::{Node, TestId, Time};
use vajra_plan::{Change, LoadChange, Model, Plan, PlanError, Profile};

/// How long a command waits for a coordinator: as long as the protocol repeats it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most commands that wait at the same time.
const MAX_PENDING: usize = 64;

/// The reply to a load command: when it takes effect, after the start of the profile.
pub type LoadReply = oneshot::Sender<Result<Duration, CommandError>>;

/// A load command cannot be executed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Rejection {
    /// The test has ended.
    #[error("the test has ended, so its load cannot be changed")]
    Ended,
    /// The plan has not arrived at this node.
    #[error("the plan has not arrived at this node yet; retry")]
    NoPlan,
    /// The rate is out of range.
    #[error("rate {0} is not allowed; it must be between 0.001 and 1000000 per second")]
    Rate(f64),
    /// The number of users is out of range.
    #[error("{0} users are not allowed; the number must be between 1 and 1000000")]
    Users(u32),
    /// A rate for the closed model.
    #[error("the test has a number of users, not a rate; give a number of users")]
    NotOpen,
    /// Users for the open model.
    #[error("the test has a rate, not a number of users; give a rate")]
    NotClosed,
    /// The state of the test does not allow the command.
    #[error("{0}")]
    State(&'static str),
    /// Too many commands are waiting.
    #[error("too many load commands are pending; retry")]
    TooMany,
    /// The plan's data has too few rows.
    #[error(transparent)]
    Rows(#[from] PlanError),
    /// No coordinator has accepted the command.
    #[error("no coordinator accepted the command within 10 s; check `vajra-node nodes`, and retry")]
    NoCoordinator,
    /// The test ended before the command took effect.
    #[error("the test ended before that")]
    EndedBefore,
}

/// A load command that has not taken effect.
struct Pending {
    test: TestId,
    id: u64,
    command: LoadCommand,
    until: Instant,
    reply: LoadReply,
}

/// The load commands that have not taken effect.
#[derive(Default)]
pub struct LoadCommands {
    pending: Vec<Pending>,
}

impl LoadCommands {
    /// The command for a request, if it is possible now.
    ///
    /// # Errors
    /// The reason why not.
    pub fn check(
        &self,
        core: &Node,
        now: Time,
        plans: &Plans,
        t: &TestRun,
        request: LoadRequest,
    ) -> Result<LoadCommand, Rejection> {
        let plan = plans.get(t.id()).ok_or(Rejection::NoPlan)?;
        let command = match (request, plan.load.model) {
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
            (LoadRequest::Rate(rate), Model::Open) => return Err(Rejection::Rate(rate)),
            (LoadRequest::Users(users), Model::Closed) => return Err(Rejection::Users(users)),
            (LoadRequest::Rate(_), Model::Closed) => return Err(Rejection::NotOpen),
            (LoadRequest::Users(_), Model::Open) => return Err(Rejection::NotClosed),
            (LoadRequest::Pause, _) => LoadCommand::Pause,
            (LoadRequest::Resume, _) => LoadCommand::Resume,
        };
        if let Some(why) = t.refuses(now, command) {
            return Err(Rejection::State(why));
        }
        if self.pending.len() >= MAX_PENDING {
            return Err(Rejection::TooMany);
        }
        check_rows(core, now, plans.changes(t), t, plan, command)?;
        Ok(command)
    }

    /// Waits for a command to take effect. Returns its id.
    pub fn add(&mut self, test: TestId, command: LoadCommand, reply: LoadReply) -> u64 {
        let id = getrandom::u64().unwrap_or(0).max(1);
        self.pending.push(Pending {
            test,
            id,
            command,
            until: Instant::now() + TIMEOUT,
            reply,
        });
        id
    }

    /// Answers the commands that have taken effect, or no longer can.
    pub fn answer(&mut self, core: &Node, now: Time) {
        if self.pending.is_empty() {
            return;
        }
        let real_now = Instant::now();
        let outcome = |p: &Pending| {
            let t = core.tests().get(&p.test);
            let entry = t.and_then(|t| t.log().iter().find(|entry| entry.id == p.id));
            match (entry, t) {
                (Some(entry), _) => Some(Ok(entry.at)),
                (None, Some(t)) if t.ended().is_none() && real_now < p.until => None,
                (None, Some(t)) if t.ended().is_none() => {
                    let state = t.refuses(now, p.command).map(Rejection::State);
                    Some(Err(state.unwrap_or(Rejection::NoCoordinator)))
                }
                _ => Some(Err(Rejection::EndedBefore)),
            }
        };
        for p in std::mem::take(&mut self.pending) {
            match outcome(&p) {
                Some(answer) => {
                    let answer = answer.map_err(|e| CommandError::Refused(e.to_string()));
                    // The caller may be gone.
                    let _ = p.reply.send(answer);
                }
                None => self.pending.push(p),
            }
        }
    }
}

/// Checks that the plan's data has enough rows for the changed load. Numbers that are skipped when
/// the load drops use up rows as well.
fn check_rows(
    core: &Node,
    now: Time,
    mut changes: Vec<LoadChange>,
    t: &TestRun,
    plan: &Plan,
    command: LoadCommand,
) -> Result<(), PlanError> {
    let at = t.start().map_or(Duration::ZERO, |start| now.since(start));
    let workers = core.members().live(now).count() + 1;
    let lag = for_waiter(core.timings().share_lease(workers));
    let mut change = |what| changes.push(LoadChange { at, lag, what });
    match command {
        LoadCommand::Load { level_milli } => change(Change::Level(level_milli as f64 / 1e3)),
        // The length of the pause does not matter, only the load after it.
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
