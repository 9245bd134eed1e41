//! The contents of the screen at various sizes.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::draw::draw;
use super::fakes::{self, entry, swarm, worker};
use super::model::{Model, Role, Span};
use super::palette::Palette;
use super::{charts, keys};
use vajra_core::metrics::new_histogram;
use vajra_core::protocol::messages::TestState;
use vajra_plan::Load;
use vajra_results::{
    ErrorEntry, Event, NoCoordinator, NodeHealth, Tenure, TestResult, ThresholdResult,
};

fn drawn(m: &Model, palette: &Palette, width: u16, height: u16) -> Buffer {
    let backend = TestBackend::new(width, height);
    let mut terminal = match Terminal::new(backend) {
        Ok(terminal) => terminal,
        Err(e) => match e {},
    };
    match terminal.draw(|frame| draw(frame, m, palette)) {
        Ok(_) => terminal.backend().buffer().clone(),
        Err(e) => match e {},
    }
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let cells = buffer
        .content()
        .chunks(usize::from(buffer.area.width).max(1));
    cells
        .map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>())
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn shown(m: &Model, width: u16, height: u16) -> String {
    lines(&drawn(m, &Palette::FULL, width, height)).join("\n")
}

#[track_caller]
fn assert_all(screen: &str, expected: &[&str]) {
    for text in expected {
        assert!(screen.contains(text), "{text:?} is not in\n{screen}");
    }
}

fn event(at_ms: i64, kind: &str, peer: Option<&str>, text: &str) -> Event {
    Event {
        at_ms,
        kind: kind.into(),
        peer: peer.map(|name| format!("peer-{name}")),
        text: text.into(),
    }
}

/// Three workers, one of them lost; errors; a failed threshold.
fn result(sent: u64) -> TestResult {
    let mut load = Load::open(5_000.0, Duration::from_secs(20));
    load.ramp_up = Duration::from_secs(10);
    let mut r = fakes::result(&load);
    r.name = Some("checkout".into());
    r.target = "http://10.0.0.5:8080/".into();
    r.nodes = vec![
        worker("alpha", 0.5, sent / 2),
        worker("beta", 0.5, sent / 2),
        worker("gamma", 0.33, 1_000),
    ];
    r.coordinators = vec![Tenure {
        term: 2,
        peer: "peer-beta".into(),
        name: "beta".into(),
        from_ms: -900,
        to_ms: None,
    }];
    r.totals.sent = sent;
    r.response_time_ms = Some(fakes::stats(1.01));
    let mut times = new_histogram();
    for us in [900, 1_000, 1_100, 1_200, 4_000] {
        assert!(times.record_n(us, 100).is_ok());
    }
    r.histograms.response = vajra_results::encode(&times);
    r.errors = vec![ErrorEntry {
        kind: "timeout".into(),
        message: "no response within 10 s".into(),
        count: 1_234,
    }];
    r.thresholds = vec![
        ThresholdResult {
            threshold: "response_time.p99 < 250ms".into(),
            passed: true,
            value: Some(4.04),
        },
        ThresholdResult {
            threshold: "error_rate < 1%".into(),
            passed: false,
            value: Some(0.02),
        },
    ];
    r.events = vec![
        event(-900, "elected", Some("alpha"), "alpha coordinates"),
        event(6_000, "lost", Some("gamma"), "gamma was lost"),
    ];
    r
}

fn running() -> Model {
    let mut m = Model::new("0199aaaa", Role::Owner);
    for second in 1..=12 {
        m.tick(Duration::from_secs(second));
        let mut p = fakes::progress(second as f64, 4_998.0);
        p.failed = 100 * second;
        m.progress(&p);
        if second % 2 == 0 {
            m.result(result(4_998 * second));
        }
    }
    let mut beta = entry("beta", NodeHealth::Healthy);
    beta.is_self = true;
    m.set_nodes(swarm(vec![
        beta,
        entry("alpha", NodeHealth::Late),
        entry("gamma", NodeHealth::Gone),
        entry("delta", NodeHealth::Healthy),
    ]));
    m
}

