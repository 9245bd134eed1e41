//! Records a test over time while it runs: an interval is the difference between two samples of
//! the merged metrics.
//!
//! Samples are taken shortly after the instants of the profile at which workers take their
//! snapshots, so an interval contains the work of all workers in it. A report that arrives too
//! late for a sample is counted in the next interval: nothing is lost or counted twice.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::heat_map;
use super::merge::{decode, encode, merged, stats};
use super::result::Totals;
use super::timeline::{MAX_NODE_RATES, MAX_POINTS, Point, Timeline, TimelineNode};
use vajra_core::metrics::{Counters, TimeKind, new_histogram};
use vajra_core::protocol::merge::WorkerMetrics;
use vajra_core::protocol::messages::TestState;

/// Shorter than any interval: two ends that differ by less are the same.
const MIN_INTERVAL_S: f64 = 0.01;

/// The metrics of a test at one instant.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Time after the start of the profile.
    pub at: Duration,
    /// Mean planned arrivals per second since the previous sample; 0 in the closed model and for
    /// scenarios.
    pub planned: f64,
    /// Planned users at this time; 0 in the open model.
    pub users: u32,
    /// The newest snapshot of every worker.
    pub workers: Vec<(TimelineNode, WorkerMetrics)>,
}

/// The sums over all workers at a sample.
#[derive(Clone, Debug)]
struct Sums {
    /// Counters since the start, as one interval.
    counted: Point,
    response: Histogram<u64>,
    lag: Histogram<u64>,
}

/// Requests that a worker had sent at a sample, and its own time of that report.
#[derive(Clone, Copy, Default, Debug)]
struct Sent {
    count: u64,
    elapsed: Duration,
    /// Requests per second in the previous interval.
    rate: f64,
    /// Whether its report was too late for the last sample.
    late: bool,
}

/// An interval with encoded histograms; its percentiles are read on request.
#[derive(Clone, Debug, Default)]
struct Cell {
    /// The counters.
    point: Point,
    response: Option<String>,
    lag: Option<String>,
}

/// A test over time, as recorded by this node.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    nodes: Vec<TimelineNode>,
    sent: Vec<Sent>,
    cells: Vec<Cell>,
    /// Neighbours are merged up to this length, in seconds; 0 at first.
    length_s: f64,
    last: Option<Box<Sums>>,
    lags: BTreeMap<String, f64>,
}

impl Recording {
    /// Records the interval since the previous sample, or since the start, and returns it with its
    /// percentiles. If no time has passed, the difference is added to the previous interval, and
    /// none is returned.
    ///
    /// Decodes two histograms of each worker and step: about 100 µs each.
    pub fn add(&mut self, sample: &Sample) -> Option<Point> {
        let from_s = self.cells.last().map_or(0.0, |c| c.point.to_s);
        let to_s = sample.at.as_secs_f64().max(from_s);
        let metrics = || sample.workers.iter().map(|(_, m)| m);
        let mut counted = Counters::default();
        for step in metrics().flat_map(|m| m.counters()) {
            counted.add(&step.counters);
        }
        let mut lag = new_histogram();
        for (node, metrics) in &sample.workers {
            let own = merged(std::iter::once(metrics), TimeKind::Lag);
            if !own.is_empty() {
                let p99 = own.value_at_quantile(0.99) as f64 / 1e3;
                self.lags.insert(node.peer.clone(), p99);
            }
            // All histograms have the same configuration.
            let _ = lag.add(&own);
        }
        let sums = Sums {
            counted: counters_of(&counted),
            response: merged(metrics(), TimeKind::Response),
            lag,
        };
        let last = self.last.take();
        let before = last.as_deref();
        let mut point = difference(&sums.counted, before.map(|l| &l.counted));
        (point.from_s, point.to_s) = (from_s, to_s);
        (point.planned, point.users) = (sample.planned, sample.users);
        let rates = self.rates(sample);
        point.rate = sum(&rates);
        point.node_rates = rates.into_iter().take(MAX_NODE_RATES).collect();
        let response = recorded_since(&sums.response, before.map(|l| &l.response));
        let lag = recorded_since(&sums.lag, before.map(|l| &l.lag));
        let cell = Cell {
            point: point.clone(),
            response: response.as_ref().and_then(encode),
            lag: lag.as_ref().and_then(encode),
        };
        self.last = Some(Box::new(sums));
        if to_s <= from_s {
            let last = self.cells.last_mut()?;
            last.add(cell);
            return None;
        }
        self.push(cell);
        set_statistics(&mut point, response.as_ref(), lag.as_ref());
        Some(point)
    }

