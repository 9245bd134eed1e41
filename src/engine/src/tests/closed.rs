//! Users of the closed model.

use super::server::OK;
use super::*;
use vajra_plan::ThinkTime;
use vajra_plan::{Change, LoadChange, SLOTS, Stage, StageType};

fn users(server: &Server, users: u32, think: Duration, duration: Duration) -> Plan {
    http(
        server,
        Load {
            think_time: ThinkTime::Constant(think),
            ..Load::closed(users, duration)
        },
    )
}

#[tokio::test]
async fn each_user_has_one_request_at_a_time() {
    let server = Server::new(OK);
    server.stall();
    let mut bench = bench(users(&server, 10, Duration::ZERO, ms(800)));
    bench.go(Slots::whole());
    let c = bench.until(|c| c.sent >= 10).await;
    assert_eq!((c.planned, c.in_flight), (10, 10));
    server.resume();
    let c = bench.end().await.counters;
    assert!(c.ok > 100, "{c:?}");
    assert_eq!((c.ok, server.connections()), (server.served(), 10));
}

#[tokio::test]
async fn users_think_between_requests() {
    let server = Server::new(OK);
    let mut bench = bench(users(&server, 5, ms(50), ms(500)));
    bench.go(Slots::whole());
    let step = bench.end().await;
    let c = &step.counters;
    assert!((25..=50).contains(&c.ok), "{c:?}");
    assert!(
        step.response.value_at_quantile(0.5) < 40_000,
        "think time is not response time"
    );
}

#[tokio::test]
async fn a_share_runs_the_users_that_it_owns() {
    let server = Server::new(OK);
    server.stall();
    let bench = bench(users(&server, 20, ms(10), 60 * SECOND));
    let half = Slots::range(100_000, 100_000 + SLOTS / 2);
    let owned = 10;
    bench.go(half);
    bench.until(|c| c.in_flight == owned).await;
    bench.share(Slots::whole());
    bench.until(|c| c.sent >= 20).await;
    assert_eq!(bench.now().await.counters.planned, 20, "a user runs twice");
    bench.share(Slots::EMPTY);
    server.resume();
    let c = bench.until(|c| c.in_flight == 0 && c.ok >= 20).await;
    assert_eq!(
        bench.until_quiet().await.sent,
        c.sent,
        "users of other shares still send"
    );
}

/// A user that is due only at the end does not delay the end of the run.
#[tokio::test]
async fn a_user_that_missed_its_request_does_not_delay_the_end() {
    let server = Server::new(OK);
    let mut bench = bench(users(&server, 3, ms(1), ms(300)));
    let start = bench.after(ms(20));
    bench.share(Slots::whole());
    bench.run.set_lease(bench.after(60 * SECOND));
    bench.until_time(start.plus_ns(310_000_000)).await;
    bench.run.set_start(start);
    let c = bench.end().await.counters;
    assert_eq!((c.sent, server.served()), (0, 0), "{c:?}");
}

#[tokio::test]
async fn users_without_a_lease_send_nothing_and_resume_with_the_next_lease() {
    let server = Server::new(OK);
    let mut bench = bench(users(&server, 4, ms(5), ms(600)));
    let start = bench.go(Slots::whole());
    bench.run.set_lease(start.plus_ns(150_000_000));
    // A request may be in flight when the lease ends.
    let stopped = |c: &Counters| c.dropped_lease + c.abandoned == 4;
    let without_lease = bench.until(stopped).await;
    assert_eq!(bench.until_quiet().await.sent, without_lease.sent);
    bench.run.set_lease(bench.after(60 * SECOND));
    bench.until(|c| c.sent > without_lease.sent + 8).await;
    let c = bench.end().await.counters;
    assert!(stopped(&c), "{c:?}");
    assert!((c.ok..=c.ok + c.abandoned).contains(&server.served()));
}

#[tokio::test]
async fn complementary_shares_send_exactly_the_limit_of_requests() {
    let server = Server::new(OK);
    let load = Load {
        requests: Some(333),
        ..Load::closed(20, 60 * SECOND)
    };
    let plan = http(&server, load);
    let mut first = bench(plan.clone());
    let mut second = bench(plan);
    first.run.add_numbers(&Numbers::range(0, 150), true);
    second.run.add_numbers(&Numbers::range(150, 333), true);
    first.go_without_numbers(Slots::range(0, 400_000));
    second.go_without_numbers(Slots::range(400_000, SLOTS));
    let (a, b) = (first.end().await.counters, second.end().await.counters);
    assert_eq!((a.ok + b.ok, server.served()), (333, 333));
}

#[tokio::test]
async fn users_of_a_spike_send_only_during_it() {
    let server = Server::new(server::OK);
    let stage = |kind, target: u32, n| Stage {
        kind,
        target: Some(f64::from(target)),
        length: ms(n),
        steps: None,
    };
    let load = Load {
        think_time: ThinkTime::Constant(ms(10)),
        stages: vec![
            stage(StageType::Sustain, 1, 400),
            stage(StageType::Spike, 20, 400),
            stage(StageType::Sustain, 1, 400),
        ],
        ..Load::closed(20, ms(1200))
    };
    let mut bench = bench(http(&server, load));
    let start = bench.go(Slots::whole());
    let mut sent = Vec::new();
    for part in [ms(390), ms(800), ms(1190)] {
        bench
            .until_time(start.plus_ns(part.as_nanos() as u64))
            .await;
        sent.push(bench.now().await.counters.sent);
    }
    let c = bench.end().await.counters;
    assert_eq!(c.failed, 0, "{c:?}");
    let spike = sent[1] - sent[0];
    let after = sent[2] - sent[1];
    assert!(sent[0] <= 41, "one user: {sent:?}");
    assert!(spike >= 5 * sent[0] && after <= 60, "{sent:?}");
}

#[tokio::test]
async fn two_changes_of_the_load_in_succession_schedule_no_user_twice() {
    let server = Server::new(OK);
    let mut bench = bench(users(&server, 2, ms(20), 2 * SECOND));
    bench.go(Slots::whole());
    bench.until(|c| c.ok >= 2).await;
    let change = |at, level| LoadChange {
        at,
        lag: Duration::ZERO,
        what: Change::Level(level),
    };
    let more = change(ms(900), 50.0);
    bench.run.set_changes(&[more]);
    // A thread that sends two more requests has scheduled the new users before the next change.
    let sent = bench.now().await.counters.sent;
    bench.until(|c| c.sent >= sent + 10).await;
    bench.run.set_changes(&[more, change(ms(1_200), 5.0)]);
    let c = bench.end().await.counters;
    assert!(c.ok > 50, "{c:?}");
    assert_eq!((c.planned, c.dropped_full), (c.sent, 0));
}
