//! Cost of a swarm by size: no faults, one test, and a meter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use vajra_core::protocol::budget::{COPIES, METRICS_PER_SECOND, most_nodes};

use crate::check::checker::{Checker, run_until};
use crate::check::no_excess_load::NoExcessLoad;
use crate::check::one_authority::OneAuthority;
use crate::scenario::{Faults, SUBMITTED, Scenario};
use crate::size::Topic;
use crate::trace::Trace;
use crate::violation::Violation;
use crate::world::{WHOLE, World};

/// Measurements of a swarm of one size.
#[derive(Debug)]
pub struct Line {
    nodes: usize,
    /// Time from the announcement to the election.
    elected: Option<Duration>,
    /// Time from the announcement to the full load, including the start delay.
    whole: Option<Duration>,
    /// Messages and bytes that a node receives per second during the load.
    traffic: BTreeMap<Topic, (f64, f64)>,
    /// Time from the end of the profile to the end of the test on the last node.
    ended: Option<Duration>,
    /// Time from the end of the profile to the complete result on the last node.
    complete: Option<Duration>,
    /// Age of the newest counters of each worker on one node: median and maximum.
    stale: (Duration, Duration),
    events: u64,
    virtual_time: Duration,
    real: Duration,
}

/// Times of milestones.
#[derive(Debug, Default)]
struct Milestones {
    elected: Option<Duration>,
    whole: Option<Duration>,
    share: Vec<u32>,
    sum: u64,
    ended: Option<Duration>,
    complete: Option<Duration>,
    /// Nodes without the end, and nodes without the complete result.
    open: (usize, usize),
    node_open: Vec<(bool, bool)>,
}

impl Milestones {
    /// Counts the nodes that know the end and have the complete result.
    fn update_end(&mut self, world: &World, machine: usize) {
        if self.node_open.is_empty() {
            let nodes = world.machines.len();
            self.open = (nodes, nodes);
            self.node_open = vec![(true, true); nodes];
        }
        let Some(test) = world.machines[machine].test(world.tests[0].id) else {
            return;
        };
        let open = &mut self.node_open[machine];
        if open.0 && test.ended().is_some() {
            open.0 = false;
            self.open.0 -= 1;
            self.ended = (self.open.0 == 0).then_some(world.now);
        }
        if open.1 && test.complete() {
            open.1 = false;
            self.open.1 -= 1;
            self.complete = (self.open.1 == 0).then_some(world.now);
        }
    }

    fn update(&mut self, world: &World, machine: usize) {
        if self.elected.is_none()
            && world.machines[machine].has_authority(world.tests[0].id, world.now)
        {
            self.elected = Some(world.now - SUBMITTED);
        }
        self.share.resize(world.machines.len(), 0);
        let has = world.machines[machine].sending(0, world.now).count();
        self.sum = self.sum - u64::from(self.share[machine]) + u64::from(has);
        self.share[machine] = has;
        if self.whole.is_none()
            && self.sum == u64::from(WHOLE)
            && let Some(last) = world.tests[0].started_last
        {
            self.whole = Some(world.now.max(last) - SUBMITTED);
        }
    }
}

impl Checker for Milestones {
    fn name(&self) -> &'static str {
        "milestones"
    }

    fn after(&mut self, world: &World, machine: usize) -> Result<(), Violation> {
        if self.whole.is_none() {
            self.update(world, machine);
        }
        self.update_end(world, machine);
        Ok(())
    }
}

fn staleness(world: &World) -> (Duration, Duration) {
    let Some(test) = world.running().find_map(|m| m.test(world.tests[0].id)) else {
        return Default::default();
    };
    let started = world.tests[0].started.unwrap_or_default();
    let workers = test.merge().workers().values();
    let mut ages: Vec<Duration> = workers
        .map(|m| (world.now - started).saturating_sub(m.elapsed))
        .collect();
    ages.sort();
    let at = |part: f64| ages.get((ages.len() as f64 * part) as usize).copied();
    (
        at(0.5).unwrap_or_default(),
        ages.last().copied().unwrap_or_default(),
    )
}