    /// Requests per second of each worker, by its own clock: a late report causes neither a dip nor
    /// a peak, unless it is missing for two samples.
    fn rates(&mut self, sample: &Sample) -> Vec<f64> {
        for (node, metrics) in &sample.workers {
            let at = match self.nodes.iter().position(|n| is_same(n, node)) {
                Some(at) => at,
                None => {
                    self.nodes.push(node.clone());
                    self.sent.push(Sent::default());
                    self.nodes.len() - 1
                }
            };
            if self.nodes[at].name.is_empty() {
                self.nodes[at].name.clone_from(&node.name);
            }
            let count = metrics.counters().iter().map(|s| s.counters.sent).sum();
            let sent = &mut self.sent[at];
            let seconds = metrics.elapsed.saturating_sub(sent.elapsed).as_secs_f64();
            *sent = match seconds > 0.0 {
                true => Sent {
                    count,
                    elapsed: metrics.elapsed,
                    rate: count.saturating_sub(sent.count) as f64 / seconds,
                    late: false,
                },
                false if sent.late || metrics.is_final => Sent { rate: 0.0, ..*sent },
                false => Sent {
                    late: true,
                    ..*sent
                },
            };
        }
        self.sent.iter().map(|s| s.rate).collect()
    }

    /// Adds an interval; if there are too many, neighbours are merged.
    fn push(&mut self, cell: Cell) {
        match self.cells.last_mut() {
            Some(last) if cell.point.to_s - last.point.from_s <= self.length_s * 1.01 => {
                last.add(cell);
            }
            _ => self.cells.push(cell),
        }
        if self.cells.len() > MAX_POINTS {
            let mean = self.cells.last().map_or(0.0, |c| c.point.to_s) / self.cells.len() as f64;
            self.length_s = 2.0 * self.length_s.max(mean);
            self.cells = merge_shorter_than(std::mem::take(&mut self.cells), self.length_s);
        }
    }

    /// This recording with the intervals of another node up to the end of its own first interval,
    /// for display while the test runs. Unlike each of the two recordings, it does not add up to
    /// the result. It has the rates of the nodes that this recording lists.
    pub fn with_start_of(&self, other: &Recording) -> Recording {
        let Some((first, rest)) = self.cells.split_first() else {
            return self.clone();
        };
        let end = first.point.to_s;
        let before = |c: &&Cell| c.point.to_s < end + MIN_INTERVAL_S;
        let mut cells: Vec<Cell> = other.cells.iter().take_while(before).cloned().collect();
        let Some(last) = cells.last_mut() else {
            return self.clone();
        };
        last.point.to_s = end;
        let place = |node: &TimelineNode| self.nodes.iter().position(|n| is_same(n, node));
        let places: Vec<Option<usize>> = other.nodes.iter().map(place).collect();
        for cell in &mut cells {
            let mut rates = vec![0.0; self.nodes.len().min(MAX_NODE_RATES)];
            for (rate, at) in cell.point.node_rates.iter().zip(&places) {
                if let Some(place) = at.and_then(|at| rates.get_mut(at)) {
                    *place = *rate;
                }
            }
            cell.point.node_rates = rates;
        }
        cells.extend(rest.iter().cloned());
        Recording {
            cells,
            ..self.clone()
        }
    }

    /// Adds the nodes of another recording to the list of nodes.
    pub fn add_nodes_of(&mut self, other: &Recording) {
        for node in &other.nodes {
            if !self.nodes.iter().any(|n| is_same(n, node)) {
                self.nodes.push(node.clone());
                self.sent.push(Sent::default());
            }
        }
    }

    /// Whether its intervals add up to the totals of a result.
    pub fn adds_up_to(&self, totals: &Totals) -> bool {
        let sum = |of: fn(&Point) -> u64| {
            self.cells
                .iter()
                .map(|c| of(&c.point))
                .fold(0, u64::saturating_add)
        };
        let [sent, ok] = [sum(|p| p.sent), sum(|p| p.ok)];
        let [failed, dropped] = [sum(|p| p.failed), sum(|p| p.dropped)];
        [sent, ok, failed, dropped] == [totals.sent, totals.ok, totals.failed, totals.dropped]
    }

