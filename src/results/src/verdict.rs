//! The verdict: whether the generator spoiled the measurement. Such a result is `invalid`; one
//! whose load was partly unsent or late is `degraded`. Every reason gives the condition, the
//! measured value and what to do.

use std::time::Duration;

use super::input::{ResultInput, WorkerInput};
use super::kinds::Verdict;
use super::merge::LagP99;
use super::result::{Event, Totals};
use vajra_core::protocol::event_kind::EventKind;
use vajra_core::protocol::messages::EndReason;
use vajra_plan::Model;

/// Part of the planned arrivals that may be unsent without a lost worker: rounding, and the time
/// between the stops of two workers.
const MAX_UNEXPLAINED: f64 = 0.005;

/// Fewest values for the lag p99 of a single node. With fewer, one delay decides the p99.
const MIN_NODE_SAMPLES: u64 = 200;

/// Most nodes named in a reason.
const MAX_NAMED: usize = 5;

/// The facts that decide the verdict.
pub(super) struct Facts<'a> {
    pub input: &'a ResultInput,
    /// Whether every final snapshot has arrived and could be decoded.
    pub complete: bool,
    pub totals: &'a Totals,
    pub lag: Option<LagP99>,
    /// Each worker's lag, in the order of the workers.
    pub lag_of: &'a [Option<LagP99>],
    pub start_skew: Option<Duration>,
}

/// A verdict with its reasons.
pub(super) struct Judgement {
    pub verdict: Verdict,
    pub reasons: Vec<String>,
}

