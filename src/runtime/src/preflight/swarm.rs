//! What all nodes found, as one report. Facts in, findings out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::part::time_of;
use vajra_core::protocol::Digest;
use vajra_core::protocol::preflight::{Check, Finding, PreflightReply};
use vajra_network::RequestFailed;
use vajra_plan::{Metric, Model, Plan, Point, Profile, Task, show_duration};
use vajra_results::preflight::{PreflightNode, PreflightReport};
use vajra_results::units::{count, time};

/// Wall clocks may differ by so much before it is worth a word. The load has a clock of its
/// own; only logs and the time of the start are told by these.
const MAX_OFFSET_MS: u64 = 1_000;
/// A plan below these is rather a mistake than a load; shorter ones tell little.
const FEW: (f64, Duration) = (1.0, Duration::from_secs(1));
/// Nodes that are named where many have the same to say.
const NAMED: usize = 3;

/// The checks of nodes, in the order in which they are shown.
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

/// A node that was asked, or this one.
#[derive(Debug)]
pub struct Asked {
    /// Its peer id.
    pub peer: String,
    /// Its name.
    pub name: String,
    /// It is this one.
    pub is_self: bool,
    /// Its version.
    pub version: String,
    /// Tasks that it can run at once.
    pub capacity: u32,
    /// It carries load already.
    pub running: bool,
    /// What came of it.
    pub answer: Answer,
    /// Its clock: how far it is ahead of ours in milliseconds, and how long a packet takes
    /// there and back.
    pub clock: Option<(i64, Duration)>,
}

/// What came of a question.
#[derive(Debug)]
pub enum Answer {
    /// It was not asked: by its own word it takes no part.
    Unfit(String),
    /// It was not asked: there are too many. By its own word it takes part.
    NotAsked,
    /// What it found.
    Found(PreflightReply),
    /// It answered something else: it is busy, or does not know such a question.
    Refused(String),
    /// Nothing.
    Failed(RequestFailed),
}

/// What the whole swarm is held against.
#[derive(Debug)]
pub struct Swarm<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its digest.
    pub digest: Digest,
    /// The longest round trip that the clockwork is meant for.
    pub round_trip: Duration,
    /// How long authority lasts.
    pub authority_lease: Duration,
    /// This node's version.
    pub version: &'a str,
}

/// A warning for each literal credential of the plan.
fn credentials(plan: &Plan) -> impl Iterator<Item = Check> {
    let paths = plan.literal_credentials().into_iter();
    paths
        .zip(plan.credential_warnings())
        .map(|(path, text)| Check::new("credentials", Finding::Warn, text).of(&path))
}

