//! The data of the view: progress, timeline intervals, the provisional result and the nodes. It
//! neither draws nor fetches anything; updates and the time are passed in.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::history::History;
use super::nodes::{NodeRow, NodeTable};
use super::stages::Plan;
use vajra_core::protocol::messages::TestState;
use vajra_results::{NodeList, Point, Progress, Tenure, TestResult, Timeline, decode, state_name};

/// Time without progress after which the view warns; progress is sent once per second.
const STALE_AFTER: Duration = Duration::from_secs(3);
/// Display time of a notification.
const NOTE_TIME: Duration = Duration::from_secs(8);

/// Effect of the keys on the test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Of `start-test`: `q` and Ctrl-C stop the test.
    Owner,
    /// Of `watch`: they only close the view.
    Watcher,
}

/// Time range of the charts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// The whole plan.
    Whole,
    /// Its latest part.
    Recent,
}

/// The data of the view.
#[derive(Debug)]
pub struct Model {
    /// Id of the test.
    pub id: String,
    /// Effect of the keys.
    pub role: Role,
    /// Number of requests to stop.
    pub stop_requests: u32,
    /// Whether the help is shown.
    pub help: bool,
    /// Selected time range; by default it depends on the length of the test.
    pub span: Option<Span>,
    /// Latest progress.
    pub progress: Option<Progress>,
    /// Samples over time.
    pub history: History,
    /// Latest timeline interval.
    pub point: Option<Point>,
    /// Provisional result.
    pub result: Option<TestResult>,
    /// Response times of the result.
    pub times: Option<Histogram<u64>>,
    /// Planned load.
    pub plan: Option<Plan>,
    /// Workers and nodes.
    pub nodes: NodeTable,
    /// Latest notification, and when it was made.
    note: Option<(String, Duration)>,
    /// Latest log line.
    logged: String,
    progress_at: Duration,
    now: Duration,
}

impl Model {
    /// Without data.
    pub fn new(id: &str, role: Role) -> Model {
        Model {
            id: id.to_owned(),
            role,
            stop_requests: 0,
            help: false,
            span: None,
            progress: None,
            history: History::default(),
            point: None,
            result: None,
            times: None,
            plan: None,
            nodes: NodeTable::default(),
            note: None,
            logged: String::new(),
            progress_at: Duration::ZERO,
            now: Duration::ZERO,
        }
    }

    /// Sets the time since the view was opened.
    pub fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Shows a notification for some time.
    pub fn notify(&mut self, text: &str) {
        self.note = Some((text.to_owned(), self.now));
    }

    /// Shows the latest log line, once.
    pub fn logged(&mut self, line: &str) {
        if self.logged != line {
            self.logged = line.to_owned();
            self.notify(line);
        }
    }

    /// The current notification.
    pub fn note(&self) -> Option<&str> {
        let (text, at) = self.note.as_ref()?;
        (self.now.saturating_sub(*at) < NOTE_TIME).then_some(text.as_str())
    }

    /// Adds progress.
    pub fn progress(&mut self, p: &Progress) {
        self.progress_at = self.now;
        self.history.progress(p);
        self.progress = Some(p.clone());
    }

    /// Adds a timeline interval.
    pub fn point(&mut self, p: &Point) {
        self.history.point(p);
        self.point = Some(p.clone());
    }

    /// Sets the timeline.
    pub fn timeline(&mut self, t: &Timeline) {
        self.history.replace(&t.points);
        if let Some(last) = t.points.last() {
            self.point = Some(last.clone());
        }
    }

    /// Sets the provisional result.
    pub fn result(&mut self, result: TestResult) {
        self.times = result.histograms.response.as_deref().and_then(decode);
        self.plan = Some(Plan::of(&result.load, &result.changes));
        self.nodes.result(&result, self.now);
        self.result = Some(result);
    }

    /// Sets the nodes of the swarm.
    pub fn set_nodes(&mut self, nodes: NodeList) {
        self.nodes.nodes(&self.id, nodes);
    }

    /// `electing`, `registering`, `running`, `stopping` or `ended`; empty while unknown.
    pub fn state(&self) -> &str {
        let pushed = self.progress.as_ref().map(|p| p.state);
        let polled = self.result.as_ref().map(|r| r.state);
        pushed.or(polled).map_or("", state_name)
    }

    /// Whether the load has started.
    pub fn started(&self) -> bool {
        let running = matches!(self.state(), "running" | "stopping" | "ended");
        let result = self.result.as_ref();
        let sent = result.is_some_and(|r| r.totals.sent > 0);
        running && (sent || self.progress.as_ref().is_some_and(|p| p.elapsed_s > 0.0))
    }