#[test]
fn a_small_terminal_shows_every_part() {
    let screen = shown(&running(), 80, 24);
    assert_all(
        &screen,
        &[
            "checkout",
            "http://10.0.0.5:8080/",
            "running",
            "12.0/30 s",
            "2/2 sustain, 18 s left",
            "1 of 2 thresholds failed",
            "valid so far",
            "coordinator beta, term 2",
            "4,998/s",
            "planned 5,000/s",
            "p50 1.02 ms",
            "p99 3.40 ms",
            "59,976",
            "1,200",
            "distribution",
            "nodes 2 1 lost",
            "✗ gamma",
            "lost",
            "beta (here) ★",
            "1,234  timeout",
            "lost gamma was lost",
            "q stop",
            "? help",
        ],
    );
    assert!(screen.lines().count() == 24);
}

#[test]
fn a_large_terminal_has_a_panel_for_each_list() {
    let screen = shown(&running(), 200, 60);
    assert_all(
        &screen,
        &[
            "total",
            "lag p99",
            "p99.9",
            "received",
            "thresholds",
            "✗ error_rate < 1%   2.00 %",
            "✓ response_time.p99 < 250ms   4.04 ms",
            "errors",
            "timeout no response within 10 s",
            "newest first",
            "-0.9 s  elected alpha coordinates",
            "○ delta",
            "idle",
        ],
    );
}

/// Number of cells with a part of a curve.
fn dots(screen: &str) -> usize {
    let braille = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
    screen.chars().filter(|c| braille(*c)).count()
}

#[test]
fn the_charts_have_curves_and_an_axis_over_the_whole_plan() {
    let screen = shown(&running(), 120, 40);
    assert!(dots(&screen) > 100, "{screen}");
    assert_all(&screen, &["6k", "15 s", "30 s", "1 ms", "5 ms"]);
}

#[test]
fn any_size_can_be_drawn() {
    for (width, height) in [
        (0, 0),
        (1, 1),
        (5, 2),
        (20, 5),
        (49, 13),
        (50, 14),
        (51, 15),
        (80, 14),
        (50, 100),
        (150, 36),
        (300, 20),
        (500, 200),
    ] {
        let mut m = running();
        shown(&m, width, height);
        m.help = true;
        shown(&m, width, height);
        shown(&Model::new("t", Role::Watcher), width, height);
    }
}

#[test]
fn a_tiny_terminal_shows_the_most_important_lines() {
    let screen = shown(&running(), 20, 5);
    assert_all(
        &screen,
        &["12.0/30 s", "4,998/s of 5,000/s", "p50 1.02 ms", "q stop"],
    );
    assert!(screen.contains("errors 1,200"), "{screen}");
}

#[test]
fn before_the_load_the_start_up_state_is_shown() {
    let mut m = Model::new("0199aaaa", Role::Owner);
    assert_all(&shown(&m, 80, 24), &["waiting for the first update"]);
    m.set_nodes(swarm(vec![
        entry("a", NodeHealth::Healthy),
        entry("b", NodeHealth::Healthy),
    ]));
    let mut p = fakes::progress(0.0, 0.0);
    for (state, elapsed, text) in [
        (
            TestState::Electing,
            0.0,
            "electing a coordinator among 2 nodes",
        ),
        (
            TestState::Registering,
            0.0,
            "waiting for 2 nodes to register",
        ),
        (TestState::Running, -0.5, "starting in 0.5 s"),
    ] {
        (p.state, p.elapsed_s) = (state, elapsed);
        m.progress(&p);
        assert_all(&shown(&m, 80, 24), &[text]);
        assert_all(&shown(&m, 40, 5), &[text]);
    }
}

