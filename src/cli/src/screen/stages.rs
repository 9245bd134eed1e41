//! The planned load over time, and the current stage.

use std::time::Duration;

use vajra_plan::{Change, Line, Load, LoadChange, Model, Profile};
use vajra_results::ChangeKind;
use vajra_results::ChangeResult;

/// Maximum length of a pause (`docs/running.md`), which the profile needs; the charts end before.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// The load over time.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// Open or closed model.
    pub model: Model,
    /// Number of requests after which the test ends, over the whole swarm.
    pub requests: Option<u64>,
    lines: Vec<Line>,
    profile: Profile,
    /// Start and end of each pause, in seconds after the start.
    pauses: Vec<(f64, Option<f64>)>,
}

/// The current stage.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Now {
    /// Its number, from 1.
    pub number: usize,
    /// Number of stages.
    pub of: usize,
    /// Its name.
    pub name: &'static str,
    /// Remaining time of the stage.
    pub remaining: Duration,
    /// Whether the test is paused.
    pub paused: bool,
}

impl Plan {
    /// The load of a plan, with the changes made during the test.
    pub fn of(load: &Load, changes: &[ChangeResult]) -> Plan {
        let mut pauses: Vec<(f64, Option<f64>)> = Vec::new();
        for change in changes {
            match (change.kind, pauses.last_mut()) {
                (ChangeKind::Paused, _) => pauses.push((change.at_s, None)),
                (ChangeKind::Resumed, Some((_, to @ None))) => *to = Some(change.at_s),
                _ => {}
            }
        }
        let each = changes.iter().filter_map(|change| {
            let what = match (change.kind, change.level) {
                (ChangeKind::Scaled, Some(level)) => Change::Level(level),
                (ChangeKind::Paused, _) => Change::Pause(LONGEST_PAUSE),
                (ChangeKind::Resumed, _) => Change::Resume,
                _ => return None,
            };
            let at = Duration::try_from_secs_f64(change.at_s).ok()?;
            let lag = Duration::ZERO;
            Some(LoadChange { at, lag, what })
        });
        let each: Vec<LoadChange> = each.collect();
        Plan {
            model: load.model,
            requests: load.requests,
            lines: load.lines(),
            profile: Profile::changed(load, &each),
            pauses,
        }
    }

    /// Total length of the stages in seconds, without pauses.
    pub fn length_s(&self) -> f64 {
        self.lines.iter().map(|l| l.length.as_secs_f64()).sum()
    }

    /// Planned arrivals per second, or users, at an instant.
    pub fn level_at(&self, at_s: f64) -> f64 {
        let at = Duration::try_from_secs_f64(at_s).unwrap_or_default();
        match self.model {
            Model::Open => self.profile.rate_at(at),
            Model::Closed => f64::from(self.profile.users_at(at)),
        }
    }

    /// Position of the clock of the plan, which stops in pauses, in seconds.
    fn position_s(&self, at_s: f64) -> f64 {
        let paused = self.pauses.iter().map(|(from, to)| {
            let to = to.unwrap_or(f64::INFINITY).min(at_s);
            (to - from).max(0.0)
        });
        (at_s - paused.sum::<f64>()).max(0.0)
    }

    /// Remaining time of the plan at an instant, in seconds, without pauses.
    pub fn remaining_s(&self, at_s: f64) -> f64 {
        (self.length_s() - self.position_s(at_s)).max(0.0)
    }

    /// Whether the test is paused at an instant.
    pub fn paused_at(&self, at_s: f64) -> bool {
        let within = |(from, to): &(f64, Option<f64>)| *from <= at_s && to.is_none_or(|t| at_s < t);
        self.pauses.iter().any(within)
    }

    /// Starts of all stages but the first, as shares of the whole plan, 0 to 1.
    pub fn bounds(&self) -> Vec<f64> {
        let whole = self.length_s();
        let mut at = 0.0;
        let stages = self.stages();
        let (_, before) = match stages.split_last() {
            Some(split) => split,
            None => return Vec::new(),
        };
        let bounds = before.iter().map(|(_, length)| {
            at += length.as_secs_f64();
            at / whole
        });
        bounds.collect()
    }

    /// Completed share of the plan, 0 to 1.
    pub fn done(&self, at_s: f64) -> f64 {
        let whole = self.length_s();
        match whole > 0.0 {
            true => (self.position_s(at_s) / whole).clamp(0.0, 1.0),
            false => 0.0,
        }
    }

    /// The stages; the lines of a step stage count as one.
    fn stages(&self) -> Vec<(&'static str, Duration)> {
        let mut stages: Vec<(&'static str, Duration)> = Vec::new();
        for line in &self.lines {
            match stages.last_mut() {
                Some((name, length)) if (*name, line.name) == ("step", "step") => {
                    *length += line.length
                }
                _ => stages.push((line.name, line.length)),
            }
        }
        stages
    }

    /// The stage at an instant; `None` after the last.
    pub fn now(&self, at_s: f64) -> Option<Now> {
        let stages = self.stages();
        let (mut end, of) = (Duration::ZERO, stages.len());
        let at = Duration::try_from_secs_f64(self.position_s(at_s)).unwrap_or_default();
        (1..).zip(stages).find_map(|(number, (name, length))| {
            end += length;
            (at < end).then(|| Now {
                number,
                of,
                name,
                remaining: end - at,
                paused: self.paused_at(at_s),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramped() -> Load {
        let mut load = Load::open(100.0, Duration::from_secs(20));
        load.ramp_up = Duration::from_secs(10);
        load
    }

    fn change(at_s: f64, kind: ChangeKind) -> ChangeResult {
        ChangeResult {
            at_s,
            kind,
            level: None,
        }
    }

    #[test]
    fn the_current_stage_and_its_remaining_time_are_known() {
        let plan = Plan::of(&ramped(), &[]);
        let now = plan.now(4.0).map(|n| (n.number, n.of, n.name, n.remaining));
        assert_eq!(now, Some((1, 2, "ramp-up", Duration::from_secs(6))));
        assert_eq!(plan.now(12.0).map(|n| n.name), Some("sustain"));
        assert_eq!(plan.now(30.0), None);
        assert_eq!(plan.bounds(), [1.0 / 3.0]);
    }

    #[test]
    fn a_pause_stops_the_clock_of_the_plan() {
        let changes = [
            change(5.0, ChangeKind::Paused),
            change(9.0, ChangeKind::Resumed),
        ];
        let plan = Plan::of(&ramped(), &changes);
        assert_eq!(plan.done(7.0), plan.done(5.0));
        assert!(plan.paused_at(6.0) && !plan.paused_at(9.0));
        assert_eq!(plan.now(14.5).map(|n| n.number), Some(2));
        let open = Plan::of(&ramped(), &changes[..1]);
        assert!(open.paused_at(1_000.0));
        assert_eq!(open.level_at(20.0), 0.0);
    }

    #[test]
    fn the_planned_load_is_known_in_either_model() {
        assert_eq!(Plan::of(&ramped(), &[]).level_at(20.0), 100.0);
        let closed = Load::closed(7, Duration::from_secs(5));
        assert_eq!(Plan::of(&closed, &[]).level_at(1.0), 7.0);
    }
}
