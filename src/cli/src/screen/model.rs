//! What the view shows, gathered from everything that a node tells of a test: progress, the
//! timeline's intervals, the result so far and the nodes. Nothing here draws, and nothing
//! asks: it is fed, and the time is handed in.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::history::History;
use super::nodes::{Crew, Member};
use super::stages::Plan;
use vajra_core::protocol::messages::TestState;
use vajra_results::state_name;
use vajra_results::{NodeList, Point, Progress, TestResult, Timeline, decode};

/// Without news for so long the view says so: progress comes once a second.
const SILENCE: Duration = Duration::from_secs(3);
/// How long something that was said is shown.
const NOTE: Duration = Duration::from_secs(8);

/// What the keys may do to the test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It was started here: `q` and Ctrl-C stop it.
    Owner,
    /// Somebody else's: they leave it alone.
    Watcher,
}

/// What of the time is in the charts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// From the start to the end of the plan.
    Whole,
    /// The newest part of it.
    Recent,
}

/// Everything that is shown.
#[derive(Debug)]
pub struct Model {
    /// The test's id.
    pub id: String,
    /// What the keys do.
    pub role: Role,
    /// How often the end was asked for.
    pub asked_to_stop: u32,
    /// The keys are explained.
    pub help: bool,
    /// What was chosen for the charts; none leaves it to the length of the test.
    pub span: Option<Span>,
    /// The newest line of progress.
    pub progress: Option<Progress>,
    /// The test so far.
    pub history: History,
    /// The newest interval.
    pub point: Option<Point>,
    /// The result so far.
    pub result: Option<TestResult>,
    /// Its response times.
    pub times: Option<Histogram<u64>>,
    /// The load that the plan asks for.
    pub plan: Option<Plan>,
    /// Who carries it.
    pub crew: Crew,
    /// What was said last, and when.
    said: Option<(String, Duration)>,
    /// The newest line of the log.
    logged: String,
    heard: Duration,
    now: Duration,
}

impl Model {
    /// Nothing is known yet of the test.
    pub fn new(id: &str, role: Role) -> Model {
        Model {
            id: id.to_owned(),
            role,
            asked_to_stop: 0,
            help: false,
            span: None,
            progress: None,
            history: History::default(),
            point: None,
            result: None,
            times: None,
            plan: None,
            crew: Crew::default(),
            said: None,
            logged: String::new(),
            heard: Duration::ZERO,
            now: Duration::ZERO,
        }
    }

    /// It is so long since the view was opened.
    pub fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Something to be shown for a while.
    pub fn say(&mut self, text: &str) {
        self.said = Some((text.to_owned(), self.now));
    }

    /// The newest line of the log: said once.
    pub fn logged(&mut self, line: &str) {
        if self.logged != line {
            self.logged = line.to_owned();
            self.say(line);
        }
    }

    /// What was said last, for as long as it is shown.
    pub fn note(&self) -> Option<&str> {
        let (text, at) = self.said.as_ref()?;
        (self.now.saturating_sub(*at) < NOTE).then_some(text.as_str())
    }

    /// A line of progress.
    pub fn progress(&mut self, p: &Progress) {
        self.heard = self.now;
        self.history.progress(p);
        self.progress = Some(p.clone());
    }

    /// An interval of the timeline.
    pub fn point(&mut self, p: &Point) {
        self.history.point(p);
        self.point = Some(p.clone());
    }

    /// The timeline so far.
    pub fn timeline(&mut self, t: &Timeline) {
        self.history.replace(&t.points);
        if let Some(last) = t.points.last() {
            self.point = Some(last.clone());
        }
    }

    /// The result so far.
    pub fn result(&mut self, result: TestResult) {
        self.times = result.histograms.response.as_deref().and_then(decode);
        self.plan = Some(Plan::of(&result.load, &result.changes));
        self.crew.result(&result, self.now);
        self.result = Some(result);
    }

    /// The nodes of the swarm.
    pub fn nodes(&mut self, nodes: NodeList) {
        self.crew.nodes(&self.id, nodes);
    }

    /// `electing`, `registering`, `running`, `stopping`; empty while nothing was heard.
    pub fn state(&self) -> &str {
        let heard = self.progress.as_ref().map(|p| p.state);
        let asked = self.result.as_ref().map(|r| r.state);
        heard.or(asked).map_or("", state_name)
    }

    /// Load has begun.
    pub fn begun(&self) -> bool {
        let running = matches!(self.state(), "running" | "stopping" | "ended");
        let result = self.result.as_ref();
        let sent = result.is_some_and(|r| r.totals.sent > 0);
        running && (sent || self.progress.as_ref().is_some_and(|p| p.elapsed_s > 0.0))
    }

