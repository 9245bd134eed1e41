//! What a node's part of a plan needs.

use std::time::Duration;

use vajra_core::protocol::spec::SLOTS;
use vajra_engine::MAX_IN_FLIGHT;
use vajra_plan::{Model, Plan, Task};

/// A response that takes so long is slow, but no surprise: by then a generator must not have
/// run out of anything.
pub const SLOW: Duration = Duration::from_secs(1);

/// Histograms of a step, and bytes of each: three kinds of time, 23,552 counts of 8 bytes.
const STEP_BYTES: u64 = 3 * 190_000;
/// Bytes of a connection: buffers on both sides of it, and what is known of it.
const CONNECTION_BYTES: u64 = 8 * 1024;
/// Bytes that TLS adds to it.
const TLS_BYTES: u64 = 40 * 1024;

/// A node's part of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// How much of it, in slots.
    pub slots: u32,
    /// Engine threads.
    pub threads: usize,
    /// Schemes, hosts and ports that it connects to.
    pub endpoints: usize,
    /// Addresses that the connections of each are spread over, at least.
    pub spread: usize,
    /// The least that a request takes: a packet's way there and back.
    pub least: Duration,
    /// Bytes of the plan.
    pub size: u64,
}

impl Part<'_> {
    fn fraction(&self) -> f64 {
        f64::from(self.slots) / f64::from(SLOTS)
    }

    /// Arrivals a second, at the highest; none in the closed model, where responses decide.
    pub fn rate(&self) -> Option<f64> {
        let rate = self.plan.load.rate.unwrap_or_default();
        (self.plan.load.model == Model::Open).then_some(rate * self.fraction())
    }

    /// Users, or arrivals in progress if each of their requests takes `each`; of what the plan
    /// lets be in flight.
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

    /// Connections that there should be, also when responses are slow: those, or as many as
    /// the plan names, which are opened before the start.
    pub fn connections_wanted(&self) -> u64 {
        let load = &self.plan.load;
        let most = self.at_once(self.plan.task.longest());
        let named = match (load.model, load.connections) {
            (Model::Open, Some(named)) => {
                u64::from(named).min(most.div_ceil(self.streams())) * self.endpoints as u64
            }
            _ => 0,
        };
        self.connections(SLOW).max(named)
    }

    /// New connections a second, if every request opens one and that is known beforehand.
    pub fn opened_a_second(&self) -> Option<f64> {
        let http = self.plan.task.http()?;
        let rate = self.rate().filter(|_| http.disable_keepalive)?;
        Some(rate * requests_of(&self.plan.task))
    }

    /// Bytes of memory.
    pub fn memory(&self) -> u64 {
        let tls = self.plan.task.http().is_some_and(|http| {
            let first = http.url.get(..6).unwrap_or_default();
            first.eq_ignore_ascii_case("https:")
        });
        let each = CONNECTION_BYTES + if tls { TLS_BYTES } else { 0 };
        let steps = self.plan.task.step_names().len() as u64;
        // The threads' own, their sum, and what is being encoded of it.
        let sets = self.threads as u64 + 2;
        // As text, and as what is made of it.
        steps * sets * STEP_BYTES + self.connections_wanted() * each + 3 * self.size
    }

    fn streams(&self) -> u64 {
        u64::from(self.plan.task.streams()).max(1)
    }
}

/// How long an arrival takes if each of its requests takes `each`, or as long as it may; of
/// scenarios the mean.
pub fn time_of(task: &Task, each: Duration) -> Duration {
    match task {
        Task::Http(http) => each.min(http.timeout),
        Task::Sleep { ms } | Task::Cpu { ms } => Duration::from_millis(*ms),
        Task::Scenarios(s) => {
            let of = |scenario: &vajra_plan::Scenario| -> Duration {
                let steps = scenario.steps.iter();
                let times = steps.map(|step| {
                    each.min(step.timeout.unwrap_or(s.http.timeout)) + step.think.mean()
                });
                times.sum()
            };
            let scenarios = s.scenarios.iter();
            Duration::from_secs_f64(mean(scenarios.map(|x| (x.weight, of(x).as_secs_f64()))))
        }
    }
}

/// Requests of an arrival; of scenarios the mean.
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

    pub fn part(plan: &Plan) -> Part<'_> {
        Part {
            plan,
            slots: SLOTS,
            threads: 2,
            endpoints: 1,
            spread: 1,
            least: Duration::from_millis(1),
            size: 1000,
        }
    }

    pub fn open(rate: f64) -> Plan {
        let task = Task::Http(HttpTask::get("http://127.0.0.1:1/"));
        Plan::new(task, Load::open(rate, Duration::from_secs(10)))
    }

    #[test]
    fn open_connections_follow_from_rate_and_time() {
        let plan = open(2000.0);
        let whole = part(&plan);
        assert_eq!(whole.connections(Duration::from_millis(5)), 10);
        assert_eq!(whole.connections_wanted(), 2000);
        let half = Part {
            slots: SLOTS / 2,
            ..whole
        };
        assert_eq!(half.connections_wanted(), 1000);
        assert_eq!(part(&open(0.5)).connections(Duration::ZERO), 1);
    }

    #[test]
    fn named_connections_bound_those_in_use_and_are_opened_whatever_responses_take() {
        let mut plan = open(2000.0);
        plan.load.connections = Some(50);
        assert_eq!(part(&plan).connections(SLOW), 50);
        plan.load.connections = Some(5000);
        assert_eq!(part(&plan).connections_wanted(), 5000);
        plan.load.max_in_flight = Some(300);
        assert_eq!(part(&plan).connections_wanted(), 300);
    }

    #[test]
    fn users_have_a_connection_each_unless_streams_share_one() {
        let mut plan = open(1.0);
        plan.load = Load::closed(1000, Duration::from_secs(10));
        assert_eq!(part(&plan).connections(Duration::ZERO), 1000);
        let Task::Http(http) = &mut plan.task else {
            panic!("no HTTP")
        };
        http.streams = 16;
        assert_eq!(part(&plan).connections(Duration::ZERO), 63);
    }

    #[test]
    fn an_iteration_takes_its_steps_and_its_pauses() {
        let text = "[http]\nbase_url = \"http://127.0.0.1:1\"\n\
            [[scenario]]\nweight = 3\n[[scenario.step]]\nurl = \"/a\"\nthink = \"2s\"\n\
            [[scenario.step]]\nurl = \"/b\"\ntimeout = \"500ms\"\n\
            [[scenario]]\n[[scenario.step]]\nurl = \"/c\"\n[load]\nrate = 8\nduration = \"5s\"\n";
        let plan = parse_toml(text).unwrap().into_plan().unwrap();
        // Three in four take 1 + 2 + 0.5 s, one takes 1 s.
        assert_eq!(time_of(&plan.task, SLOW), Duration::from_millis(2875));
        assert_eq!(part(&plan).at_once(SLOW), 23);
        assert_eq!(requests_of(&plan.task), 1.75);
    }

    #[test]
    fn memory_is_mostly_histograms_or_connections() {
        let plan = open(1.0);
        let few = part(&plan).memory();
        assert!((2_000_000..3_000_000).contains(&few), "{few}");
        let plan = open(50_000.0);
        let many = part(&plan).memory();
        assert!(many > 50_000 * CONNECTION_BYTES, "{many}");
    }
}