    /// End of the first interval, in seconds after the start; infinity without intervals.
    pub fn first_end_s(&self) -> f64 {
        self.cells.first().map_or(f64::INFINITY, |c| c.point.to_s)
    }

    /// Whether it has no intervals.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// 99th percentile of each worker's lag since the start, in milliseconds, by peer id.
    pub fn lags(&self) -> &BTreeMap<String, f64> {
        &self.lags
    }

    /// The timeline for storage: all intervals with their histograms, but without the statistics
    /// that are read from them. [`Recording::from_stored`] is the inverse.
    pub fn to_stored(&self, test_id: &str) -> Timeline {
        let stored = |c: &Cell| Point {
            histogram: c.response.clone(),
            lag_histogram: c.lag.clone(),
            ..c.point.clone()
        };
        Timeline {
            schema: 1,
            test_id: test_id.to_owned(),
            state: TestState::Ended,
            nodes: self.nodes.iter().take(MAX_NODE_RATES).cloned().collect(),
            heat_bounds_ms: heat_map::bounds_ms(),
            points: self.cells.iter().map(stored).collect(),
        }
    }

    /// The timeline in at most `points` points (neighbours are merged if there are more), with
    /// histograms on request.
    pub fn timeline(
        &self,
        test_id: &str,
        state: TestState,
        points: usize,
        histograms: bool,
    ) -> Timeline {
        let cells = at_most(self.cells.clone(), points.max(1));
        Timeline {
            schema: 1,
            test_id: test_id.to_owned(),
            state,
            nodes: self.nodes.iter().take(MAX_NODE_RATES).cloned().collect(),
            heat_bounds_ms: heat_map::bounds_ms(),
            points: cells.into_iter().map(|c| c.show(histograms)).collect(),
        }
    }

    /// The recording of a stored timeline, whose points have histograms.
    pub fn from_stored(stored: Timeline) -> Recording {
        let cell = |mut point: Point| Cell {
            response: point.histogram.take(),
            lag: point.lag_histogram.take(),
            point,
        };
        Recording {
            nodes: stored.nodes,
            cells: stored.points.into_iter().map(cell).collect(),
            ..Recording::default()
        }
    }
}

impl Cell {
    /// Merges the following interval into this one.
    fn add(&mut self, next: Cell) {
        let (p, n) = (&mut self.point, next.point);
        let (before, after) = (p.to_s - p.from_s, n.to_s - n.from_s);
        let all = before + after;
        let mean = |a: f64, b: f64| match all > 0.0 {
            true => (a * before + b * after) / all,
            false => b,
        };
        p.rate = mean(p.rate, n.rate);
        p.planned = mean(p.planned, n.planned);
        p.node_rates
            .resize(n.node_rates.len().max(p.node_rates.len()), 0.0);
        let later = n.node_rates.iter().copied().chain(std::iter::repeat(0.0));
        for (rate, later) in p.node_rates.iter_mut().zip(later) {
            *rate = mean(*rate, later);
        }
        (p.to_s, p.users, p.in_flight) = (n.to_s, n.users, n.in_flight);
        add_counts(p, &n);
        self.response = merge_encoded(self.response.take(), next.response);
        self.lag = merge_encoded(self.lag.take(), next.lag);
    }

    fn show(self, histograms: bool) -> Point {
        let mut point = self.point;
        let read = |text: &Option<String>| text.as_deref().and_then(decode);
        set_statistics(
            &mut point,
            read(&self.response).as_ref(),
            read(&self.lag).as_ref(),
        );
        if histograms {
            (point.histogram, point.lag_histogram) = (self.response, self.lag);
        }
        point
    }
}

/// Sets the statistics that are read from an interval's histograms.
fn set_statistics(
    point: &mut Point,
    response: Option<&Histogram<u64>>,
    lag: Option<&Histogram<u64>>,
) {
    point.response_time_ms = response.and_then(stats);
    point.heat = response.map(heat_map::buckets).unwrap_or_default();
    point.lag_p99_ms = lag.map(|h| h.value_at_quantile(0.99) as f64 / 1e3);
}

/// Merges two encoded histograms.
fn merge_encoded(one: Option<String>, other: Option<String>) -> Option<String> {
    let (Some(a), Some(b)) = (&one, &other) else {
        return one.or(other);
    };
    let mut sum = decode(a)?;
    // All histograms have the same configuration.
    let _ = sum.add(&decode(b)?);
    encode(&sum)
}

