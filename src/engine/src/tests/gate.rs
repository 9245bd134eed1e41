//! The lease gate: no request without a lease, and no burst after a gap.

use super::server::OK;
use super::*;

#[tokio::test]
async fn without_a_lease_nothing_is_sent_and_all_arrivals_are_counted() {
    let server = Server::new(OK);
    let mut bench = bench(http(&server, Load::open(200.0, ms(300))));
    bench.run.set_start(bench.after(ms(10)));
    bench.share(Slots::whole());
    let c = bench.end().await.counters;
    assert_eq!((c.sent, c.dropped_lease, server.served()), (0, 60, 0));
}

#[tokio::test]
async fn after_the_lease_expires_nothing_is_sent() {
    let server = Server::new(OK);
    let mut bench = bench(http(&server, Load::open(500.0, ms(600))));
    let start = bench.go(Slots::whole());
    bench.run.set_lease(start.plus_ns(200_000_000));
    let c = bench.end().await.counters;
    assert!(c.sent <= 100, "sent after the lease expired: {c:?}");
    assert!(c.sent >= 80, "stopped before the lease expired: {c:?}");
    assert_eq!(
        (c.dropped_lease, server.served()),
        (300 - c.sent - c.dropped_late, c.ok)
    );
}

#[tokio::test]
async fn a_new_lease_continues_without_a_burst() {
    let server = Server::new(OK);
    let mut bench = bench(http(&server, Load::open(500.0, SECOND)));
    let start = bench.go(Slots::whole());
    bench.run.set_lease(start.plus_ns(200_000_000));
    let without_lease = bench.until(|c| c.dropped_lease >= 150).await;
    bench.run.set_lease(bench.after(60 * SECOND));
    let c = bench.end().await.counters;
    assert!(c.dropped_lease >= 150 && c.dropped_lease < 200, "{c:?}");
    assert!(without_lease.sent <= 100 && c.sent > 250, "{c:?}");
    assert_eq!((c.planned, c.ok), (500, server.served()));
}

/// An arrival that waits for a connection during a gap in the lease is not sent under the next
/// lease; otherwise a gap could end in a burst.
#[tokio::test]
async fn arrivals_that_waited_during_a_gap_in_the_lease_are_not_sent() {
    let server = Server::new(OK);
    let load = Load {
        connections: Some(2),
        ..Load::open(200.0, ms(500))
    };
    let mut bench = bench(http(&server, load));
    server.stall();
    bench.go(Slots::whole());
    bench.until(|c| c.in_flight >= 40).await;
    bench.run.set_lease(bench.clock.now());
    bench.run.set_lease(bench.after(60 * SECOND));
    server.resume();
    let c = bench.end().await.counters;
    assert!(c.dropped_lease >= 38, "{c:?}");
    assert_eq!((c.planned, c.ok), (100, server.served()));
}

/// To an engine thread that resumes after a suspension, the start is in the past: arrivals that
/// were due meanwhile are dropped, except those within `max_lateness`.
#[tokio::test]
async fn arrivals_later_than_max_lateness_are_dropped() {
    let server = Server::new(OK);
    let load = Load {
        max_lateness: ms(50),
        ..Load::open(500.0, SECOND)
    };
    let mut bench = bench_with(http(&server, load), 1, None);
    bench.run.set_lease(bench.after(60 * SECOND));
    bench.share(Slots::whole());
    let start = bench.clock.now();
    bench.until_time(start.plus_ns(400_000_000)).await;
    bench.run.set_start(start);
    let step = bench.end().await;
    let c = &step.counters;
    assert!((170..=260).contains(&c.dropped_late), "{c:?}");
    assert_eq!(
        (c.planned, c.dropped_lease, c.ok),
        (500, 0, server.served())
    );
    assert!(step.lag.max() <= 51_000, "{}", step.lag.max());
}

#[tokio::test]
async fn a_large_backlog_is_counted_without_a_burst() {
    let plan = Plan::new(Task::Sleep { ms: 0 }, Load::open(1_000_000.0, 10 * SECOND));
    let mut bench = bench_with(plan, 1, None);
    bench.share(Slots::range(0, 500_000));
    let start = bench.after(ms(5));
    bench.until_time(start.plus_ns(300_000_000)).await;
    bench.run.set_start(start);
    bench.until(|c| c.planned >= 150_000).await;
    bench.run.stop(StopMode::Now);
    let c = bench.end().await.counters;
    assert_eq!((c.sent, c.dropped_lease), (0, c.planned), "{c:?}");
}