/// The report of all nodes.
pub fn report(swarm: &Swarm<'_>, asked: Vec<Asked>) -> PreflightReport {
    let found: Vec<(Asked, Vec<Check>)> = asked
        .into_iter()
        .map(|a| {
            let checks = checks_of(swarm, &a);
            (a, checks)
        })
        .collect();
    let mut checks = vec![configuration(swarm.plan)];
    checks.extend(credentials(swarm.plan));
    // By the place in ORDER, name and subject: who found what.
    let mut groups: BTreeMap<_, Vec<(&str, &Check)>> = BTreeMap::new();
    for (node, mine) in &found {
        for check in mine {
            let place = ORDER.iter().position(|name| *name == check.name);
            let key = (
                place.unwrap_or(ORDER.len()),
                check.name.as_str(),
                check.subject.as_str(),
            );
            groups.entry(key).or_default().push((&node.name, check));
        }
    }
    let nodes: Vec<&Asked> = found.iter().map(|(a, _)| a).collect();
    checks.push(versions(&nodes, swarm.version));
    for ((_, name, _), group) in &groups {
        checks.push(match *name {
            "able" => able(swarm.plan, group),
            _ => over_all(group, found.len() == 1),
        });
    }
    if !groups.keys().any(|(_, name, _)| *name == "able") {
        checks.push(able(swarm.plan, &[]));
    }
    checks.push(capacity(swarm.plan, &nodes));
    checks.push(idle(&nodes));
    let verdict = checks.iter().map(|c| c.finding).max();
    PreflightReport {
        schema: 1,
        verdict: verdict.unwrap_or(Finding::Pass).max(Finding::Pass),
        plan: swarm.digest.0.iter().map(|b| format!("{b:02x}")).collect(),
        checks: checks.into_iter().map(Into::into).collect(),
        nodes: found
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

fn is_able(node: &Asked) -> bool {
    match &node.answer {
        Answer::Found(reply) => reply.able,
        Answer::NotAsked => true,
        Answer::Unfit(_) | Answer::Refused(_) | Answer::Failed(_) => false,
    }
}

/// What a node found, and what its answer tells besides.
fn checks_of(swarm: &Swarm<'_>, node: &Asked) -> Vec<Check> {
    let mut checks = Vec::new();
    match &node.answer {
        Answer::Unfit(why) => return vec![Check::new("able", Finding::Skip, why)],
        Answer::NotAsked => {
            return vec![Check::new(
                "able",
                Finding::Pass,
                "takes part by its own word",
            )];
        }
        Answer::Refused(why) => checks.push(unanswered(why)),
        // A version without pre-flight drops what it does not know.
        Answer::Failed(e @ (RequestFailed::Invalid(_) | RequestFailed::Unsupported))
            if node.version != swarm.version =>
        {
            let why = format!("version {} does not know this question ({e})", node.version);
            checks.push(unanswered(&why));
        }
        Answer::Failed(e) => checks.push(
            Check::new("network", Finding::Fail, e.to_string())
                .hint("end that node, or connect it again"),
        ),
        Answer::Found(reply) => {
            if !node.is_self {
                checks.push(round_trip(swarm, node.clock.map(|(_, trip)| trip)));
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
        format!("it was not looked at: {why}"),
    )
    .hint("use the same version on all nodes, or try again")
}

fn ms(t: Duration) -> String {
    time(t.as_secs_f64() * 1e3)
}

fn round_trip(swarm: &Swarm<'_>, trip: Option<Duration>) -> Check {
    let Some(trip) = trip else {
        return Check::new(
            "network",
            Finding::Warn,
            "it found its answer, but took too long to tell its time",
        )
        .hint("check the network in between; slow ones need `--timings wan` on all nodes");
    };
    let micros = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX);
    let of = |finding, text| Check::new("network", finding, text).figures(micros, None);
    let hint = "use `--timings wan` on all nodes, or nodes that are nearer";
    match trip {
        t if t > swarm.authority_lease => of(
            Finding::Fail,
            format!(
                "a round trip takes {}, longer than a coordinator's authority lasts ({})",
                ms(t),
                ms(swarm.authority_lease)
            ),
        )
        .hint(hint),
        t if t > swarm.round_trip => of(
            Finding::Warn,
            format!(
                "a round trip takes {}, and these timings are meant for at most {}",
                ms(t),
                ms(swarm.round_trip)
            ),
        )
        .hint(hint),
        t => of(Finding::Pass, format!("a round trip takes {}", ms(t))),
    }
}

fn clock(offset: i64, trip: Duration) -> Check {
    let away = offset.unsigned_abs();
    let within = trip.as_millis() as u64 / 2;
    let text = match offset {
        0 => format!("its wall clock is ours, within {} ms", within + 1),
        _ => format!(
            "its wall clock is {} {} of ours, within {} ms",
            ms(Duration::from_millis(away)),
            if offset > 0 { "ahead" } else { "behind" },
            within + 1
        ),
    };
    let certain = away.saturating_sub(within);
    match certain > MAX_OFFSET_MS {
        false => Check::new("clock", Finding::Pass, text),
        true => Check::new("clock", Finding::Warn, text)
            .hint("set it by NTP; the load is not affected, but logs and times of starts are"),
    }
    .figures(away, None)
}

/// What the plan asks for, which has been checked against the limits when it was read.
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
    // A number of requests says that so few are meant.
    let few =
        load.requests.is_none() && (length < FEW.1 || load.model == Model::Open && rate < FEW.0);
    match few {
        false => Check::new("configuration", Finding::Pass, text),
        true => Check::new("configuration", Finding::Warn, text).hint(
            "it is below 1/s or shorter than 1 s, which tells little; say --requests if it is meant",
        ),
    }
}

fn versions(nodes: &[&Asked], own: &str) -> Check {
    let others: Vec<_> = nodes.iter().filter(|n| n.version != own).collect();
    if others.is_empty() {
        return Check::new("versions", Finding::Pass, format!("{own} on all nodes"));
    }
    let named = others
        .iter()
        .take(NAMED)
        .map(|n| format!("{} has {}", n.name, n.version));
    let text = format!(
        "{}, and this node {own}{}",
        named.collect::<Vec<_>>().join(", "),
        more(others.len())
    );
    Check::new("versions", Finding::Warn, text).hint("use the same version on all nodes")
}

fn more(all: usize) -> String {
    match all.saturating_sub(NAMED) {
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
        [] => "nobody answers".to_owned(),
        [(name, only)] => format!("{name}: {}", only.text),
        several => match alike(several.iter()) {
            Some(text) => format!("each of {} nodes: {text}", several.len()),
            None => format!("none of {} nodes can take part", several.len()),
        },
    };
    let willing = group.iter().any(|(_, c)| c.finding == Finding::Warn);
    match able {
        0 => of(Finding::Fail, format!("no able worker: {unable}")).hint(
            "start nodes that can take part, or change swarm.where, the target or what the nodes allow",
        ),
        n if n < least => of(
            Finding::Fail,
            format!("{n} of {} nodes can take part, and {least} are asked for", group.len()),
        )
        .hint("start more nodes, or lower swarm.min_workers (--min-workers)"),
        n if willing => of(
            Finding::Warn,
            format!("{n} of {} nodes take part; the others leave their share to them", group.len()),
        ),
        n => of(
            Finding::Pass,
            format!("{n} of {} nodes take part, at least {least} must", group.len()),
        ),
    }
}

/// One check over all nodes that made it; `alone` if there is but one node at all.
fn over_all(group: &[(&str, &Check)], alone: bool) -> Check {
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
    let about =
        |finding, text: String| Check::new(&first.name, finding, text).of(first.subject.as_str());
    if bad.is_empty() {
        return about(finding, summary(group));
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
    // The others carry their part to where it should go.
    if target && failed < all {
        finding = Finding::Warn;
    }
    let text = match (all, bad.as_slice()) {
        _ if target && failed == all => {
            // What the node says begins with the target's name.
            let why = first.text.split_once(": ").map_or("", |(_, why)| why);
            format!("no node reaches {}: {why}", first.subject)
        }
        (1, [only]) => one(only),
        _ if target && failed > 0 => {
            format!("{failed} of {all} nodes can't reach {}", first.subject)
        }
        _ => match alike(bad.iter().copied()) {
            Some(text) => format!("{} of {all} nodes: {text}", bad.len()),
            None => format!("{} of {all} nodes have something to say", bad.len()),
        },
    };
    let hint = bad
        .iter()
        .map(|(_, c)| c.hint.as_str())
        .find(|h| !h.is_empty());
    let check = about(finding, text).hint(hint.unwrap_or_default());
    match target && failed > 0 && failed < all {
        true => check.hint(
            "what these nodes send would fail; give them a way there, or leave them out: \
             `vajra-node drain NODE`",
        ),
        false => check,
    }
}

/// What all of them say, if it is the same.
fn alike<'a>(mut group: impl Iterator<Item = &'a (&'a str, &'a Check)>) -> Option<&'a str> {
    let first = group.next()?.1.text.as_str();
    group.all(|(_, c)| c.text == first).then_some(first)
}

/// What nodes found that are content.
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
        "network" => format!("{nodes} besides this one, a round trip takes {range}"),
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
                    format!("{nodes}; the tightest, {name}: {}", check.text)
                }
                _ => format!("{nodes}; {}: {}", group[0].0, first.text),
            }
        }
    }
}

