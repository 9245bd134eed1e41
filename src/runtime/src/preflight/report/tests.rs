#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::preflight::requirements::tests::open;
use vajra_core::protocol::Digest;
use vajra_core::protocol::preflight::PreflightReply;
use vajra_network::RequestFailed;
use vajra_plan::{Load, Plan, parse_toml};
use vajra_results::preflight::PreflightCheck;

const VERSION: &str = "1.2.3";

fn context(plan: &Plan) -> SwarmContext<'_> {
    SwarmContext {
        plan,
        digest: Digest([0xab; 32]),
        round_trip: Duration::from_millis(20),
        authority_lease: Duration::from_secs(1),
        version: VERSION,
    }
}

fn target(finding: Finding, micros: u64) -> Check {
    let text = match finding {
        Finding::Pass => "shop:80 reached in some time",
        _ => "cannot reach shop:80: Connection refused",
    };
    Check::new("target", finding, text)
        .of("shop:80")
        .figures(micros, None)
}

fn found(checks: Vec<Check>) -> NodeAnswer {
    let mut all = vec![
        Check::new("plan", Finding::Pass, "read as abababab"),
        Check::new("able", Finding::Pass, "takes part"),
    ];
    all.extend(checks);
    NodeAnswer::Checked(PreflightReply {
        able: true,
        checks: all,
    })
}

fn unable(finding: Finding, why: &str) -> NodeAnswer {
    NodeAnswer::Checked(PreflightReply {
        able: false,
        checks: vec![Check::new("able", finding, why)],
    })
}

fn node(name: &str, answer: NodeAnswer) -> CheckedNode {
    CheckedNode {
        peer: name.into(),
        name: name.into(),
        is_self: name == "n0",
        version: VERSION.into(),
        capacity: 100,
        running: false,
        answer,
        clock: (name != "n0").then_some((2, Duration::from_millis(1))),
    }
}

fn of(plan: &Plan, nodes: Vec<CheckedNode>) -> PreflightReport {
    report(&context(plan), nodes)
}

#[track_caller]
fn check<'a>(report: &'a PreflightReport, name: &str) -> &'a PreflightCheck {
    report.checks.iter().find(|c| c.name == name).unwrap()
}

#[track_caller]
fn is(report: &PreflightReport, name: &str, finding: Finding, words: &[&str]) {
    let check = check(report, name);
    assert_eq!(check.finding, finding, "{check:?}");
    let text = format!("{} {}", check.text, check.hint.as_deref().unwrap_or(""));
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[test]
fn a_check_that_passes_everywhere_is_one_line_with_its_range() {
    let pass = |micros| found(vec![target(Finding::Pass, micros)]);
    let nodes = vec![
        node("n0", pass(300)),
        node("n1", pass(1200)),
        node("n2", pass(700)),
    ];
    let report = of(&open(50.0), nodes);
    assert_eq!(report.verdict, Finding::Pass, "{:#?}", report.checks);
    is(
        &report,
        "target",
        Finding::Pass,
        &["3 nodes reach shop:80 in 300 µs to 1.20 ms"],
    );
    is(&report, "able", Finding::Pass, &["3 of 3"]);
    is(
        &report,
        "network",
        Finding::Pass,
        &["2 other nodes, round trip 1.00 ms"],
    );
    is(&report, "clock", Finding::Pass, &["2 ms"]);
    is(&report, "versions", Finding::Pass, &[VERSION]);
    is(&report, "configuration", Finding::Pass, &["50/s", "10s"]);
    let names: Vec<&str> = report.checks.iter().map(|c| c.name.as_str()).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "{names:?}");
    assert_eq!(report.plan, "ab".repeat(32));
}

#[test]
fn a_target_that_no_node_reaches_fails_and_one_that_some_reach_warns() {
    let down = || found(vec![target(Finding::Fail, 0)]);
    let up = || found(vec![target(Finding::Pass, 300)]);
    let none = of(&open(50.0), vec![node("n0", down()), node("n1", down())]);
    assert_eq!(none.verdict, Finding::Fail);
    is(
        &none,
        "target",
        Finding::Fail,
        &["no node reaches shop:80: Connection refused"],
    );
    let some = of(&open(50.0), vec![node("n0", up()), node("n1", down())]);
    assert_eq!(some.verdict, Finding::Warn);
    is(
        &some,
        "target",
        Finding::Warn,
        &["1 of 2 nodes cannot reach shop:80", "drain"],
    );
}

