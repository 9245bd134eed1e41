//! The results of all nodes in one report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::requirements::time_of;
use vajra_core::protocol::Digest;
use vajra_core::protocol::preflight::{Check, Finding, PreflightReply};
use vajra_network::RequestFailed;
use vajra_plan::{Metric, Model, Plan, Point, Profile, Task, show_duration};
use vajra_results::preflight::{PreflightNode, PreflightReport};
use vajra_results::units::{count, time};

/// Tolerated difference of wall clocks. They only affect logs and displayed start times; the load
/// runs on other clocks.
const MAX_OFFSET_MS: u64 = 1_000;
/// A lower rate or shorter duration is probably a mistake.
const MIN_LOAD: (f64, Duration) = (1.0, Duration::from_secs(1));
/// Most nodes listed in a text.
const MAX_LISTED: usize = 3;

/// The checks of nodes in display order.
const ORDER: [&str; 9] = [
    "network",
    "plan",
    "able",
    "target",
    "descriptors",
    "ports",
    "memory",
    "cpu",
    "clock",
];

/// A node and its answer.
#[derive(Debug)]
pub struct CheckedNode {
    /// Its peer id.
    pub peer: String,
    /// Its name.
    pub name: String,
    /// It is this node.
    pub is_self: bool,
    /// Its version.
    pub version: String,
    /// Concurrent tasks that it offers.
    pub capacity: u32,
    /// It runs another test.
    pub running: bool,
    /// Its answer.
    pub answer: NodeAnswer,
    /// Milliseconds that its clock is ahead of ours, and the round trip.
    pub clock: Option<(i64, Duration)>,
}

/// The answer of a node.
#[derive(Debug)]
pub enum NodeAnswer {
    /// Not asked: by its advert it takes no part.
    Unfit(String),
    /// Not asked, since there are too many nodes. By its advert it takes part.
    NotAsked,
    /// It checked the plan.
    Checked(PreflightReply),
    /// It is busy, or does not support pre-flight checks.
    Refused(String),
    /// The request failed.
    Failed(RequestFailed),
}

/// What the answers are compared with.
#[derive(Debug)]
pub struct SwarmContext<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its digest.
    pub digest: Digest,
    /// Longest round trip that the protocol timing profile is made for.
    pub round_trip: Duration,
    /// Authority lease of a coordinator.
    pub authority_lease: Duration,
    /// This node's version.
    pub version: &'a str,
}

/// Combines the answers of all nodes.
pub fn report(context: &SwarmContext<'_>, nodes: Vec<CheckedNode>) -> PreflightReport {
    let checked: Vec<(CheckedNode, Vec<Check>)> = nodes
        .into_iter()
        .map(|node| {
            let checks = checks_of(context, &node);
            (node, checks)
        })
        .collect();
    let mut checks = vec![configuration(context.plan)];
    checks.extend(credentials(context.plan));
    // Nodes and their checks by position in ORDER, name and subject.
    let mut groups: BTreeMap<_, Vec<(&str, &Check)>> = BTreeMap::new();
    for (node, of_node) in &checked {
        for check in of_node {
            let position = ORDER.iter().position(|name| *name == check.name);
            let key = (
                position.unwrap_or(ORDER.len()),
                check.name.as_str(),
                check.subject.as_str(),
            );
            groups.entry(key).or_default().push((&node.name, check));
        }
    }
    let nodes: Vec<&CheckedNode> = checked.iter().map(|(node, _)| node).collect();
    checks.push(versions(&nodes, context.version));
    for ((_, name, _), group) in &groups {
        checks.push(match *name {
            "able" => able(context.plan, group),
            _ => combine(group, checked.len() == 1),
        });
    }
    if !groups.keys().any(|(_, name, _)| *name == "able") {
        checks.push(able(context.plan, &[]));
    }
    checks.push(capacity(context.plan, &nodes));
    checks.push(idle(&nodes));
    let verdict = checks.iter().map(|c| c.finding).max();
    PreflightReport {
        schema: 1,
        verdict: verdict.unwrap_or(Finding::Pass).max(Finding::Pass),
        plan: context
            .digest
            .0
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect(),
        checks: checks.into_iter().map(Into::into).collect(),
        nodes: checked
            .into_iter()
            .map(|(node, checks)| PreflightNode {
                able: is_able(&node),
                peer: node.peer,
                name: node.name,
                is_self: node.is_self,
                version: node.version,
                checks: checks.into_iter().map(Into::into).collect(),
            })
            .collect(),
    }
}

fn is_able(node: &CheckedNode) -> bool {
    match &node.answer {
        NodeAnswer::Checked(reply) => reply.able,
        NodeAnswer::NotAsked => true,
        NodeAnswer::Unfit(_) | NodeAnswer::Refused(_) | NodeAnswer::Failed(_) => false,
    }
}