/// Longest time from the end of the profile to the complete result on all nodes.
const ENDING: Duration = Duration::from_secs(60);

/// Measures a swarm of this size during a test of this length.
pub fn measure(nodes: usize, lasts: Duration, seed: u64) -> anyhow::Result<Line> {
    let began = Instant::now();
    let mut scenario = Scenario::from_seed(seed, Some(nodes), Faults::None);
    scenario.plan.length = lasts;
    scenario.submitter = 0;
    let mut world = World::new(scenario, Trace::off());
    // Count once the load is stable.
    let from = SUBMITTED + lasts / 4;
    world.meter.from = Some(from);
    let mut milestones = Milestones::default();
    let run = |world: &mut World, until: Duration, milestones: &mut Milestones| {
        let mut watched: [&mut dyn Checker; 3] = [
            &mut NoExcessLoad::new(0),
            &mut OneAuthority { of: 0 },
            milestones,
        ];
        run_until(world, until, &mut watched).map_err(|v| anyhow::anyhow!("{nodes} nodes: {v}"))
    };
    let until = SUBMITTED + lasts;
    run(&mut world, until, &mut milestones)?;
    let seconds = (until - from).as_secs_f64() * nodes as f64;
    let traffic = std::mem::take(&mut world.meter.sums);
    world.meter.from = None;
    let stale = staleness(&world);
    let end = world.tests[0].started_last.unwrap_or_default() + lasts;
    run(&mut world, end + ENDING, &mut milestones)?;
    let after = |at: Option<Duration>| at.map(|at| at.saturating_sub(end));
    Ok(Line {
        ended: after(milestones.ended),
        complete: after(milestones.complete),
        nodes,
        elected: milestones.elected,
        whole: milestones.whole,
        traffic: traffic
            .iter()
            .map(|(t, (m, b))| (*t, (*m as f64 / seconds, *b as f64 / seconds)))
            .collect(),
        stale,
        events: world.events,
        virtual_time: world.now,
        real: began.elapsed(),
    })
}

fn kib(bytes: f64) -> String {
    format!("{:.1}", bytes / 1024.0)
}

fn seconds(d: Option<Duration>) -> String {
    d.map_or("never".into(), |d| format!("{:.2}", d.as_secs_f64()))
}

/// The table of all measurements.
pub fn table(lines: &[Line]) -> String {
    let mut text = String::from(
        "| nodes | elected s | full load s | adverts KiB/s | tests KiB/s | metrics KiB/s | \
         requests KiB/s | messages/s | staleness p50, worst s | ended, complete s | real s \
         (virtual s) |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for l in lines {
        let of = |t| l.traffic.get(&t).map_or(0.0, |(_, bytes)| *bytes);
        let messages: f64 = l.traffic.values().map(|(m, _)| m).sum();
        let bytes: Vec<String> = Topic::ALL.iter().map(|t| kib(of(*t))).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {messages:.0} | {:.1}, {:.1} | {}, {} | {:.1} ({:.0}) |",
            l.nodes,
            seconds(l.elected),
            seconds(l.whole),
            bytes.join(" | "),
            l.stale.0.as_secs_f64(),
            l.stale.1.as_secs_f64(),
            seconds(l.ended),
            seconds(l.complete),
            l.real.as_secs_f64(),
            l.virtual_time.as_secs_f64(),
        );
    }
    let _ = write!(
        text,
        "\nReceived by each node, {COPIES} copies of every gossip message. Flat gossip stays within \
         {} KiB/s of metrics up to {} nodes, with counters alone every 5 s; {} events in total.\n",
        METRICS_PER_SECOND / 1024,
        most_nodes(),
        lines.iter().map(|l| l.events).sum::<u64>()
    );
    text
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const MARGIN: f64 = 64.0;
const COLOURS: [&str; 4] = ["#0072b2", "#009e73", "#d55e00", "#cc79a7"];