#[test]
fn a_node_that_cannot_take_part_warns_while_enough_others_do() {
    let up = || found(vec![target(Finding::Pass, 300)]);
    let forbids = || unable(Finding::Warn, "--allow-target would allow it");
    let mut plan = open(50.0);
    let one_less = of(&plan, vec![node("n0", up()), node("n1", forbids())]);
    is(
        &one_less,
        "able",
        Finding::Warn,
        &["1 of 2 nodes take part and carry the whole load"],
    );
    assert_eq!(one_less.verdict, Finding::Warn);
    let labels = NodeAnswer::Unfit("lacks the label a=b".into());
    let by_plan = of(&plan, vec![node("n0", up()), node("n1", labels)]);
    is(&by_plan, "able", Finding::Pass, &["1 of 2 nodes"]);
    plan.swarm.min_workers = 2;
    let too_few = of(&plan, vec![node("n0", up()), node("n1", forbids())]);
    is(
        &too_few,
        "able",
        Finding::Fail,
        &["2 are required", "min_workers"],
    );
    let none = of(&plan, vec![node("n0", forbids())]);
    is(
        &none,
        "able",
        Finding::Fail,
        &["no able worker: n0: --allow-target"],
    );
}

#[test]
fn a_node_that_does_not_answer_fails_unless_it_has_an_older_version() {
    let up = || found(vec![target(Finding::Pass, 300)]);
    let lost = |e| node("n1", NodeAnswer::Failed(e));
    let silent = of(
        &open(50.0),
        vec![node("n0", up()), lost(RequestFailed::TimedOut)],
    );
    assert_eq!(silent.verdict, Finding::Fail);
    is(
        &silent,
        "network",
        Finding::Fail,
        &["n1", "no answer in time"],
    );
    let dropped = || RequestFailed::Invalid("eof".into());
    let mut old = lost(dropped());
    old.version = "1.0.0".into();
    let old = of(&open(50.0), vec![node("n0", up()), old]);
    is(&old, "network", Finding::Warn, &["1.0.0", "same version"]);
    is(&old, "versions", Finding::Warn, &["n1 has 1.0.0", VERSION]);
    let broken = of(&open(50.0), vec![node("n0", up()), lost(dropped())]);
    is(&broken, "network", Finding::Fail, &["no valid answer"]);
    let busy = node("n1", NodeAnswer::Refused("the node is busy".into()));
    let busy = of(&open(50.0), vec![node("n0", up()), busy]);
    is(&busy, "network", Finding::Warn, &["the node is busy"]);
}

#[test]
fn a_round_trip_must_suit_the_timing_profile() {
    let with = |trip| {
        let mut far = node("n1", found(vec![]));
        far.clock = Some((0, Duration::from_millis(trip)));
        of(&open(50.0), vec![node("n0", found(vec![])), far])
    };
    is(&with(20), "network", Finding::Pass, &["20.00 ms"]);
    is(
        &with(21),
        "network",
        Finding::Warn,
        &["21.00 ms", "--timings wan"],
    );
    is(
        &with(1001),
        "network",
        Finding::Fail,
        &["authority", "--timings wan"],
    );
}

#[test]
fn wall_clocks_may_differ_by_a_second_plus_the_uncertainty() {
    let with = |offset, trip| {
        let mut other = node("n1", found(vec![]));
        other.clock = Some((offset, Duration::from_millis(trip)));
        of(&open(50.0), vec![node("n0", found(vec![])), other])
    };
    is(&with(-1001, 2), "clock", Finding::Pass, &[]);
    is(&with(-1002, 2), "clock", Finding::Warn, &["behind", "NTP"]);
    is(&with(5000, 2), "clock", Finding::Warn, &["5.00 s ahead"]);
    is(&with(600_001, 2), "clock", Finding::Warn, &["NTP"]);
    is(
        &with(-600_002, 2),
        "clock",
        Finding::Fail,
        &["behind", "NTP"],
    );
}

#[test]
fn capacity_is_compared_with_rate_and_round_trip_or_a_threshold_on_the_median() {
    let nodes = || vec![node("n0", found(vec![target(Finding::Pass, 10_000)]))];
    is(
        &of(&open(10_000.0), nodes()),
        "capacity",
        Finding::Pass,
        &["100 at once"],
    );
    is(
        &of(&open(10_001.0), nodes()),
        "capacity",
        Finding::Warn,
        &["101 at once", "of 100"],
    );
    let mut plan = open(2_000.0);
    plan.thresholds = vec!["response_time.p50 < 60ms".parse().unwrap()];
    is(
        &of(&plan, nodes()),
        "capacity",
        Finding::Warn,
        &["120 at once", "threshold"],
    );
    plan.thresholds = vec!["response_time.p99 < 60ms".parse().unwrap()];
    is(
        &of(&plan, nodes()),
        "capacity",
        Finding::Pass,
        &["20 at once"],
    );
    plan.load = Load::closed(101, Duration::from_secs(5));
    is(
        &of(&plan, nodes()),
        "capacity",
        Finding::Warn,
        &["101 users"],
    );
}