/// The checks of a node, and those that follow from its answer.
fn checks_of(context: &SwarmContext<'_>, node: &CheckedNode) -> Vec<Check> {
    let mut checks = Vec::new();
    match &node.answer {
        NodeAnswer::Unfit(why) => return vec![Check::new("able", Finding::Skip, why)],
        NodeAnswer::NotAsked => {
            return vec![Check::new(
                "able",
                Finding::Pass,
                "takes part according to its advert",
            )];
        }
        NodeAnswer::Refused(why) => checks.push(unanswered(why)),
        // A version without pre-flight checks does not understand the request.
        NodeAnswer::Failed(e @ (RequestFailed::Invalid(_) | RequestFailed::Unsupported))
            if node.version != context.version =>
        {
            let why = format!(
                "version {} does not support the request ({e})",
                node.version
            );
            checks.push(unanswered(&why));
        }
        NodeAnswer::Failed(e) => checks.push(
            Check::new("network", Finding::Fail, e.to_string())
                .hint("stop that node, or restore its connection"),
        ),
        NodeAnswer::Checked(reply) => {
            if !node.is_self {
                checks.push(round_trip(context, node.clock.map(|(_, trip)| trip)));
            }
            checks.extend(reply.checks.iter().cloned());
        }
    }
    if let Some((offset, trip)) = node.clock {
        checks.push(clock(offset, trip));
    }
    checks
}

fn unanswered(why: &str) -> Check {
    Check::new(
        "network",
        Finding::Warn,
        format!("the node was not checked: {why}"),
    )
    .hint("use the same version on all nodes, or retry")
}

fn ms(t: Duration) -> String {
    time(t.as_secs_f64() * 1e3)
}

fn round_trip(context: &SwarmContext<'_>, trip: Option<Duration>) -> Check {
    let Some(trip) = trip else {
        return Check::new(
            "network",
            Finding::Warn,
            "the checks succeeded, but reading the clock timed out",
        )
        .hint("check the network; slow networks need `--timings wan` on all nodes");
    };
    let micros = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX);
    let of = |finding, text| Check::new("network", finding, text).figures(micros, None);
    let hint = "use `--timings wan` on all nodes, or nodes closer to each other";
    match trip {
        t if t > context.authority_lease => of(
            Finding::Fail,
            format!(
                "the round trip of {} exceeds the coordinator's authority lease of {}",
                ms(t),
                ms(context.authority_lease)
            ),
        )
        .hint(hint),
        t if t > context.round_trip => of(
            Finding::Warn,
            format!(
                "the round trip of {} exceeds the {} that the timing profile allows",
                ms(t),
                ms(context.round_trip)
            ),
        )
        .hint(hint),
        t => of(Finding::Pass, format!("round trip {}", ms(t))),
    }
}

fn clock(offset: i64, trip: Duration) -> Check {
    let away = offset.unsigned_abs();
    let within = trip.as_millis() as u64 / 2;
    let text = match offset {
        0 => format!("its wall clock agrees with ours, ±{} ms", within + 1),
        _ => format!(
            "its wall clock is {} {} ours, ±{} ms",
            ms(Duration::from_millis(away)),
            if offset > 0 { "ahead of" } else { "behind" },
            within + 1
        ),
    };
    let certain = away.saturating_sub(within);
    match certain > MAX_OFFSET_MS {
        false => Check::new("clock", Finding::Pass, text),
        true => Check::new("clock", Finding::Warn, text).hint(
            "synchronize it with NTP; the load is not affected, but logs and start times are",
        ),
    }
    .figures(away, None)
}

/// A warning for each literal credential of the plan.
fn credentials(plan: &Plan) -> impl Iterator<Item = Check> {
    let paths = plan.literal_credentials().into_iter();
    paths
        .zip(plan.credential_warnings())
        .map(|(path, text)| Check::new("credentials", Finding::Warn, text).of(&path))
}

/// The plan's load, within the limits.
fn configuration(plan: &Plan) -> Check {
    let load = &plan.load;
    if let Err(e) = plan.validate() {
        return Check::new("configuration", Finding::Fail, e.to_string());
    }
    let (rate, length) = (load.rate.unwrap_or_default(), Profile::of(load).end());
    let level = match load.model {
        Model::Open => format!("{rate}/s (at most 1,000,000)"),
        Model::Closed => format!(
            "{} users (at most 1,000,000)",
            count(load.users.unwrap_or_default().into())
        ),
    };
    let text = format!("{level} for {} (at most 24h)", show_duration(length));
    // With a number of requests, a small load is intended.
    let is_small = load.requests.is_none()
        && (length < MIN_LOAD.1 || load.model == Model::Open && rate < MIN_LOAD.0);
    match is_small {
        false => Check::new("configuration", Finding::Pass, text),
        true => Check::new("configuration", Finding::Warn, text).hint(
            "below 1/s or shorter than 1 s, results are of little use; if intended, set --requests",
        ),
    }
}