/// Bytes per second by size of the swarm, on logarithmic axes.
pub fn picture(lines: &[Line]) -> String {
    let values = lines
        .iter()
        .flat_map(|l| l.traffic.values().map(|(_, b)| *b));
    let top = values
        .fold(METRICS_PER_SECOND as f64, f64::max)
        .log10()
        .ceil();
    let bottom = 2.0;
    let size = |n: usize| (n.max(1) as f64).log10();
    let left = lines
        .iter()
        .map(|l| size(l.nodes))
        .fold(f64::INFINITY, f64::min);
    let right = lines
        .iter()
        .map(|l| size(l.nodes))
        .fold(0.0, f64::max)
        .max(left + 0.1);
    let x = |n: usize| MARGIN + (size(n) - left) / (right - left) * (WIDTH - 2.5 * MARGIN);
    let y = |bytes: f64| {
        let height = (bytes.max(100.0).log10() - bottom) / (top - bottom);
        HEIGHT - MARGIN - height * (HEIGHT - 1.6 * MARGIN)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"22\" font-size=\"15\">Traffic received per node, by size of the \
         swarm</text>\n"
    );
    for power in bottom as i32..=top as i32 {
        let bytes = 10f64.powi(power);
        let label = match power {
            0..=2 => format!("{bytes} B/s"),
            3..=5 => format!("{} kB/s", bytes / 1e3),
            _ => format!("{} MB/s", bytes / 1e6),
        };
        let at = y(bytes);
        let _ = writeln!(
            svg,
            "<line x1=\"{MARGIN}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            WIDTH - 1.5 * MARGIN,
            MARGIN - 6.0,
            at + 4.0
        );
    }
    for l in lines {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(l.nodes),
            HEIGHT - MARGIN + 20.0,
            l.nodes
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">nodes</text>",
        WIDTH / 2.0,
        HEIGHT - 16.0
    );
    let budget = y(METRICS_PER_SECOND as f64);
    let _ = writeln!(
        svg,
        "<line x1=\"{MARGIN}\" x2=\"{}\" y1=\"{budget:.1}\" y2=\"{budget:.1}\" stroke=\"#000\" \
         stroke-dasharray=\"6 4\"/><text x=\"{}\" y=\"{:.1}\">metrics budget, 1 MiB/s</text>",
        WIDTH - 1.5 * MARGIN,
        MARGIN + 8.0,
        budget - 6.0
    );
    for (topic, colour) in Topic::ALL.iter().zip(COLOURS) {
        let of = |l: &Line| l.traffic.get(topic).map_or(0.0, |(_, b)| *b);
        let points: Vec<String> = lines
            .iter()
            .map(|l| format!("{:.1},{:.1}", x(l.nodes), y(of(l))))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            points.join(" ")
        );
        if let Some(last) = lines.last() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                x(last.nodes) + 8.0,
                y(of(last)) + 4.0,
                topic.name()
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_nodes_elect_share_and_stay_within_the_budget() {
        let line = measure(100, Duration::from_secs(12), 1).expect("no violation");
        assert!(line.elected < Some(Duration::from_secs(2)), "{line:?}");
        assert!(line.elected.is_some(), "{line:?}");
        assert!(line.whole < Some(Duration::from_secs(5)), "{line:?}");
        assert!(line.whole.is_some(), "{line:?}");
        assert!(line.ended < Some(Duration::from_secs(5)), "{line:?}");
        assert!(line.ended.is_some(), "{line:?}");
        assert!(line.complete < Some(Duration::from_secs(8)), "{line:?}");
        assert!(line.complete.is_some(), "{line:?}");
        let metrics = line.traffic[&Topic::Metrics].1;
        assert!(
            (1.0..METRICS_PER_SECOND as f64).contains(&metrics),
            "{line:?}"
        );
        assert!(picture(&[line]).contains("</svg>"));
    }
}