    /// Seconds since the start of the profile, going on between two lines of progress.
    pub fn elapsed_s(&self) -> f64 {
        let Some(p) = &self.progress else {
            return self.result.as_ref().map_or(0.0, |r| r.duration_s);
        };
        let since = self.now.saturating_sub(self.heard).min(SILENCE);
        match p.state {
            TestState::Running if p.elapsed_s != 0.0 => {
                let end = p.duration_s.max(p.elapsed_s);
                (p.elapsed_s + since.as_secs_f64()).min(end)
            }
            _ => p.elapsed_s,
        }
    }

    /// Length of the plan in seconds, with the pauses in it; 0 while unknown. In a pause the
    /// end is as far away as if it ended now: how long it will be nobody knows.
    pub fn duration_s(&self) -> f64 {
        let elapsed = self.elapsed_s();
        if let Some(plan) = self.plan.as_ref().filter(|plan| plan.paused_at(elapsed)) {
            return elapsed + plan.left_s(elapsed);
        }
        let told = self.progress.as_ref().map(|p| p.duration_s);
        let planned = || self.plan.as_ref().map(Plan::length_s);
        told.filter(|d| *d > 0.0).or_else(planned).unwrap_or(0.0)
    }

    /// For how long nothing was heard, once that is worth a word.
    pub fn silence(&self) -> Option<Duration> {
        let silence = self.now.saturating_sub(self.heard);
        (silence >= SILENCE).then_some(silence)
    }

    /// Who coordinates, by name, and in which term.
    pub fn coordinator(&self) -> Option<(String, u64)> {
        let reigns = &self.result.as_ref()?.coordinators;
        let reign = reigns.iter().rfind(|r| r.to_ms.is_none())?;
        Some((self.crew.name(&reign.peer), reign.term))
    }

    /// The workers and whoever else is in the swarm, in the order in which they are shown.
    pub fn members(&self) -> Vec<Member> {
        let coordinator = self.result.as_ref().and_then(|r| {
            let reign = r.coordinators.iter().rfind(|c| c.to_ms.is_none())?;
            Some(reign.peer.clone())
        });
        self.crew.members(coordinator.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::fakes;
    use vajra_plan::Load;
    use vajra_results::Tenure;

    fn model() -> Model {
        Model::new("t", Role::Watcher)
    }

    #[test]
    fn the_time_goes_on_between_two_lines_of_progress_but_not_beyond_the_plan() {
        let mut m = model();
        m.tick(Duration::from_secs(1));
        m.progress(&fakes::progress(29.5, 5_000.0));
        m.tick(Duration::from_millis(1_250));
        assert_eq!(m.elapsed_s(), 29.75);
        m.tick(Duration::from_secs(3));
        assert_eq!(m.elapsed_s(), 30.0);
    }

    #[test]
    fn a_node_that_falls_silent_is_told_of() {
        let mut m = model();
        m.progress(&fakes::progress(1.0, 5_000.0));
        m.tick(Duration::from_secs(2));
        assert_eq!(m.silence(), None);
        m.tick(Duration::from_secs(5));
        assert_eq!(m.silence(), Some(Duration::from_secs(5)));
        m.progress(&fakes::progress(6.0, 5_000.0));
        assert_eq!(m.silence(), None);
    }

    #[test]
    fn in_a_pause_the_end_moves_on_with_the_time() {
        let mut m = model();
        let mut p = fakes::progress(12.0, 0.0);
        p.duration_s = 3_630.0;
        m.progress(&p);
        let mut result = fakes::result(&Load::open(10.0, Duration::from_secs(30)));
        result.changes = vec![vajra_results::ChangeResult {
            at_s: 10.0,
            kind: vajra_results::ChangeKind::Paused,
            level: None,
        }];
        m.result(result);
        assert_eq!(m.duration_s(), 32.0);
    }

    #[test]
    fn load_has_begun_once_its_profile_has() {
        let mut m = model();
        assert!(!m.begun());
        m.progress(&fakes::progress(-0.4, 0.0));
        assert!(!m.begun());
        m.progress(&fakes::progress(0.6, 5_000.0));
        assert!(m.begun());
    }

    #[test]
    fn the_coordinator_is_the_one_whose_time_in_office_has_no_end() {
        let mut m = model();
        let mut result = fakes::result(&Load::open(10.0, Duration::from_secs(30)));
        let reign = |term, name: &str, to_ms| Tenure {
            term,
            peer: format!("peer-{name}"),
            name: name.to_owned(),
            from_ms: 0,
            to_ms,
        };
        result.coordinators = vec![reign(1, "alpha", Some(900)), reign(2, "beta", None)];
        result.nodes = vec![
            fakes::worker("alpha", 0.5, 1),
            fakes::worker("beta", 0.5, 1),
        ];
        m.result(result);
        assert_eq!(m.coordinator(), Some(("beta".into(), 2)));
        let office: Vec<bool> = m.members().iter().map(|m| m.coordinates).collect();
        assert_eq!(office, [false, true]);
    }
}
