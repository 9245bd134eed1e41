//! A test over time, written down while it runs: what the merged metrics had grown by at each
//! look.
//!
//! Looks come at the same instants of the profile at which workers measure themselves, a
//! moment later, so an interval holds what all of them did in it. A worker whose report comes
//! too late for a look is in the next interval: nothing is lost or counted twice.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::merge::{added, decode, encode, stats};
use super::result::Totals;
use super::timeline::{MAX_NODE_RATES, MAX_POINTS, Point, Timeline, TimelineNode};
use vajra_core::metrics::{Counters, TimeKind, new_histogram};
use vajra_core::protocol::merge::WorkerMetrics;

/// Buckets of the heat map in a factor of ten of response time.
const HEAT_A_DECADE: u32 = 8;
/// Its lowest bound, in microseconds.
const HEAT_LOWEST_US: f64 = 100.0;
/// Factors of ten from there: up to 100 s.
const HEAT_DECADES: u32 = 6;
/// Shorter than any interval: within it two ends are one.
const LEAST_S: f64 = 0.01;

/// A test at one instant.
#[derive(Clone, Debug)]
pub struct Look {
    /// The instant, after the start of the profile.
    pub at: Duration,
    /// Arrivals a second that the plan asked for since the look before, on average; 0 in the
    /// closed model and for scenarios.
    pub asked: f64,
    /// Users that it asks for then; 0 in the open model.
    pub users: u32,
    /// The newest of what every worker measured.
    pub workers: Vec<(TimelineNode, WorkerMetrics)>,
}

/// The sums of all workers at a look.
#[derive(Clone, Debug)]
struct Sums {
    /// As one interval from the start.
    counted: Point,
    response: Histogram<u64>,
    lag: Histogram<u64>,
}

/// What a worker had sent at a look, and by its own clock when.
#[derive(Clone, Copy, Default, Debug)]
struct Sent {
    count: u64,
    elapsed: Duration,
    /// A second, in the interval before.
    rate: f64,
    /// Its report did not come in time for the last look.
    late: bool,
}

/// An interval; its percentiles are read when somebody asks.
#[derive(Clone, Debug, Default)]
struct Cell {
    /// What was counted.
    point: Point,
    response: Option<String>,
    lag: Option<String>,
}

/// A test over time.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    nodes: Vec<TimelineNode>,
    sent: Vec<Sent>,
    cells: Vec<Cell>,
    /// Intervals are put together up to this length; nothing at first.
    length_s: f64,
    last: Option<Box<Sums>>,
    lags: BTreeMap<String, f64>,
}

impl Recording {
    /// Writes down what the metrics have grown by since the last look, or since the start.
    /// Returns that interval, with its percentiles. Without any time in between it belongs to
    /// the interval before, and none is returned.
    ///
    /// Decodes two histograms of each worker and step: some 100 µs each.
    pub fn take(&mut self, look: &Look) -> Option<Point> {
        let from_s = self.cells.last().map_or(0.0, |c| c.point.to_s);
        let to_s = look.at.as_secs_f64().max(from_s);
        let metrics = || look.workers.iter().map(|(_, m)| m);
        let mut counted = Counters::default();
        for step in metrics().flat_map(|m| m.counters()) {
            counted.add(&step.counters);
        }
        let mut lag = new_histogram();
        for (node, metrics) in &look.workers {
            let own = added(std::iter::once(metrics), TimeKind::Lag);
            if !own.is_empty() {
                let p99 = own.value_at_quantile(0.99) as f64 / 1e3;
                self.lags.insert(node.peer.clone(), p99);
            }
            // Both are of the one configuration.
            let _ = lag.add(&own);
        }
        let sums = Sums {
            counted: told(&counted),
            response: added(metrics(), TimeKind::Response),
            lag,
        };
        let last = self.last.take();
        let before = last.as_deref();
        let mut point = grown(&sums.counted, before.map(|l| &l.counted));
        (point.from_s, point.to_s) = (from_s, to_s);
        (point.asked, point.users) = (look.asked, look.users);
        let rates = self.rates(look);
        point.rate = rates.iter().sum();
        point.node_rates = rates.into_iter().take(MAX_NODE_RATES).collect();
        let response = since(&sums.response, before.map(|l| &l.response));
        let lag = since(&sums.lag, before.map(|l| &l.lag));
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
        read_into(&mut point, response.as_ref(), lag.as_ref());
        Some(point)
    }

