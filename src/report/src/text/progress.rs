//! The progress line of a running test.

use super::WIDTH;
use super::layout::fit;
use vajra_core::protocol::messages::TestState;
use vajra_results::{Progress, state_name, units};

/// Smallest lag that is shown: well above that of scheduling, well below the limit of a valid
/// result.
const NOTABLE_LAG_MS: f64 = 10.0;

/// Elapsed time, achieved and planned rate, percentiles of the last interval, errors, nodes.
pub fn progress(p: &Progress) -> String {
    let line = match p.elapsed_s <= 0.0 && p.sent == 0 {
        true => before(p),
        false => running(p),
    };
    fit(&line, WIDTH)
}

/// The progress line of one of several tests.
pub fn named_progress(name: &str, p: &Progress) -> String {
    fit(
        &format!("{}: {}", fit(name, 20), progress(p).trim_start()),
        WIDTH,
    )
}

fn before(p: &Progress) -> String {
    match p.state {
        TestState::Running => format!("starting in {:.1} s", -p.elapsed_s),
        TestState::Electing => "electing a coordinator".to_owned(),
        TestState::Registering => "waiting for workers".to_owned(),
        state => state_name(state).to_owned(),
    }
}

fn running(p: &Progress) -> String {
    let time = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), units::time);
    let load = match p.users {
        0 if p.planned > 0.0 => format!(" of {}", units::brief(p.planned)),
        0 => String::new(),
        1 => " by 1 user".to_owned(),
        users => format!(" by {} users", units::count(users.into())),
    };
    let lag = match p.lag_p99_ms {
        Some(lag) if lag >= NOTABLE_LAG_MS => format!("  lag {}", units::time(lag)),
        _ => String::new(),
    };
    let state = match p.state {
        TestState::Stopping => "  stopping",
        _ => "",
    };
    if let Some(since) = p.no_coordinator_s {
        return format!(
            "{:>6.1}/{} s  {}/s{load}  no coordinator since {since:.1} s  nodes {}{state}",
            p.elapsed_s,
            seconds(p.duration_s),
            units::brief(p.rate),
            p.nodes,
        );
    }
    format!(
        "{:>6.1}/{} s  {}/s{load}  p50 {}  p99 {}{lag}  errors {}  nodes {}{state}",
        p.elapsed_s,
        seconds(p.duration_s),
        units::brief(p.rate),
        time(p.p50_ms),
        time(p.p99_ms),
        units::count(p.failed),
        p.nodes,
    )
}

/// Seconds, with a decimal if it is not zero.
fn seconds(s: f64) -> String {
    match (s * 10.0).round() % 10.0 == 0.0 {
        true => format!("{s:.0}"),
        false => format!("{s:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Progress {
        Progress {
            test_id: "t".into(),
            state: TestState::Running,
            elapsed_s: 12.04,
            duration_s: 30.0,
            nodes: 5,
            planned: 5_000.0,
            users: 0,
            rate: 4_998.7,
            sent: 60_000,
            failed: 1_234,
            p50_ms: Some(1.02),
            p99_ms: Some(3.4),
            lag_p99_ms: Some(0.2),
            no_coordinator_s: None,
        }
    }

    #[test]
    fn the_open_model_shows_the_planned_rate() {
        assert_eq!(
            progress(&line()),
            "  12.0/30 s  4999/s of 5000  p50 1.02 ms  p99 3.40 ms  errors 1,234  nodes 5"
        );
    }

    #[test]
    fn the_closed_model_shows_its_users() {
        let closed = Progress {
            planned: 0.0,
            users: 10,
            duration_s: 0.5,
            state: TestState::Stopping,
            ..line()
        };
        assert_eq!(
            progress(&closed),
            "  12.0/0.5 s  4999/s by 10 users  p50 1.02 ms  p99 3.40 ms  errors 1,234  nodes 5  stopping"
        );
    }

    #[test]
    fn the_absence_of_a_coordinator_replaces_the_times() {
        let alone = Progress {
            elapsed_s: 70.0,
            duration_s: 120.0,
            rate: 0.0,
            no_coordinator_s: Some(61.24),
            ..line()
        };
        assert_eq!(
            progress(&alone),
            "  70.0/120 s  0.00/s of 5000  no coordinator since 61.2 s  nodes 5"
        );
    }

    #[test]
    fn high_lag_is_shown() {
        let late = Progress {
            lag_p99_ms: Some(120.0),
            p50_ms: None,
            ..line()
        };
        let shown = progress(&late);
        assert!(
            shown.contains("p50 –  p99 3.40 ms  lag 120.00 ms  errors"),
            "{shown}"
        );
    }

    #[test]
    fn before_the_start_the_line_shows_the_state() {
        let early = |state| Progress {
            state,
            elapsed_s: -0.52,
            sent: 0,
            ..line()
        };
        assert_eq!(
            progress(&early(TestState::Electing)),
            "electing a coordinator"
        );
        assert_eq!(
            progress(&early(TestState::Registering)),
            "waiting for workers"
        );
        assert_eq!(progress(&early(TestState::Running)), "starting in 0.5 s");
    }
}
