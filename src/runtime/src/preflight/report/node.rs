//! The checks of one node, and those that follow from its answer.

use std::time::Duration;

use super::input::{CheckedNode, NodeAnswer, SwarmContext};
use super::text::ms;
use vajra_core::protocol::announcement::MAX_CLOCK_DIFFERENCE;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_network::RequestFailed;

/// Tolerated difference of wall clocks. They only affect logs and displayed start times; the load
/// runs on other clocks.
const MAX_OFFSET_MS: u64 = 1_000;

/// The checks of a node, and those that follow from its answer.
pub fn checks_of(context: &SwarmContext<'_>, node: &CheckedNode) -> Vec<Check> {
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
    match certain {
        0..=MAX_OFFSET_MS => Check::new("clock", Finding::Pass, text),
        c if u128::from(c) <= MAX_CLOCK_DIFFERENCE.as_millis() => {
            Check::new("clock", Finding::Warn, text).hint(
                "synchronize it with NTP; the load is not affected, but logs and start times are",
            )
        }
        _ => Check::new("clock", Finding::Fail, text).hint(
            "synchronize it with NTP; a node ignores tests that were submitted at a time that \
             differs from its own by more than 10 minutes",
        ),
    }
    .figures(away, None)
}
