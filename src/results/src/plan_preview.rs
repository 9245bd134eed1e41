//! What a plan amounts to before it runs: its stages, how long, how many requests.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use vajra_plan::{Hook, Model, Plan, Profile, Task, show_duration};

/// What a plan amounts to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Outline<'a> {
    plan: &'a Plan,
    /// All requests, where that is known beforehand.
    requests: Option<u64>,
    /// From the first to the last arrival due.
    length_s: f64,
    stages: Vec<Stage>,
}

/// A part of the load over time.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Stage {
    name: &'static str,
    /// Arrivals a second, or users, at its beginning.
    from: f64,
    /// The same at its end.
    to: f64,
    length_s: f64,
    /// Requests, where that is known beforehand.
    requests: Option<u64>,
}

impl Outline<'_> {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Outline<'_> {
        let load = &plan.load;
        let profile = Profile::of(load);
        let most = profile.total_arrivals().unwrap_or(u64::MAX) as f64;
        let arrivals = |t: Duration| profile.integral(t).min(most).round() as u64;
        let mut begin = Duration::ZERO;
        let stages = load.lines().into_iter().map(|line| {
            let (from, to) = (begin, begin + line.length);
            begin = to;
            Stage {
                name: line.name,
                from: line.from,
                to: line.to,
                length_s: line.length.as_secs_f64(),
                requests: (load.model == Model::Open).then(|| arrivals(to) - arrivals(from)),
            }
        });
        Outline {
            plan,
            stages: stages.collect(),
            requests: profile.total_arrivals(),
            length_s: profile.last_due().as_secs_f64(),
        }
    }

    /// Without the plan itself.
    pub fn summary(&self) -> String {
        let what = match &self.plan.task {
            Task::Http(http) => format!("{} {}", http.method, http.url),
            Task::Sleep { ms } | Task::Cpu { ms } => {
                format!("{} {ms} ms", self.plan.task.type_name())
            }
            Task::Scenarios(scenarios) => {
                let names = scenarios.scenarios.iter().map(|s| s.name.as_str());
                format!("scenarios {}", names.collect::<Vec<_>>().join(", "))
            }
        };
        let what_comes = match self.plan.task {
            Task::Scenarios(_) => "iterations",
            _ => "requests",
        };
        let unit = match self.plan.load.model {
            Model::Open => "/s",
            Model::Closed => " users",
        };
        let mut text = format!("would run: {what}\n");
        for stage in &self.stages {
            let level = match stage.from == stage.to {
                true => format!("{}{unit}", stage.to),
                false => format!("{} to {}{unit}", stage.from, stage.to),
            };
            let length = show_duration(Duration::from_secs_f64(stage.length_s));
            let requests = stage
                .requests
                .map(|n| format!(", {n} {what_comes}"))
                .unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {:<9} {level} for {length}{requests}", stage.name);
        }
        if let Task::Scenarios(scenarios) = &self.plan.task {
            for phase in [Hook::Setup, Hook::Teardown] {
                let steps = scenarios.hook_steps(phase).iter().map(|s| s.name.as_str());
                let steps: Vec<&str> = steps.collect();
                if !steps.is_empty() {
                    let limit = show_duration(scenarios.limit(phase));
                    let steps = steps.join(", ");
                    let phase = phase.to_string();
                    let _ = writeln!(text, "  {phase:<9} {steps}, once, at most {limit}");
                }
            }
        }
        let total = match (self.requests, self.plan.load.model) {
            (Some(n), Model::Open) => format!("{n} {what_comes}"),
            (Some(n), Model::Closed) => format!("at most {n} {what_comes}"),
            (None, _) => format!("as many {what_comes} as the users get done"),
        };
        let length = show_duration(Duration::from_secs_f64(self.length_s));
        let _ = writeln!(text, "  total     {total} in {length}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vajra_plan::{HttpTask, Load};

    fn plan(load: Load) -> Plan {
        Plan::new(Task::Http(HttpTask::get("http://127.0.0.1:1/")), load)
    }

    #[test]
    fn stages_and_requests_add_up() {
        let load = Load {
            warm_up: Duration::from_secs(2),
            ramp_up: Duration::from_secs(4),
            ..Load::open(100.0, Duration::from_secs(10))
        };
        let plan = plan(load);
        let outline = Outline::of(&plan);
        let names: Vec<_> = outline
            .stages
            .iter()
            .map(|s| (s.name, s.from, s.to))
            .collect();
        let expected = [
            ("warm-up", 10.0, 10.0),
            ("ramp-up", 10.0, 100.0),
            ("sustain", 100.0, 100.0),
        ];
        assert_eq!(names, expected);
        let sum: u64 = outline.stages.iter().filter_map(|s| s.requests).sum();
        assert_eq!(Some(sum), outline.requests);
    }
}