/// Whether the nodes can do so much at once.
fn capacity(plan: &Plan, nodes: &[&Asked]) -> Check {
    let able: Vec<_> = nodes.iter().filter(|n| is_able(n)).collect();
    let there: u64 = able.iter().map(|n| u64::from(n.capacity)).sum();
    let connecting = able.iter().filter_map(|n| match &n.answer {
        Answer::Found(reply) => {
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
            let (each, basis) = match (&plan.task, hoped(plan), quickest) {
                (Task::Sleep { .. } | Task::Cpu { .. }, ..) => (Duration::ZERO, "by the plan"),
                (_, Some(hoped), _) => (hoped, "as a threshold hopes"),
                (_, None, Some(quickest)) => (quickest, "a round trip to the target, the least"),
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
        "{why}: {} at once, of {} tasks that the nodes offer",
        count(needed),
        count(there)
    );
    match needed > there {
        false => Check::new("capacity", Finding::Pass, text),
        true => Check::new("capacity", Finding::Warn, text)
            .hint("start more nodes; --capacity says what one can do"),
    }
    .figures(needed, Some(there))
}

/// What a response takes where a threshold says how it is in the middle.
fn hoped(plan: &Plan) -> Option<Duration> {
    let middle = |m: Metric| {
        matches!(
            m,
            Metric::Response(Point::P50 | Point::Mean) | Metric::Service(Point::P50 | Point::Mean)
        )
    };
    let whole = plan.thresholds.iter().filter(|t| t.scope.is_none());
    let bounds = whole.filter(|t| middle(t.metric)).filter_map(|t| t.most());
    let least = bounds.min_by(f64::total_cmp)?;
    Duration::try_from_secs_f64(least / 1e3).ok()
}

/// Whether another test is running.
fn idle(nodes: &[&Asked]) -> Check {
    let busy: BTreeSet<&str> = nodes
        .iter()
        .filter(|n| n.running)
        .map(|n| n.name.as_str())
        .collect();
    if busy.is_empty() {
        return Check::new("idle", Finding::Pass, "no other test is running");
    }
    let named: Vec<_> = busy.iter().take(NAMED).copied().collect();
    let text = format!(
        "another test is running on {}{}",
        named.join(", "),
        more(busy.len())
    );
    Check::new("idle", Finding::Warn, text)
        .hint("each would be measured with the other; `vajra-node tests` lists them")
}

#[cfg(test)]
#[path = "swarm_tests.rs"]
mod tests;
