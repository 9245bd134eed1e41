//! What a node's share of a plan needs.

use std::time::Duration;

use vajra_core::protocol::spec::SLOTS;
use vajra_engine::MAX_IN_FLIGHT;
use vajra_plan::{Model, Plan, Task};

/// Response time of a slow target. A generator should not run out of anything even then.
pub const SLOW: Duration = Duration::from_secs(1);

/// Bytes of a step's histograms: three kinds of time, each with 23,552 counts of 8 bytes.
const STEP_BYTES: u64 = 3 * 190_000;
/// Bytes of a connection: its buffers and state.
const CONNECTION_BYTES: u64 = 8 * 1024;
/// Additional bytes of a TLS connection.
const TLS_BYTES: u64 = 40 * 1024;

/// A node's share of a plan, and what it needs.
#[derive(Clone, Copy, Debug)]
pub struct Requirements<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The share in slots.
    pub slots: u32,
    /// Engine threads.
    pub threads: usize,
    /// Number of targets: distinct schemes, hosts and ports.
    pub endpoints: usize,
    /// Smallest number of addresses that the connections to a target are spread over.
    pub spread: usize,
    /// Shortest possible response time: a round trip.
    pub min_time: Duration,
    /// Size of the plan in bytes.
    pub size: u64,
}

impl Requirements<'_> {
    fn fraction(&self) -> f64 {
        f64::from(self.slots) / f64::from(SLOTS)
    }

    /// Highest number of arrivals per second; none in the closed model, where it depends on the
    /// response time.
    pub fn rate(&self) -> Option<f64> {
        let rate = self.plan.load.rate.unwrap_or_default();
        (self.plan.load.model == Model::Open).then_some(rate * self.fraction())
    }

    /// Users, or arrivals in progress if each request takes `each`, up to the plan's limit.
    pub fn at_once(&self, each: Duration) -> u64 {
        let load = &self.plan.load;
        match self.rate() {
            Some(rate) => {
                let most = u64::from(load.max_in_flight.unwrap_or(MAX_IN_FLIGHT));
                let arrivals = rate * time_of(&self.plan.task, each).as_secs_f64();
                (arrivals.ceil() as u64).clamp(1, most.max(1))
            }
            None => (f64::from(load.users.unwrap_or(1)) * self.fraction()).ceil() as u64,
        }
    }

    /// Connections in use if each request takes `each`.
    pub fn connections(&self, each: Duration) -> u64 {
        let used = self.at_once(each).div_ceil(self.streams());
        let most = match self.plan.load.model {
            Model::Open => self.plan.load.connections.map_or(u64::MAX, u64::from),
            Model::Closed => u64::MAX,
        };
        used.min(most) * self.endpoints as u64
    }

    /// Connections that should be available: for slow responses, or as many as the plan sets, which
    /// are opened before the start.
    pub fn connections_wanted(&self) -> u64 {
        let load = &self.plan.load;
        let most = self.at_once(self.plan.task.longest());
        let configured = match (load.model, load.connections) {
            (Model::Open, Some(n)) => {
                u64::from(n).min(most.div_ceil(self.streams())) * self.endpoints as u64
            }
            _ => 0,
        };
        self.connections(SLOW).max(configured)
    }

    /// New connections per second, if every request opens one and the rate is known in advance.
    pub fn opened_per_second(&self) -> Option<f64> {
        let http = self.plan.task.http()?;
        let rate = self.rate().filter(|_| http.disable_keepalive)?;
        Some(rate * requests_of(&self.plan.task))
    }

    /// Memory in bytes.
    pub fn memory(&self) -> u64 {
        let tls = self.plan.task.http().is_some_and(|http| {
            let scheme = http.url.get(..6).unwrap_or_default();
            scheme.eq_ignore_ascii_case("https:")
        });
        let each = CONNECTION_BYTES + if tls { TLS_BYTES } else { 0 };
        let steps = self.plan.task.step_names().len() as u64;
        // One set per thread, their sum, and the copy being encoded.
        let sets = self.threads as u64 + 2;
        // The plan as text and parsed.
        steps * sets * STEP_BYTES + self.connections_wanted() * each + 3 * self.size
    }

    fn streams(&self) -> u64 {
        u64::from(self.plan.task.streams()).max(1)
    }
}