#[test]
fn stopping_is_shown_with_the_effect_of_the_next_ctrl_c() {
    let mut m = running();
    m.stop_requests = 1;
    let waits = "stopping: waiting for requests in flight; Ctrl-C again stops at once";
    assert_all(&shown(&m, 80, 24), &[waits]);
    m.stop_requests = 2;
    assert_all(&shown(&m, 80, 24), &["stopping at once"]);
    m.role = Role::Watcher;
    assert!(!shown(&m, 80, 24).contains("stopping"));
    assert_all(&shown(&m, 80, 24), &["q leave"]);
}

#[test]
fn only_start_test_can_pause() {
    let mut m = running();
    assert_all(&shown(&m, 80, 24), &["p pause", "r resume"]);
    m.role = Role::Watcher;
    assert!(!shown(&m, 80, 24).contains("p pause"));
}

#[test]
fn a_node_without_updates_is_reported() {
    let mut m = running();
    m.tick(Duration::from_secs(16));
    assert_all(&shown(&m, 80, 24), &["no update for 4 s"]);
}

#[test]
fn a_lost_node_is_red_and_also_marked_without_colours() {
    let find = |buffer: &Buffer| {
        let cells = buffer.content().iter();
        cells.into_iter().find(|cell| cell.symbol() == "✗").cloned()
    };
    let mut m = running();
    if let Some(result) = &mut m.result {
        result.thresholds.clear();
    }
    let coloured = find(&drawn(&m, &Palette::FULL, 80, 24));
    assert_eq!(coloured.map(|cell| cell.fg), Some(Color::Red));
    let plain = drawn(&m, &Palette::PLAIN, 80, 24);
    assert!(find(&plain).is_some());
    let colourless =
        |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
    assert!(plain.content().iter().all(colourless));
}

#[test]
fn omitted_nodes_are_counted() {
    let mut m = running();
    let mut r = result(100_000);
    r.nodes = (0..40)
        .map(|i| worker(&format!("n{i:02}"), 0.025, 2_500))
        .collect();
    r.events.clear();
    m.result(r);
    m.set_nodes(swarm(Vec::new()));
    let screen = shown(&m, 80, 24);
    assert_all(&screen, &["nodes 40", "n00", "more"]);
}

#[test]
fn names_cannot_contain_control_sequences() {
    let mut m = running();
    let mut r = result(1_000);
    r.name = Some("evil\u{1b}[2J\u{202e}name".into());
    r.nodes[0].name = "a\u{7}lpha".into();
    m.result(r);
    let screen = shown(&m, 200, 60);
    assert!(!screen.contains(['\u{1b}', '\u{202e}', '\u{7}']));
    assert_all(&screen, &["evil"]);
}

#[test]
fn timeline_intervals_add_values_that_progress_lacks() {
    let mut m = running();
    let mut point = fakes::point(12.0, 13.0, 4_900.0);
    point.in_flight = 77;
    point.bytes_received = 1 << 20;
    m.point(&point);
    let screen = shown(&m, 200, 60);
    assert_all(&screen, &["max 20.00 ms", "77", "1 MiB/s", "4,900/s"]);
}

#[test]
fn the_closed_model_is_shown_with_its_users() {
    let mut m = Model::new("t", Role::Owner);
    let mut p = fakes::progress(3.0, 800.0);
    (p.planned, p.users) = (0.0, 64);
    m.progress(&p);
    let r = fakes::result(&Load::closed(64, Duration::from_secs(30)));
    m.result(r);
    assert_all(&shown(&m, 80, 24), &["by 64 users", "800/s"]);
    assert!(!shown(&m, 80, 24).contains("planned"));
}

#[test]
fn zoom_toggles_between_the_whole_test_and_its_latest_part() {
    let mut m = running();
    assert_eq!(charts::window(&m), (0.0, 30.0));
    m.span = Some(charts::other_span(&m));
    assert_eq!(m.span, Some(Span::Recent));
    m.span = Some(charts::other_span(&m));
    assert_eq!(m.span, Some(Span::Whole));
}

