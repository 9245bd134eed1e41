//! One line of progress: elapsed, rate now against asked, percentiles now, errors, nodes.

use crate::node::handle::Progress;
use crate::report::text::{show_count, show_ms};

/// The line for people.
pub fn progress_line(p: &Progress) -> String {
    if p.state == "electing" || p.state == "registering" {
        return match p.nodes {
            0 => format!("{} …", p.state),
            n => format!("{} … {n} nodes", p.state),
        };
    }
    if p.elapsed_s < 0.0 {
        return format!("starts in {:.1} s on {}", -p.elapsed_s, nodes(p.nodes));
    }
    let time = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), show_ms);
    let state = match p.state.as_str() {
        "running" => String::new(),
        other => format!("{other}  "),
    };
    format!(
        "{:>4.0}/{:.0} s  {state}{:.0}/s of {:.0}  p50 {}  p99 {}  {} errors  {}",
        p.elapsed_s,
        p.duration_s,
        p.rate,
        p.asked,
        time(p.p50_ms),
        time(p.p99_ms),
        show_count(p.failed),
        nodes(p.nodes),
    )
}

fn nodes(n: u32) -> String {
    match n {
        1 => "1 node".to_owned(),
        n => format!("{n} nodes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Progress {
        Progress {
            test_id: "t".into(),
            state: "running".into(),
            elapsed_s: 3.2,
            duration_s: 15.0,
            nodes: 3,
            asked: 500.0,
            rate: 499.6,
            sent: 1600,
            failed: 1234,
            p50_ms: Some(5.5),
            p99_ms: None,
            lag_p99_ms: None,
        }
    }

    #[test]
    fn a_running_test_shows_rate_percentiles_errors_and_nodes() {
        let line = progress_line(&running());
        assert_eq!(
            line,
            "   3/15 s  500/s of 500  p50 5.50 ms  p99 -  1,234 errors  3 nodes"
        );
    }

    #[test]
    fn before_the_start_it_says_what_it_waits_for() {
        let electing = Progress {
            state: "electing".into(),
            nodes: 0,
            ..running()
        };
        assert_eq!(progress_line(&electing), "electing …");
        let soon = Progress {
            elapsed_s: -0.25,
            nodes: 1,
            ..running()
        };
        assert_eq!(progress_line(&soon), "starts in 0.2 s on 1 node");
    }
}