/// Judges a test. Before its end, the reasons are the conditions that apply at that time.
pub(super) fn judge(facts: &Facts) -> Judgement {
    if let Some(EndReason::Failed(why)) = &facts.input.reason {
        // Every other condition is a consequence of the failure.
        return Judgement {
            verdict: Verdict::Invalid,
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
    let degraded = [lost(facts), unsent(facts), skewed(facts)];
    let verdict = if invalid.iter().any(Option::is_some) {
        Verdict::Invalid
    } else if degraded.iter().any(Option::is_some) {
        Verdict::Degraded
    } else {
        Verdict::Valid
    };
    let found = [uncoordinated(facts)].into_iter().chain(invalid);
    let found = found.chain(degraded).flatten();
    Judgement {
        verdict,
        reasons: found.chain(remarks(facts)).collect(),
    }
}

/// Events that are listed with the reasons but do not change the verdict.
fn remarks(facts: &Facts) -> impl Iterator<Item = String> {
    let remark = |e: &Event| match e.kind {
        EventKind::Threshold => Some(format!("stopped by a threshold: {}", e.text)),
        EventKind::TeardownFailed => Some(e.text.clone()),
        _ => None,
    };
    let unaccounted = (facts.totals.unaccounted > 0).then(|| {
        format!(
            "up to {} iterations that are not counted may have been carried out by a lost worker \
             after its last report",
            facts.totals.unaccounted
        )
    });
    let remarks = facts.input.events.iter().filter_map(remark);
    unaccounted.into_iter().chain(remarks)
}

/// The absence of a coordinator in a running test, its cause and its effect on the load.
fn uncoordinated(facts: &Facts) -> Option<String> {
    let shown = &facts.input.absence.as_ref()?.shown;
    let seconds = |ms: i64| ms as f64 / 1e3;
    let cause = match (shown.silent_electors, shown.electors) {
        (0, _) => String::new(),
        (silent, electors) => {
            format!(": {silent} of {electors} nodes that may vote cannot be reached")
        }
    };
    let load = match shown.load_stopped_ms {
        Some(at) => format!("; the load stopped at {:.1} s", seconds(at)),
        None => String::new(),
    };
    Some(format!(
        "no coordinator since {:.1} s{cause}{load}",
        seconds(shown.since_ms)
    ))
}

fn nothing_sent(facts: &Facts) -> Option<String> {
    let Totals { sent, dropped, .. } = *facts.totals;
    (facts.input.reason.is_some() && sent + dropped == 0).then(|| {
        "no request was sent, so there is no result to evaluate; see the events".to_owned()
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
        "final metrics{of} are missing on this node; another node may have them: query its status \
         of this test with --api ADDR:PORT"
    ))
}

fn lag(facts: &Facts) -> Option<String> {
    let limit = facts.input.plan.limits.lag_p99;
    let p99 = facts.lag.map(|lag| lag.p99).filter(|p99| *p99 > limit)?;
    Some(format!(
        "the generator was late: lag p99 is {:.1} ms, the limit {:.1} ms; use more nodes or engine \
         threads, a lower rate, or dedicated machines",
        ms(p99),
        ms(limit),
    ))
}

fn dropped(facts: &Facts) -> Option<String> {
    let totals = facts.totals;
    let (dropped, planned) = (totals.dropped, totals.planned);
    if part(dropped, planned) <= facts.input.plan.limits.dropped {
        return None;
    }
    let causes = [
        (
            totals.dropped_full,
            "max_in_flight was reached: the target is slower than the load; raise --max-in-flight \
             or add nodes",
        ),
        (
            totals.dropped_late,
            "the generator was too late: add nodes, or free CPU on their machines",
        ),
        (
            totals.dropped_lease,
            "a worker lost its coordinator: check the network between the nodes",
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

/// Nodes with a high lag that the others hide in the merged histogram.
fn saturated(facts: &Facts) -> Option<String> {
    let limit = facts.input.plan.limits.lag_p99;
    if lag(facts).is_some() {
        return None;
    }
    let late = |(_, lag): &(_, &Option<LagP99>)| {
        lag.is_some_and(|lag| lag.p99 > limit && lag.count >= MIN_NODE_SAMPLES)
    };
    let workers = facts.input.workers.iter().zip(facts.lag_of).filter(late);
    let highest = workers.clone().filter_map(|(_, lag)| *lag).map(|l| l.p99);
    let highest = highest.max()?;
    Some(format!(
        "saturated: {} sent late, lag p99 up to {:.1} ms, the limit is {:.1} ms; give it a smaller \
         --capacity or a dedicated machine",
        names(workers.map(|(w, _)| w))?,
        ms(highest),
        ms(limit),
    ))
}

/// Nodes that reported overload, with the planned load at that time.
fn overloaded(facts: &Facts) -> Option<String> {
    let load = &facts.input.plan.load;
    let profile = facts.input.profile();
    let events = facts.input.events.iter();
    let each: Vec<String> = events
        .filter(|e| e.kind == "overloaded")
        .take(MAX_NAMED)
        .map(|e| {
            // A report can arrive after the end of the profile; the load before it is meant.
            let reported = Duration::from_millis(u64::try_from(e.at_ms).unwrap_or_default());
            let at = reported.min(profile.last_due().saturating_sub(Duration::from_millis(1)));
            let planned = match load.model {
                Model::Open => format!("{:.0}/s", profile.rate_at(at)),
                Model::Closed => format!("{} users", profile.users_at(at)),
            };
            format!(
                "{} from {:.1} s on, at a planned load of {planned}",
                name_of(facts, e),
                at.as_secs_f64()
            )
        })
        .collect();
    (!each.is_empty()).then(|| format!("overloaded: {}", each.join("; ")))
}

/// The name of the node that an event concerns.
fn name_of<'a>(facts: &'a Facts, event: &'a Event) -> &'a str {
    let peer = event.peer.as_deref().unwrap_or("a node");
    let mut workers = facts.input.workers.iter();
    workers
        .find(|w| w.peer == peer)
        .map_or(peer, WorkerInput::label)
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
                "{} was lost at {:.1} s (last report at {:.1} s); its load was missing {until}",
                w.label(),
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
        "{}{more}. In total {} unsent, including any that a lost node sent after its last report",
        each.join("; "),
        match facts.totals.unsent {
            1 => "1 request was".to_owned(),
            n => format!("{n} requests were"),
        },
    ))
}

/// The time at which the shares of the other workers grew, in seconds after the start.
fn taken_over(input: &ResultInput, lost_at: Duration) -> Option<f64> {
    let after = i64::try_from(lost_at.as_millis()).unwrap_or(i64::MAX);
    let mut events = input.events.iter();
    let event = events.find(|e| e.kind == "rebalanced" && e.at_ms >= after)?;
    Some(event.at_ms as f64 / 1e3)
}

fn unsent(facts: &Facts) -> Option<String> {
    let Totals {
        unsent, planned, ..
    } = *facts.totals;
    let whole_plan = facts.input.reason == Some(EndReason::Completed)
        && facts.input.plan.load.model == Model::Open;
    let lost = facts.input.lost_a_worker();
    (whole_plan && !lost && part(unsent, planned) > MAX_UNEXPLAINED).then(|| {
        format!(
            "{unsent} of {planned} requests ({:.2} %) were unsent, though no worker was lost; the \
             events show which workers were missing, and when",
            part(unsent, planned) * 100.0,
        )
    })
}

fn skewed(facts: &Facts) -> Option<String> {
    let limit = facts.input.plan.load.max_lateness;
    let skew = facts.start_skew.filter(|skew| *skew > limit)?;
    Some(format!(
        "the workers started {:.1} ms apart, more than the allowed {:.1} ms; check the network \
         between the nodes and their CPU load",
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

/// The names of some workers; none without workers.
fn names<'a>(workers: impl Iterator<Item = &'a WorkerInput>) -> Option<String> {
    let all: Vec<&str> = workers.map(WorkerInput::label).collect();
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
