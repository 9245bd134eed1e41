//! Whether a result is one. A run that the generator itself spoiled is `invalid`; one that
//! lacked load for some time is `degraded`. Every reason says what, how much, and what to do.

use std::time::Duration;

use super::build::{ResultInput, WorkerInput};
use super::merge::LagP99;
use super::result::{Event, Totals};
use vajra_core::metrics::Counters;
use vajra_core::protocol::messages::EndReason;
use vajra_plan::Model;

/// Part of the plan's arrivals that may be missing unexplained: rounding, and the moment
/// between two workers' stops.
const UNEXPLAINED: f64 = 0.005;

/// Fewest values for one node's p99 to say something about that node: with fewer, a single
/// hiccup is its p99.
const NODE_SAMPLES: u64 = 200;

/// Most nodes named in a reason.
const MAX_NAMED: usize = 5;

/// What is judged.
pub(super) struct Facts<'a> {
    pub input: &'a ResultInput,
    /// Every final snapshot is here and could be read.
    pub complete: bool,
    /// The counters of all workers.
    pub counted: &'a Counters,
    pub totals: &'a Totals,
    pub lag: Option<LagP99>,
    /// Each worker's own, in the order of the workers.
    pub lag_of: &'a [Option<LagP99>],
    pub start_skew: Option<Duration>,
}

/// The judgement.
pub(super) struct Judged {
    pub verdict: &'static str,
    pub reasons: Vec<String>,
}

/// Judges an ended test; before its end the reasons say how it looks.
pub(super) fn judge(facts: &Facts) -> Judged {
    if let Some(EndReason::Failed(why)) = &facts.input.reason {
        // What else is missing follows from this.
        return Judged {
            verdict: "invalid",
            reasons: vec![why.clone()],
        };
    }
    let mut invalid = [
        nothing_sent(facts),
        missing(facts),
        lag(facts),
        dropped(facts),
        saturated(facts),
        None,
    ];
    if invalid.iter().any(Option::is_some) {
        invalid[5] = overloaded(facts);
    }
    let degraded = [lost(facts), short(facts), skewed(facts)];
    let verdict = if invalid.iter().any(Option::is_some) {
        "invalid"
    } else if degraded.iter().any(Option::is_some) {
        "degraded"
    } else {
        "valid"
    };
    let found = invalid.into_iter().chain(degraded).flatten();
    Judged {
        verdict,
        reasons: found.chain(on_the_way(facts)).collect(),
    }
}

/// What happened on the way and is to be known, whatever the verdict.
fn on_the_way(facts: &Facts) -> impl Iterator<Item = String> {
    let told = |e: &Event| match e.kind.as_str() {
        "threshold" => Some(format!("stopped by a threshold: {}", e.text)),
        "teardown_failed" => Some(e.text.clone()),
        _ => None,
    };
    facts.input.events.iter().filter_map(told)
}

fn nothing_sent(facts: &Facts) -> Option<String> {
    let Totals { sent, dropped, .. } = *facts.totals;
    (facts.input.reason.is_some() && sent + dropped == 0).then(|| {
        "no request was sent, so there is nothing to judge; the events tell what happened"
            .to_owned()
    })
}

fn missing(facts: &Facts) -> Option<String> {
    if facts.input.reason.is_none() || facts.complete {
        return None;
    }
    let workers = facts.input.workers.iter();
    let without = workers.filter(|w| !w.metrics.is_final && w.lost_at.is_none());
    let of = match names(without) {
        Some(names) => format!(" of {names}"),
        None => String::new(),
    };
    Some(format!(
        "final metrics{of} are missing here; another node may have them: ask one for this test's \
         status with --api ADDR:PORT"
    ))
}

fn lag(facts: &Facts) -> Option<String> {
    let limit = facts.input.plan.limits.lag_p99;
    let p99 = facts.lag.map(|lag| lag.p99).filter(|p99| *p99 > limit)?;
    Some(format!(
        "the generator was late: lag p99 is {:.1} ms, the limit {:.1} ms; use more nodes or engine \
         threads, a lower rate, or machines with nothing else to do",
        ms(p99),
        ms(limit),
    ))
}

fn dropped(facts: &Facts) -> Option<String> {
    let (dropped, planned) = (facts.totals.dropped, facts.totals.planned);
    if part(dropped, planned) <= facts.input.plan.limits.dropped {
        return None;
    }
    let counted = facts.counted;
    let causes = [
        (
            counted.dropped_full,
            "max_in_flight was reached: the target is slower than the load; raise --max-in-flight \
             or add nodes",
        ),
        (
            counted.dropped_late,
            "the generator itself was too late for them: add nodes, or free their machines",
        ),
        (
            counted.dropped_lease,
            "a worker had lost touch with the coordinator: look at the network between the nodes",
        ),
    ];
    let causes = causes.iter().filter(|(n, _)| *n > 0);
    let causes: Vec<String> = causes
        .map(|(n, why)| format!("{n} because {why}"))
        .collect();
    Some(format!(
        "{dropped} of {planned} arrivals ({:.2} %) were not sent: {}",
        part(dropped, planned) * 100.0,
        causes.join("; "),
    ))
}