/// Time of an arrival if each request takes `each`, up to its timeout; for scenarios the mean.
pub fn time_of(task: &Task, each: Duration) -> Duration {
    match task {
        Task::Http(http) => each.min(http.timeout),
        Task::Sleep { ms } | Task::Cpu { ms } => Duration::from_millis(*ms),
        Task::Scenarios(s) => {
            let time = |scenario: &vajra_plan::Scenario| -> Duration {
                let steps = scenario.steps.iter();
                let times = steps.map(|step| {
                    each.min(step.timeout.unwrap_or(s.http.timeout)) + step.think.mean()
                });
                times.sum()
            };
            let scenarios = s.scenarios.iter();
            Duration::from_secs_f64(mean(scenarios.map(|x| (x.weight, time(x).as_secs_f64()))))
        }
    }
}

/// Requests per arrival; for scenarios the mean.
fn requests_of(task: &Task) -> f64 {
    match task {
        Task::Scenarios(s) => {
            let scenarios = s.scenarios.iter();
            mean(scenarios.map(|x| (x.weight, x.steps.len() as f64)))
        }
        _ => 1.0,
    }
}

fn mean(weighted: impl Iterator<Item = (u32, f64)>) -> f64 {
    let (mut weights, mut sum) = (0.0, 0.0);
    for (weight, value) in weighted {
        weights += f64::from(weight);
        sum += f64::from(weight) * value;
    }
    if weights > 0.0 { sum / weights } else { 0.0 }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vajra_plan::{HttpTask, Load, parse_toml};

    pub fn whole(plan: &Plan) -> Requirements<'_> {
        Requirements {
            plan,
            slots: SLOTS,
            threads: 2,
            endpoints: 1,
            spread: 1,
            min_time: Duration::from_millis(1),
            size: 1000,
        }
    }

    pub fn open(rate: f64) -> Plan {
        let task = Task::Http(HttpTask::get("http://127.0.0.1:1/"));
        Plan::new(task, Load::open(rate, Duration::from_secs(10)))
    }

    #[test]
    fn connections_in_the_open_model_follow_from_rate_and_response_time() {
        let plan = open(2000.0);
        let all = whole(&plan);
        assert_eq!(all.connections(Duration::from_millis(5)), 10);
        assert_eq!(all.connections_wanted(), 2000);
        let half = Requirements {
            slots: SLOTS / 2,
            ..all
        };
        assert_eq!(half.connections_wanted(), 1000);
        assert_eq!(whole(&open(0.5)).connections(Duration::ZERO), 1);
    }

    #[test]
    fn configured_connections_limit_those_in_use_and_are_opened_in_advance() {
        let mut plan = open(2000.0);
        plan.load.connections = Some(50);
        assert_eq!(whole(&plan).connections(SLOW), 50);
        plan.load.connections = Some(5000);
        assert_eq!(whole(&plan).connections_wanted(), 5000);
        plan.load.max_in_flight = Some(300);
        assert_eq!(whole(&plan).connections_wanted(), 300);
    }

    #[test]
    fn each_user_has_a_connection_unless_streams_share_one() {
        let mut plan = open(1.0);
        plan.load = Load::closed(1000, Duration::from_secs(10));
        assert_eq!(whole(&plan).connections(Duration::ZERO), 1000);
        let Task::Http(http) = &mut plan.task else {
            panic!("no HTTP")
        };
        http.streams = 16;
        assert_eq!(whole(&plan).connections(Duration::ZERO), 63);
    }

    #[test]
    fn an_iteration_takes_its_steps_and_think_times() {
        let text = "[http]\nbase_url = \"http://127.0.0.1:1\"\n\
            [[scenario]]\nweight = 3\n[[scenario.step]]\nurl = \"/a\"\nthink = \"2s\"\n\
            [[scenario.step]]\nurl = \"/b\"\ntimeout = \"500ms\"\n\
            [[scenario]]\n[[scenario.step]]\nurl = \"/c\"\n[load]\nrate = 8\nduration = \"5s\"\n";
        let plan = parse_toml(text).unwrap().into_plan().unwrap();
        // Three in four take 1 + 2 + 0.5 s, one takes 1 s.
        assert_eq!(time_of(&plan.task, SLOW), Duration::from_millis(2875));
        assert_eq!(whole(&plan).at_once(SLOW), 23);
        assert_eq!(requests_of(&plan.task), 1.75);
    }

    #[test]
    fn memory_consists_mostly_of_histograms_or_connections() {
        let plan = open(1.0);
        let few = whole(&plan).memory();
        assert!((2_000_000..3_000_000).contains(&few), "{few}");
        let plan = open(50_000.0);
        let many = whole(&plan).memory();
        assert!(many > 50_000 * CONNECTION_BYTES, "{many}");
    }
}