#[test]
fn the_latest_part_of_a_long_test_is_shown_by_default() {
    let mut m = Model::new("t", Role::Owner);
    let mut p = fakes::progress(5_000.0, 100.0);
    p.duration_s = 36_000.0;
    m.progress(&p);
    assert_eq!(charts::window(&m), (4_700.0, 5_000.0));
    assert_eq!(charts::other_span(&m), Span::Whole);
    m.span = Some(Span::Whole);
    assert_eq!(charts::window(&m), (0.0, 36_000.0));
    assert_eq!(charts::other_span(&m), Span::Recent);
}

#[test]
fn help_explains_every_key_of_the_footer() {
    let mut m = running();
    m.help = true;
    assert_all(
        &shown(&m, 80, 24),
        &[
            "keys",
            "q, Ctrl-C",
            "pause",
            "resume",
            "whole test",
            "at once",
        ],
    );
    let question = crossterm::event::Event::Key(crossterm::event::KeyCode::Char('?').into());
    assert_eq!(keys::action(&question, true), Some(keys::Action::Help));
}

#[test]
fn a_reason_replaces_the_swarm_on_a_narrow_terminal() {
    let mut m = running();
    let mut r = result(1_000);
    let why = "gamma was lost 6.0 s after the start; its load came back";
    r.reasons = vec![why.into()];
    r.thresholds.clear();
    m.result(r);
    assert_all(&shown(&m, 80, 24), &[why]);
    assert_all(&shown(&m, 200, 60), &[why, "coordinator beta"]);
}

#[test]
fn the_absence_of_a_coordinator_replaces_the_state() {
    let mut m = running();
    let mut r = result(1_000);
    let why = "no coordinator since 9.0 s: 2 of 3 nodes that may vote cannot be reached";
    r.reasons = vec![why.into()];
    r.thresholds.clear();
    r.coordinators[0].to_ms = Some(9_000);
    r.no_coordinator = Some(NoCoordinator {
        since_ms: 9_000,
        load_stopped_ms: None,
        silent_electors: 2,
        electors: 3,
    });
    m.result(r);
    let screen = shown(&m, 200, 60);
    assert_all(&screen, &["no coordinator\n", why]);
    assert!(!screen.contains("running"), "{screen}");
    assert!(!screen.contains("coordinator beta"), "{screen}");
}

#[test]
fn titles_are_bold_and_rules_are_dim() {
    use ratatui::style::Modifier;
    let screen = drawn(&running(), &Palette::FULL, 80, 24);
    let all = lines(&screen);
    let row = all.iter().position(|l| l.trim_start().starts_with("rate"));
    let row = row.unwrap_or_else(|| panic!("no title of the rate in {all:#?}")) as u16;
    let cells = || (0..80).filter_map(|x| screen.cell((x, row)));
    let title = cells().skip_while(|cell| cell.symbol() == " ").take(4);
    let title: Vec<_> = title.map(|cell| cell.modifier).collect();
    assert_eq!(title, [Modifier::BOLD; 4]);
    // The rule starts where the title ends.
    let rule: Vec<_> = cells().filter(|cell| cell.symbol() == "─").collect();
    assert!(!rule.is_empty());
    assert!(rule.iter().all(|cell| cell.modifier == Modifier::DIM));
}

#[test]
fn parts_of_a_title_that_do_not_fit_are_omitted() {
    let mut m = running();
    m.point(&fakes::point(12.0, 13.0, 4_900.0));
    let screen = shown(&m, 80, 24);
    let title = screen.lines().find(|l| l.contains("response time"));
    assert!(title.is_some_and(|t| t.contains("p99 4.00 ms") && !t.contains("━ m")));
    assert_all(&shown(&m, 120, 24), &["━ max 20.00 ms"]);
}