fn versions(nodes: &[&CheckedNode], own: &str) -> Check {
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

/// Whether enough nodes take part.
fn able(plan: &Plan, group: &[(&str, &Check)]) -> Check {
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

/// One check over all nodes; `alone` if the swarm has only one node.
fn combine(group: &[(&str, &Check)], alone: bool) -> Check {
    let Some((_, first)) = group.first() else {
        return Check::new("", Finding::Skip, "");
    };
    let all = group.len();
    let bad: Vec<&(&str, &Check)> = group
        .iter()
        .filter(|(_, c)| c.finding >= Finding::Warn)
        .collect();
    let worst = group.iter().map(|(_, c)| c.finding).max();
    let mut finding = worst.unwrap_or(Finding::Skip);
    let check =
        |finding, text: String| Check::new(&first.name, finding, text).of(first.subject.as_str());
    if bad.is_empty() {
        return check(finding, summary(group));
    }
    let one = |(name, check): &(&str, &Check)| match alone {
        true => check.text.clone(),
        false => format!("{name}: {}", check.text),
    };
    let failed = bad
        .iter()
        .filter(|(_, c)| c.finding == Finding::Fail)
        .count();
    let target = first.name == "target";
    // Other nodes still reach the target.
    if target && failed < all {
        finding = Finding::Warn;
    }
    let text = match (all, bad.as_slice()) {
        _ if target && failed == all => {
            // The node's text is `cannot reach TARGET: REASON`.
            let why = first.text.split_once(": ").map_or("", |(_, why)| why);
            format!("no node reaches {}: {why}", first.subject)
        }
        (1, [only]) => one(only),
        _ if target && failed > 0 => {
            format!("{failed} of {all} nodes cannot reach {}", first.subject)
        }
        _ => match common_text(bad.iter().copied()) {
            Some(text) => format!("{} of {all} nodes: {text}", bad.len()),
            None => format!("{} of {all} nodes have different problems", bad.len()),
        },
    };
    let hint = bad
        .iter()
        .map(|(_, c)| c.hint.as_str())
        .find(|h| !h.is_empty());
    let check = check(finding, text).hint(hint.unwrap_or_default());
    match target && failed > 0 && failed < all {
        true => check.hint(
            "requests of these nodes would fail; fix their network, or exclude them: \
             `vajra-node drain NODE`",
        ),
        false => check,
    }
}

/// The text of all checks, if it is the same.
fn common_text<'a>(mut group: impl Iterator<Item = &'a (&'a str, &'a Check)>) -> Option<&'a str> {
    let first = group.next()?.1.text.as_str();
    group.all(|(_, c)| c.text == first).then_some(first)
}

/// The text for checks that passed on all nodes.
fn summary(group: &[(&str, &Check)]) -> String {
    let [(_, first), ..] = group else {
        return String::new();
    };
    if group.len() == 1 && !matches!(first.name.as_str(), "network" | "clock") {
        return first.text.clone();
    }
    let nodes = match group.len() {
        1 => "1 node".to_owned(),
        n => format!("{n} nodes"),
    };
    let values = || group.iter().filter_map(|(_, c)| c.value);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let range = match (low as f64 / 1e3, high as f64 / 1e3) {
        (low, high) if time(low) == time(high) => time(high),
        (low, high) => format!("{} to {}", time(low), time(high)),
    };
    match first.name.as_str() {
        "target" => format!("{nodes} reach {} in {range}", first.subject),
        "network" => {
            let nodes = nodes.replacen("node", "other node", 1);
            format!("{nodes}, round trip {range}")
        }
        "plan" => format!("{nodes} {}", first.text),
        "clock" => format!("wall clocks differ by at most {high} ms"),
        _ => {
            let tightness = |c: &Check| match (c.value, c.limit) {
                (Some(value), Some(limit)) => value as f64 / limit.max(1) as f64,
                _ => 0.0,
            };
            let tightest = group
                .iter()
                .max_by(|(_, a), (_, b)| tightness(a).total_cmp(&tightness(b)));
            match tightest {
                Some((name, check)) if check.value.is_some() => {
                    format!("{nodes}; closest to the limit, {name}: {}", check.text)
                }
                _ => format!("{nodes}; {}: {}", group[0].0, first.text),
            }
        }
    }
}

/// Whether the capacity of the nodes suffices.
fn capacity(plan: &Plan, nodes: &[&CheckedNode]) -> Check {
    let able: Vec<_> = nodes.iter().filter(|n| is_able(n)).collect();
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
fn idle(nodes: &[&CheckedNode]) -> Check {
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

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
