//! Whether a result is one. A run that the generator itself spoiled is `invalid`; one that
//! lacked load for some time is `degraded`.

use std::time::Duration;

use super::compose::ResultInput;
use super::result::Totals;
use crate::plan::Model;
use crate::protocol::messages::EndReason;

/// What is judged.
pub(super) struct Facts<'a> {
    pub input: &'a ResultInput,
    pub totals: &'a Totals,
    pub lag_p99: Option<Duration>,
    pub duration: Duration,
}

/// The judgement.
pub(super) struct Judged {
    pub verdict: &'static str,
    pub reasons: Vec<String>,
}

/// Part of the plan's arrivals that may be missing unexplained: rounding, and the moment
/// between two workers' stops.
const UNEXPLAINED: f64 = 0.005;

/// Judges an ended test; before its end the reasons say how it looks.
pub(super) fn judge(facts: &Facts) -> Judged {
    let (mut invalid, mut degraded) = (Vec::new(), Vec::new());
    let input = facts.input;
    if let Some(EndReason::Failed(why)) = &input.reason {
        // What else is missing follows from this.
        return Judged {
            verdict: "invalid",
            reasons: vec![why.clone()],
        };
    }
    if input.reason.is_some() && !input.complete {
        let missing = input
            .workers
            .iter()
            .filter(|w| !w.metrics.is_final)
            .map(|w| w.name.as_str());
        let missing: Vec<&str> = missing.collect();
        invalid.push(match missing.is_empty() {
            true => "final metrics are missing; another node may have them: ask it for this test's status".into(),
            false => format!("final metrics are missing of {}", missing.join(", ")),
        });
    }
    lag(facts, &mut invalid);
    dropped(facts, &mut invalid);
    lost(facts, &mut degraded);
    let verdict = match (invalid.is_empty(), degraded.is_empty()) {
        (false, _) => "invalid",
        (true, false) => "degraded",
        (true, true) => "valid",
    };
    invalid.append(&mut degraded);
    Judged {
        verdict,
        reasons: invalid,
    }
}

fn lag(facts: &Facts, reasons: &mut Vec<String>) {
    let limit = facts.input.plan.limits.lag_p99;
    if let Some(p99) = facts.lag_p99
        && p99 > limit
    {
        reasons.push(format!(
            "the generator was late: lag p99 is {:.1} ms, the limit {:.1} ms; use more nodes or threads, \
             a lower rate, or machines with nothing else to do",
            p99.as_secs_f64() * 1e3,
            limit.as_secs_f64() * 1e3,
        ));
    }
}

fn dropped(facts: &Facts, reasons: &mut Vec<String>) {
    let (dropped, planned) = (facts.totals.dropped, facts.totals.planned);
    let part = dropped as f64 / planned.max(1) as f64;
    if part <= facts.input.plan.limits.dropped {
        return;
    }
    let mut why = crate::protocol::metrics::Counters::default();
    for w in &facts.input.workers {
        w.metrics
            .counters()
            .iter()
            .for_each(|s| why.add(&s.counters));
    }
    let causes = [
        (
            why.dropped_full,
            "max_in_flight was reached: the target is slower than the load; raise --max-in-flight or add nodes",
        ),
        (
            why.dropped_late,
            "the generator itself was too late for them",
        ),
        (why.dropped_lease, "the worker had no lease"),
    ];
    let causes: Vec<String> = causes
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, cause)| format!("{n} because {cause}"))
        .collect();
    reasons.push(format!(
        "{dropped} of {planned} arrivals ({:.2} %) were not sent: {}",
        part * 100.0,
        causes.join("; "),
    ));
}

fn lost(facts: &Facts, reasons: &mut Vec<String>) {
    let lost: Vec<String> = facts
        .input
        .workers
        .iter()
        .filter_map(|w| Some((w, w.lost_at?)))
        .map(|(w, at)| format!("{} at {:.1} s", w.name, at.as_secs_f64()))
        .collect();
    let short = facts.totals.short;
    if !lost.is_empty() {
        reasons.push(format!(
            "lost {}; the load was short by {short} requests in all, and of each lost node up to the last \
             interval of its metrics is missing",
            lost.join(", "),
        ));
    } else if facts.input.reason == Some(EndReason::Completed)
        && facts.input.plan.load.model == Model::Open
        && short as f64 > UNEXPLAINED * facts.totals.planned as f64
    {
        reasons.push(format!(
            "the load was short by {short} of {} requests over {:.1} s; the events tell who was missing when",
            facts.totals.planned,
            facts.duration.as_secs_f64(),
        ));
    }
}