/// Nodes that were late on their own, where the others hide it in the whole.
fn saturated(facts: &Facts) -> Option<String> {
    let limit = facts.input.plan.limits.lag_p99;
    if lag(facts).is_some() {
        return None;
    }
    let late = |(_, lag): &(_, &Option<LagP99>)| {
        lag.is_some_and(|lag| lag.p99 > limit && lag.count >= NODE_SAMPLES)
    };
    let workers = facts.input.workers.iter().zip(facts.lag_of).filter(late);
    let worst = workers.clone().filter_map(|(_, lag)| *lag).map(|l| l.p99);
    let worst = worst.max()?;
    Some(format!(
        "saturated: {} sent late, lag p99 up to {:.1} ms, the limit is {:.1} ms; give it a smaller \
         --capacity or a machine with nothing else to do",
        names(workers.map(|(w, _)| w))?,
        ms(worst),
        ms(limit),
    ))
}

/// Nodes that said that they had no time left, and at which load that began.
fn overloaded(facts: &Facts) -> Option<String> {
    let load = &facts.input.plan.load;
    let profile = facts.input.profile();
    let began = facts.input.events.iter().filter(|e| e.kind == "overloaded");
    let each: Vec<String> = began
        .take(MAX_NAMED)
        .map(|e| {
            // Told a moment later: what it began with was still the plan's.
            let told = Duration::from_millis(u64::try_from(e.at_ms).unwrap_or_default());
            let at = told.min(profile.last_due().saturating_sub(Duration::from_millis(1)));
            let asked = match load.model {
                Model::Open => format!("{:.0}/s", profile.rate_at(at)),
                Model::Closed => format!("{} users", profile.users_at(at)),
            };
            format!(
                "{} from {:.1} s on, when the plan asked the swarm for {asked}",
                name_of(facts, e),
                at.as_secs_f64()
            )
        })
        .collect();
    (!each.is_empty()).then(|| format!("had no time left: {}", each.join("; ")))
}

/// Whom an event is about.
fn name_of<'a>(facts: &'a Facts, event: &'a Event) -> &'a str {
    let peer = event.peer.as_deref().unwrap_or("a node");
    let mut workers = facts.input.workers.iter();
    workers.find(|w| w.peer == peer).map_or(peer, label)
}

fn lost(facts: &Facts) -> Option<String> {
    let input = facts.input;
    let lost = input.workers.iter().filter_map(|w| Some((w, w.lost_at?)));
    let each: Vec<String> = lost
        .clone()
        .take(MAX_NAMED)
        .map(|(w, at)| {
            let until = match taken_over(input, at) {
                Some(until) => format!("until {until:.1} s, when others took over"),
                None => "from then on".to_owned(),
            };
            format!(
                "{} was lost at {:.1} s (last heard of at {:.1} s); its load was missing {until}",
                label(w),
                at.as_secs_f64(),
                w.metrics.elapsed.min(at).as_secs_f64(),
            )
        })
        .collect();
    let more = match lost.count() {
        0 => return None,
        n if n > MAX_NAMED => format!("; and {} more were lost", n - MAX_NAMED),
        _ => String::new(),
    };
    Some(format!(
        "{}{more}. In all {} are missing, which includes what a lost node sent after its last report",
        each.join("; "),
        requests(facts.totals.short),
    ))
}

/// Seconds after the start at which the others' shares grew.
fn taken_over(input: &ResultInput, lost_at: Duration) -> Option<f64> {
    let after = i64::try_from(lost_at.as_millis()).unwrap_or(i64::MAX);
    let mut events = input.events.iter();
    let event = events.find(|e| e.kind == "rebalanced" && e.at_ms >= after)?;
    Some(event.at_ms as f64 / 1e3)
}

fn short(facts: &Facts) -> Option<String> {
    let Totals { short, planned, .. } = *facts.totals;
    let whole_plan = facts.input.reason == Some(EndReason::Completed)
        && facts.input.plan.load.model == Model::Open;
    let lost = facts.input.workers.iter().any(|w| w.lost_at.is_some());
    (whole_plan && !lost && part(short, planned) > UNEXPLAINED).then(|| {
        format!(
            "the load was short by {} of {planned} ({:.2} %), though no worker was lost; the events \
             tell who was missing when",
            requests(short),
            part(short, planned) * 100.0,
        )
    })
}

fn skewed(facts: &Facts) -> Option<String> {
    let limit = facts.input.plan.load.max_lateness;
    let skew = facts.start_skew.filter(|skew| *skew > limit)?;
    Some(format!(
        "the workers did not start together: {:.1} ms lay between them, at most {:.1} ms are fine; \
         look at the network between the nodes, or at how busy they are",
        ms(skew),
        ms(limit),
    ))
}

fn part(n: u64, whole: u64) -> f64 {
    n as f64 / whole.max(1) as f64
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

fn requests(n: u64) -> String {
    match n {
        1 => "1 request".to_owned(),
        n => format!("{n} requests"),
    }
}

/// What people call a worker.
fn label(w: &WorkerInput) -> &str {
    match w.name.is_empty() {
        true => &w.peer,
        false => &w.name,
    }
}

/// The names of some workers; none if there are none.
fn names<'a>(workers: impl Iterator<Item = &'a WorkerInput>) -> Option<String> {
    let all: Vec<&str> = workers.map(label).collect();
    match all.len() {
        0 => None,
        n if n > MAX_NAMED => Some(format!(
            "{} and {} more",
            all[..MAX_NAMED].join(", "),
            n - MAX_NAMED
        )),
        _ => Some(all.join(", ")),
    }
}