/// Merges neighbours until at most `most` cells are left: by length, so that intervals stay
/// similar, and if that is not enough, by number.
fn at_most(mut cells: Vec<Cell>, most: usize) -> Vec<Cell> {
    let span = match (cells.first(), cells.last()) {
        (Some(first), Some(last)) => last.point.to_s - first.point.from_s,
        _ => return cells,
    };
    let mut length_s = span / most as f64;
    // After this many doublings, the length exceeds the whole.
    for _ in 0..=most.ilog2() + 1 {
        if cells.len() <= most {
            return cells;
        }
        cells = merge_shorter_than(cells, length_s);
        length_s *= 2.0;
    }
    let group = cells.len().div_ceil(most);
    let mut few: Vec<Cell> = Vec::with_capacity(most);
    for (i, cell) in cells.into_iter().enumerate() {
        match few.last_mut() {
            Some(last) if i % group != 0 => last.add(cell),
            _ => few.push(cell),
        }
    }
    few
}

/// Merges neighbours that are together no longer than `length_s`.
fn merge_shorter_than(cells: Vec<Cell>, length_s: f64) -> Vec<Cell> {
    let mut merged: Vec<Cell> = Vec::with_capacity(cells.len() / 2 + 1);
    for cell in cells {
        match merged.last_mut() {
            Some(last) if cell.point.to_s - last.point.from_s <= length_s * 1.01 => last.add(cell),
            _ => merged.push(cell),
        }
    }
    merged
}

/// The sum of the rates, from the smallest to the largest: the sum of floats depends on the order,
/// and nodes list the workers in different orders.
fn sum(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.iter().sum()
}

fn is_same(a: &TimelineNode, b: &TimelineNode) -> bool {
    a.peer == b.peer && a.incarnation == b.incarnation
}

/// Counters since the start, as one interval.
fn counters_of(counted: &Counters) -> Point {
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    for (key, e) in &counted.errors {
        *errors.entry(key.kind.clone()).or_default() += e.count;
    }
    Point {
        sent: counted.sent,
        ok: counted.ok,
        failed: counted.failed,
        dropped: counted.dropped(),
        checks_failed: counted.checks_failed,
        in_flight: counted.in_flight,
        bytes_sent: counted.bytes_sent,
        bytes_received: counted.bytes_received,
        errors,
        ..Point::default()
    }
}

/// Adds the counters of another interval.
fn add_counts(p: &mut Point, n: &Point) {
    p.sent = p.sent.saturating_add(n.sent);
    p.ok = p.ok.saturating_add(n.ok);
    p.failed = p.failed.saturating_add(n.failed);
    p.dropped = p.dropped.saturating_add(n.dropped);
    p.checks_failed = p.checks_failed.saturating_add(n.checks_failed);
    p.bytes_sent = p.bytes_sent.saturating_add(n.bytes_sent);
    p.bytes_received = p.bytes_received.saturating_add(n.bytes_received);
    for (kind, count) in &n.errors {
        let all = p.errors.entry(kind.clone()).or_default();
        *all = all.saturating_add(*count);
    }
}

/// The difference of the counters of two samples.
fn difference(now: &Point, before: Option<&Point>) -> Point {
    let mut difference = now.clone();
    let Some(before) = before else {
        return difference;
    };
    for (kind, count) in &mut difference.errors {
        let known = before.errors.get(kind).copied().unwrap_or(0);
        *count = count.saturating_sub(known);
    }
    difference.errors.retain(|_, count| *count > 0);
    difference.sent = now.sent.saturating_sub(before.sent);
    difference.ok = now.ok.saturating_sub(before.ok);
    difference.failed = now.failed.saturating_sub(before.failed);
    difference.dropped = now.dropped.saturating_sub(before.dropped);
    difference.checks_failed = now.checks_failed.saturating_sub(before.checks_failed);
    difference.bytes_sent = now.bytes_sent.saturating_sub(before.bytes_sent);
    difference.bytes_received = now.bytes_received.saturating_sub(before.bytes_received);
    difference
}

/// The values recorded between two samples; none if there are none.
fn recorded_since(now: &Histogram<u64>, before: Option<&Histogram<u64>>) -> Option<Histogram<u64>> {
    let mut recorded = now.clone();
    // The earlier sample is contained in the later one, so this cannot fail.
    let subtracted = before.is_none_or(|b| recorded.subtract(b).is_ok());
    (subtracted && !recorded.is_empty()).then_some(recorded)
}