    /// Seconds since the start of the profile, extrapolated from the latest progress.
    pub fn elapsed_s(&self) -> f64 {
        let Some(p) = &self.progress else {
            return self.result.as_ref().map_or(0.0, |r| r.duration_s);
        };
        let since = self.now.saturating_sub(self.progress_at).min(STALE_AFTER);
        match p.state {
            TestState::Running if p.elapsed_s != 0.0 => {
                let end = p.duration_s.max(p.elapsed_s);
                (p.elapsed_s + since.as_secs_f64()).min(end)
            }
            _ => p.elapsed_s,
        }
    }

    /// Length of the plan in seconds, including pauses; 0 while unknown. A pause of unknown length
    /// counts up to now.
    pub fn duration_s(&self) -> f64 {
        let elapsed = self.elapsed_s();
        if let Some(plan) = self.plan.as_ref().filter(|plan| plan.paused_at(elapsed)) {
            return elapsed + plan.remaining_s(elapsed);
        }
        let reported = self.progress.as_ref().map(|p| p.duration_s);
        let planned = || self.plan.as_ref().map(Plan::length_s);
        reported
            .filter(|d| *d > 0.0)
            .or_else(planned)
            .unwrap_or(0.0)
    }

    /// Time since the latest progress, if it is overdue.
    pub fn stale_for(&self) -> Option<Duration> {
        let age = self.now.saturating_sub(self.progress_at);
        (age >= STALE_AFTER).then_some(age)
    }

    /// Name and term of the coordinator.
    pub fn coordinator(&self) -> Option<(String, u64)> {
        let tenure = self.tenure()?;
        Some((self.nodes.name(&tenure.peer), tenure.term))
    }

    fn tenure(&self) -> Option<&Tenure> {
        let tenures = &self.result.as_ref()?.coordinators;
        tenures.iter().rfind(|tenure| tenure.to_ms.is_none())
    }

    /// The rows of the node list, in the order of display.
    pub fn node_rows(&self) -> Vec<NodeRow> {
        self.nodes
            .rows(self.tenure().map(|tenure| tenure.peer.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::fakes;
    use vajra_plan::Load;

    fn model() -> Model {
        Model::new("t", Role::Watcher)
    }

    #[test]
    fn elapsed_time_is_extrapolated_up_to_the_end_of_the_plan() {
        let mut m = model();
        m.tick(Duration::from_secs(1));
        m.progress(&fakes::progress(29.5, 5_000.0));
        m.tick(Duration::from_millis(1_250));
        assert_eq!(m.elapsed_s(), 29.75);
        m.tick(Duration::from_secs(3));
        assert_eq!(m.elapsed_s(), 30.0);
    }

    #[test]
    fn overdue_progress_is_reported() {
        let mut m = model();
        m.progress(&fakes::progress(1.0, 5_000.0));
        m.tick(Duration::from_secs(2));
        assert_eq!(m.stale_for(), None);
        m.tick(Duration::from_secs(5));
        assert_eq!(m.stale_for(), Some(Duration::from_secs(5)));
        m.progress(&fakes::progress(6.0, 5_000.0));
        assert_eq!(m.stale_for(), None);
    }

    #[test]
    fn the_end_moves_during_a_pause() {
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
    fn load_starts_with_its_profile() {
        let mut m = model();
        assert!(!m.started());
        m.progress(&fakes::progress(-0.4, 0.0));
        assert!(!m.started());
        m.progress(&fakes::progress(0.6, 5_000.0));
        assert!(m.started());
    }

    #[test]
    fn the_coordinator_is_that_of_the_open_tenure() {
        let mut m = model();
        let mut result = fakes::result(&Load::open(10.0, Duration::from_secs(30)));
        let tenure = |term, name: &str, to_ms| Tenure {
            term,
            peer: format!("peer-{name}"),
            name: name.to_owned(),
            from_ms: 0,
            to_ms,
        };
        result.coordinators = vec![tenure(1, "alpha", Some(900)), tenure(2, "beta", None)];
        result.nodes = vec![
            fakes::worker("alpha", 0.5, 1),
            fakes::worker("beta", 0.5, 1),
        ];
        m.result(result);
        assert_eq!(m.coordinator(), Some(("beta".into(), 2)));
        let coordinates: Vec<bool> = m.node_rows().iter().map(|row| row.coordinates).collect();
        assert_eq!(coordinates, [false, true]);
    }
}