#[test]
fn another_test_on_a_node_is_reported() {
    let mut busy = node("n1", found(vec![]));
    busy.running = true;
    let report = of(&open(50.0), vec![node("n0", found(vec![])), busy]);
    is(&report, "idle", Finding::Warn, &["n1"]);
}

#[test]
fn a_very_small_load_warns_unless_the_number_of_requests_is_set() {
    let nodes = || vec![node("n0", found(vec![]))];
    let mut plan = open(0.5);
    is(
        &of(&plan, nodes()),
        "configuration",
        Finding::Warn,
        &["0.5/s"],
    );
    plan.load.requests = Some(5);
    is(&of(&plan, nodes()), "configuration", Finding::Pass, &[]);
    plan.load = Load::closed(3, Duration::from_millis(200));
    is(
        &of(&plan, nodes()),
        "configuration",
        Finding::Warn,
        &["200ms"],
    );
    plan.load.users = Some(2_000_000);
    is(
        &of(&plan, nodes()),
        "configuration",
        Finding::Fail,
        &["2000000"],
    );
}

#[test]
fn the_node_closest_to_the_limit_is_shown_for_all() {
    let fits = |n| {
        let text = format!("{n} of 100");
        let check = Check::new("descriptors", Finding::Pass, text).figures(n, Some(100));
        found(vec![check])
    };
    let report = of(
        &open(50.0),
        vec![node("n0", fits(10)), node("n1", fits(90))],
    );
    is(
        &report,
        "descriptors",
        Finding::Pass,
        &["2 nodes", "n1: 90 of 100"],
    );
}

#[test]
fn targets_of_scenarios_are_checked_separately() {
    let text = "[http]\nbase_url = \"http://a:1\"\n[[scenario]]\n[[scenario.step]]\nurl = \"/\"\n\
        [[scenario.step]]\nurl = \"http://b:1/\"\n[load]\nrate = 5\nduration = \"5s\"\n";
    let plan = parse_toml(text).unwrap().into_plan().unwrap();
    let of_one = |name: &str, finding| {
        Check::new("target", finding, format!("cannot reach {name}: refused")).of(name)
    };
    let checks = vec![of_one("a:1", Finding::Pass), of_one("b:1", Finding::Fail)];
    let report = of(&plan, vec![node("n0", found(checks))]);
    let targets: Vec<_> = report
        .checks
        .iter()
        .filter(|c| c.name == "target")
        .map(|c| (c.subject.as_deref().unwrap(), c.finding))
        .collect();
    assert_eq!(targets, [("a:1", Finding::Pass), ("b:1", Finding::Fail)]);
    assert_eq!(report.verdict, Finding::Fail);
}

#[test]
fn equal_texts_of_several_nodes_are_shown_with_their_number() {
    let low = |text: &str| found(vec![Check::new("memory", Finding::Warn, text)]);
    let two = |a, b| of(&open(50.0), vec![node("n0", low(a)), node("n1", low(b))]);
    is(
        &two("1 of 2", "1 of 2"),
        "memory",
        Finding::Warn,
        &["2 of 2 nodes: 1 of 2"],
    );
    is(
        &two("1 of 2", "3 of 2"),
        "memory",
        Finding::Warn,
        &["2 of 2 nodes have different problems"],
    );
    let mars = || NodeAnswer::Unfit("lacks the label region=mars".into());
    let none = of(&open(50.0), vec![node("n0", mars()), node("n1", mars())]);
    is(
        &none,
        "able",
        Finding::Fail,
        &["each of 2 nodes: lacks the label"],
    );
}

#[test]
fn a_literal_credential_is_a_warning() {
    let text = "[task]\ntype = 'HTTP'\nurl = 'http://shop/'\nheaders = { authorization = 'x' }\n\
                [load]\nrate = 50\nduration = '10s'\n";
    let plan = parse_toml(text).unwrap().into_plan().unwrap();
    let nodes = vec![node("n0", found(vec![target(Finding::Pass, 300)]))];
    let report = of(&plan, nodes);
    assert_eq!(report.verdict, Finding::Warn);
    is(
        &report,
        "credentials",
        Finding::Warn,
        &["task.headers.authorization", "--allow-secret env:TOKEN"],
    );
}
