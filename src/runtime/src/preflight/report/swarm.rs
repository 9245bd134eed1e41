//! The checks of the swarm as a whole.

use std::collections::BTreeSet;
use std::time::Duration;

use super::input::{CheckedNode, NodeAnswer};
use super::text::{common_text, ms};
use crate::preflight::requirements::time_of;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_plan::{Metric, Model, Plan, Point, Task};
use vajra_results::units::count;

/// Most nodes listed in a text.
const MAX_LISTED: usize = 3;

/// Whether all nodes have the same version.
pub fn versions(nodes: &[&CheckedNode], own: &str) -> Check {
    let others: Vec<_> = nodes.iter().filter(|n| n.version != own).collect();
    if others.is_empty() {
        return Check::new("versions", Finding::Pass, format!("{own} on all nodes"));
    }
    let listed = others
        .iter()
        .take(MAX_LISTED)
        .map(|n| format!("{} has {}", n.name, n.version));
    let text = format!(
        "{}; this node has {own}{}",
        listed.collect::<Vec<_>>().join(", "),
        more(others.len())
    );
    Check::new("versions", Finding::Warn, text).hint("use the same version on all nodes")
}

fn more(all: usize) -> String {
    match all.saturating_sub(MAX_LISTED) {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    }
}

/// Whether the capacity of the nodes suffices.
pub fn capacity(plan: &Plan, nodes: &[&CheckedNode]) -> Check {
    let able: Vec<_> = nodes.iter().filter(|n| n.is_able()).collect();
    let available: u64 = able.iter().map(|n| u64::from(n.capacity)).sum();
    let connecting = able.iter().filter_map(|n| match &n.answer {
        NodeAnswer::Checked(reply) => {
            let targets = reply.checks.iter().filter(|c| c.name == "target");
            targets.filter_map(|c| c.value).max()
        }
        _ => None,
    });
    let quickest = connecting.min().map(Duration::from_micros);
    let (needed, why) = match plan.load.model {
        Model::Closed => {
            let users = u64::from(plan.load.users.unwrap_or_default());
            (users, format!("{} users", count(users)))
        }
        Model::Open => {
            let rate = plan.load.rate.unwrap_or_default();
            let (each, basis) = match (&plan.task, expected_time(plan), quickest) {
                (Task::Sleep { .. } | Task::Cpu { .. }, ..) => (Duration::ZERO, "the plan"),
                (_, Some(expected), _) => (expected, "a threshold"),
                (_, None, Some(quickest)) => (quickest, "the shortest round trip to a target"),
                (_, None, None) => {
                    return Check::new("capacity", Finding::Skip, "no target answers");
                }
            };
            let each = time_of(&plan.task, each);
            let needed = (rate * each.as_secs_f64()).ceil() as u64;
            (needed, format!("{rate}/s × {} ({basis})", ms(each)))
        }
    };
    let text = format!(
        "{why}: {} at once, of {} that the nodes offer",
        count(needed),
        count(available)
    );
    match needed > available {
        false => Check::new("capacity", Finding::Pass, text),
        true => Check::new("capacity", Finding::Warn, text)
            .hint("start more nodes, or raise --capacity"),
    }
    .figures(needed, Some(available))
}

/// Expected response time, from thresholds on the mean or median.
fn expected_time(plan: &Plan) -> Option<Duration> {
    let is_central = |m: Metric| {
        matches!(
            m,
            Metric::Response(Point::P50 | Point::Mean) | Metric::Service(Point::P50 | Point::Mean)
        )
    };
    let whole = plan.thresholds.iter().filter(|t| t.scope.is_none());
    let bounds = whole
        .filter(|t| is_central(t.metric))
        .filter_map(|t| t.most());
    let least = bounds.min_by(f64::total_cmp)?;
    Duration::try_from_secs_f64(least / 1e3).ok()
}

/// Whether another test is running.
pub fn idle(nodes: &[&CheckedNode]) -> Check {
    let busy: BTreeSet<&str> = nodes
        .iter()
        .filter(|n| n.running)
        .map(|n| n.name.as_str())
        .collect();
    if busy.is_empty() {
        return Check::new("idle", Finding::Pass, "no other test is running");
    }
    let listed: Vec<_> = busy.iter().take(MAX_LISTED).copied().collect();
    let text = format!(
        "another test is running on {}{}",
        listed.join(", "),
        more(busy.len())
    );
    Check::new("idle", Finding::Warn, text)
        .hint("each would affect the other's results; `vajra-node tests` lists them")
}

/// Whether enough nodes take part.
pub fn able(plan: &Plan, group: &[(&str, &Check)]) -> Check {
    let takes_part = |c: &Check| c.finding == Finding::Pass;
    let able = group.iter().filter(|(_, c)| takes_part(c)).count();
    let least = plan.swarm.min_workers as usize;
    let of = |finding, text: String| {
        Check::new("able", finding, text).figures(least as u64, Some(able as u64))
    };
    let unable = match group {
        [] => "no node answers".to_owned(),
        [(name, only)] => format!("{name}: {}", only.text),
        several => match common_text(several.iter()) {
            Some(text) => format!("each of {} nodes: {text}", several.len()),
            None => format!("none of {} nodes can take part", several.len()),
        },
    };
    let unable_ones = group.iter().any(|(_, c)| c.finding == Finding::Warn);
    match able {
        0 => of(Finding::Fail, format!("no able worker: {unable}")).hint(
            "start nodes that can take part, or change swarm.where, the target or --allow-target",
        ),
        n if n < least => of(
            Finding::Fail,
            format!(
                "{n} of {} nodes can take part, but {least} are required",
                group.len()
            ),
        )
        .hint("start more nodes, or lower swarm.min_workers (--min-workers)"),
        n if unable_ones => of(
            Finding::Warn,
            format!(
                "{n} of {} nodes take part and carry the whole load",
                group.len()
            ),
        ),
        n => of(
            Finding::Pass,
            format!(
                "{n} of {} nodes take part, at least {least} required",
                group.len()
            ),
        ),
    }
}
