//! A plan before it runs: its stages, length and number of requests.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use vajra_plan::{Hook, Model, Plan, Profile, Task, show_duration};

/// The preview of a plan.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PlanPreview<'a> {
    plan: &'a Plan,
    /// Number of requests, if it is known before the test.
    requests: Option<u64>,
    /// Time from the first to the last planned arrival, in seconds.
    length_s: f64,
    stages: Vec<Stage>,
}

/// A stage of the load.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Stage {
    name: &'static str,
    /// Arrivals per second, or users, at its start.
    from: f64,
    /// Arrivals per second, or users, at its end.
    to: f64,
    length_s: f64,
    /// Number of requests, if it is known before the test.
    requests: Option<u64>,
}

impl PlanPreview<'_> {
    /// The preview of `plan`.
    pub fn of(plan: &Plan) -> PlanPreview<'_> {
        let load = &plan.load;
        let profile = Profile::of(load);
        let most = profile.total_arrivals().unwrap_or(u64::MAX) as f64;
        let arrivals = |t: Duration| profile.integral(t).min(most).round() as u64;
        let mut start = Duration::ZERO;
        let stages = load.lines().into_iter().map(|line| {
            let (from, to) = (start, start + line.length);
            start = to;
            Stage {
                name: line.name,
                from: line.from,
                to: line.to,
                length_s: line.length.as_secs_f64(),
                requests: (load.model == Model::Open).then(|| arrivals(to) - arrivals(from)),
            }
        });
        PlanPreview {
            plan,
            stages: stages.collect(),
            requests: profile.total_arrivals(),
            length_s: profile.last_due().as_secs_f64(),
        }
    }

    /// The preview as text, without the plan itself.
    pub fn summary(&self) -> String {
        let task = match &self.plan.task {
            Task::Http(http) => format!("{} {}", http.method, http.url),
            Task::Sleep { ms } | Task::Cpu { ms } => {
                format!("{} {ms} ms", self.plan.task.type_name())
            }
            Task::Scenarios(scenarios) => {
                let names = scenarios.scenarios.iter().map(|s| s.name.as_str());
                format!("scenarios {}", names.collect::<Vec<_>>().join(", "))
            }
        };
        let unit_of_work = match self.plan.task {
            Task::Scenarios(_) => "iterations",
            _ => "requests",
        };
        let unit = match self.plan.load.model {
            Model::Open => "/s",
            Model::Closed => " users",
        };
        let mut text = format!("would run: {task}\n");
        for stage in &self.stages {
            let level = match stage.from == stage.to {
                true => format!("{}{unit}", stage.to),
                false => format!("{} to {}{unit}", stage.from, stage.to),
            };
            let length = show_duration(Duration::from_secs_f64(stage.length_s));
            let requests = stage
                .requests
                .map(|n| format!(", {n} {unit_of_work}"))
                .unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {:<9} {level} for {length}{requests}", stage.name);
        }
        if let Task::Scenarios(scenarios) = &self.plan.task {
            for hook in [Hook::Setup, Hook::Teardown] {
                let steps = scenarios.hook_steps(hook).iter().map(|s| s.name.as_str());
                let steps: Vec<&str> = steps.collect();
                if !steps.is_empty() {
                    let limit = show_duration(scenarios.limit(hook));
                    let steps = steps.join(", ");
                    let hook = hook.to_string();
                    let _ = writeln!(text, "  {hook:<9} {steps}, once, at most {limit}");
                }
            }
        }
        let total = match (self.requests, self.plan.load.model) {
            (Some(n), Model::Open) => format!("{n} {unit_of_work}"),
            (Some(n), Model::Closed) => format!("at most {n} {unit_of_work}"),
            (None, _) => format!("as many {unit_of_work} as the users complete"),
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
        let preview = PlanPreview::of(&plan);
        let names: Vec<_> = preview
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
        let sum: u64 = preview.stages.iter().filter_map(|s| s.requests).sum();
        assert_eq!(Some(sum), preview.requests);
    }
}