    /// What each worker sent a second, by its own clock: a report that comes late makes no dip
    /// and no peak, unless it stays away.
    fn rates(&mut self, look: &Look) -> Vec<f64> {
        for (node, metrics) in &look.workers {
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
            let passed = metrics.elapsed.saturating_sub(sent.elapsed).as_secs_f64();
            *sent = match passed > 0.0 {
                true => Sent {
                    count,
                    elapsed: metrics.elapsed,
                    rate: count.saturating_sub(sent.count) as f64 / passed,
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

    /// Adds an interval; if there are too many, neighbours are put together.
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
            self.cells = thinned(std::mem::take(&mut self.cells), self.length_s);
        }
    }

    /// This recording with the beginning that another node has written down, up to where this
    /// one's first interval ends: what is shown while the test runs. It does not add up to the
    /// result as each of the two does. Rates are shown of nodes that have a place here.
    pub fn beginning_as(&self, other: &Recording) -> Recording {
        let Some((first, rest)) = self.cells.split_first() else {
            return self.clone();
        };
        let end = first.point.to_s;
        let before = |c: &&Cell| c.point.to_s < end + LEAST_S;
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

    /// Gives the nodes of another recording their places here, too.
    pub fn place_nodes_of(&mut self, other: &Recording) {
        for node in &other.nodes {
            if !self.nodes.iter().any(|n| is_same(n, node)) {
                self.nodes.push(node.clone());
                self.sent.push(Sent::default());
            }
        }
    }

    /// Whether its intervals add up to these counts: it is the test over time of that result.
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

    /// When the first interval ends, in seconds after the start; infinity if there is none.
    pub fn begins_s(&self) -> f64 {
        self.cells.first().map_or(f64::INFINITY, |c| c.point.to_s)
    }

    /// Nothing has been written down yet.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// 99th percentile of each worker's lag so far, in milliseconds, by peer id.
    pub fn lags(&self) -> &BTreeMap<String, f64> {
        &self.lags
    }

    /// The test over time as it is kept: all intervals with their histograms, and without
    /// what is read from these. [`Recording::read`] takes it.
    pub fn keep(&self, test_id: &str) -> Timeline {
        let kept = |c: &Cell| Point {
            histogram: c.response.clone(),
            lag_histogram: c.lag.clone(),
            ..c.point.clone()
        };
        Timeline {
            schema: 1,
            test_id: test_id.to_owned(),
            state: "ended".to_owned(),
            nodes: self.nodes.iter().take(MAX_NODE_RATES).cloned().collect(),
            heat_bounds_ms: heat_bounds_us().map(|us| us / 1e3).collect(),
            points: self.cells.iter().map(kept).collect(),
        }
    }

    /// The test over time in at most so many points (if there are more, neighbours are put
    /// together), with their histograms if they are wanted.
    pub fn timeline(
        &self,
        test_id: &str,
        state: &str,
        points: usize,
        histograms: bool,
    ) -> Timeline {
        let cells = fewer(self.cells.clone(), points.max(1));
        Timeline {
            schema: 1,
            test_id: test_id.to_owned(),
            state: state.to_owned(),
            nodes: self.nodes.iter().take(MAX_NODE_RATES).cloned().collect(),
            heat_bounds_ms: heat_bounds_us().map(|us| us / 1e3).collect(),
            points: cells.into_iter().map(|c| c.show(histograms)).collect(),
        }
    }

    /// A recording as it was kept, to be shown again; its points have their histograms.
    pub fn read(kept: Timeline) -> Recording {
        let cell = |mut point: Point| Cell {
            response: point.histogram.take(),
            lag: point.lag_histogram.take(),
            point,
        };
        Recording {
            nodes: kept.nodes,
            cells: kept.points.into_iter().map(cell).collect(),
            ..Recording::default()
        }
    }
}

impl Cell {
    /// Adds the interval that follows.
    fn add(&mut self, next: Cell) {
        let (p, n) = (&mut self.point, next.point);
        let (before, after) = (p.to_s - p.from_s, n.to_s - n.from_s);
        let all = before + after;
        let mean = |a: f64, b: f64| match all > 0.0 {
            true => (a * before + b * after) / all,
            false => b,
        };
        p.rate = mean(p.rate, n.rate);
        p.asked = mean(p.asked, n.asked);
        p.node_rates
            .resize(n.node_rates.len().max(p.node_rates.len()), 0.0);
        let later = n.node_rates.iter().copied().chain(std::iter::repeat(0.0));
        for (rate, later) in p.node_rates.iter_mut().zip(later) {
            *rate = mean(*rate, later);
        }
        (p.to_s, p.users, p.in_flight) = (n.to_s, n.users, n.in_flight);
        add_counts(p, &n);
        self.response = put_together(self.response.take(), next.response);
        self.lag = put_together(self.lag.take(), next.lag);
    }

    fn show(self, histograms: bool) -> Point {
        let mut point = self.point;
        let read = |text: &Option<String>| text.as_deref().and_then(decode);
        read_into(
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

/// What is read from an interval's histograms.
fn read_into(point: &mut Point, response: Option<&Histogram<u64>>, lag: Option<&Histogram<u64>>) {
    point.response_time_ms = response.and_then(stats);
    point.heat = response.map(heat).unwrap_or_default();
    point.lag_p99_ms = lag.map(|h| h.value_at_quantile(0.99) as f64 / 1e3);
}

fn put_together(one: Option<String>, other: Option<String>) -> Option<String> {
    let (Some(a), Some(b)) = (&one, &other) else {
        return one.or(other);
    };
    let mut sum = decode(a)?;
    // Both are of the one configuration.
    let _ = sum.add(&decode(b)?);
    encode(&sum)
}

/// Puts neighbours together until there are no more than so many: by their length, so that
/// intervals stay alike, and where that does not help, by their number.
fn fewer(mut cells: Vec<Cell>, most: usize) -> Vec<Cell> {
    let span = match (cells.first(), cells.last()) {
        (Some(first), Some(last)) => last.point.to_s - first.point.from_s,
        _ => return cells,
    };
    let mut length_s = span / most as f64;
    // Doubling a part of the whole so often makes it longer than the whole.
    for _ in 0..=most.ilog2() + 1 {
        if cells.len() <= most {
            return cells;
        }
        cells = thinned(cells, length_s);
        length_s *= 2.0;
    }
    let together = cells.len().div_ceil(most);
    let mut few: Vec<Cell> = Vec::with_capacity(most);
    for (i, cell) in cells.into_iter().enumerate() {
        match few.last_mut() {
            Some(last) if i % together != 0 => last.add(cell),
            _ => few.push(cell),
        }
    }
    few
}

/// Puts neighbours together that are no longer than this.
fn thinned(cells: Vec<Cell>, length_s: f64) -> Vec<Cell> {
    let mut thin: Vec<Cell> = Vec::with_capacity(cells.len() / 2 + 1);
    for cell in cells {
        match thin.last_mut() {
            Some(last) if cell.point.to_s - last.point.from_s <= length_s * 1.01 => last.add(cell),
            _ => thin.push(cell),
        }
    }
    thin
}

fn is_same(a: &TimelineNode, b: &TimelineNode) -> bool {
    a.peer == b.peer && a.incarnation == b.incarnation
}

/// What was counted, as an interval tells it.
fn told(counted: &Counters) -> Point {
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

/// Adds what was counted in another interval.
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

/// What was counted since.
fn grown(now: &Point, before: Option<&Point>) -> Point {
    let mut grown = now.clone();
    let Some(before) = before else {
        return grown;
    };
    for (kind, count) in &mut grown.errors {
        let known = before.errors.get(kind).copied().unwrap_or(0);
        *count = count.saturating_sub(known);
    }
    grown.errors.retain(|_, count| *count > 0);
    grown.sent = now.sent.saturating_sub(before.sent);
    grown.ok = now.ok.saturating_sub(before.ok);
    grown.failed = now.failed.saturating_sub(before.failed);
    grown.dropped = now.dropped.saturating_sub(before.dropped);
    grown.checks_failed = now.checks_failed.saturating_sub(before.checks_failed);
    grown.bytes_sent = now.bytes_sent.saturating_sub(before.bytes_sent);
    grown.bytes_received = now.bytes_received.saturating_sub(before.bytes_received);
    grown
}

/// What was recorded since; none if nothing was.
fn since(now: &Histogram<u64>, before: Option<&Histogram<u64>>) -> Option<Histogram<u64>> {
    let mut grown = now.clone();
    // What was merged earlier is part of what is merged now, so this cannot fail.
    let subtracted = before.is_none_or(|b| grown.subtract(b).is_ok());
    (subtracted && !grown.is_empty()).then_some(grown)
}

fn heat_bounds_us() -> impl Iterator<Item = f64> {
    let steps = 0..=HEAT_DECADES * HEAT_A_DECADE;
    steps.map(|i| HEAT_LOWEST_US * 10f64.powf(f64::from(i) / f64::from(HEAT_A_DECADE)))
}

/// Response times by bucket.
fn heat(h: &Histogram<u64>) -> Vec<(u16, u64)> {
    let bounds: Vec<f64> = heat_bounds_us().collect();
    let mut heat: BTreeMap<u16, u64> = BTreeMap::new();
    for value in h.iter_recorded() {
        let us = value.value_iterated_to() as f64;
        let bucket = bounds.partition_point(|bound| *bound < us);
        *heat.entry(bucket as u16).or_default() += value.count_since_last_iteration();
    }
    heat.into_iter().collect()
}
