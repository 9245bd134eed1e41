//! Ending a run before its plan ends.

use super::server::OK;
use super::*;

#[tokio::test]
async fn a_graceful_stop_lets_requests_in_flight_finish() {
    let server = Server::new(OK);
    let mut bench = bench(http(&server, Load::open(100.0, 60 * SECOND)));
    bench.go(Slots::whole());
    bench.until(|c| c.ok >= 10).await;
    server.stall();
    let sent = bench.now().await.counters.sent;
    bench.until(|c| c.sent >= sent + 10).await;
    bench.run.stop(StopMode::Graceful {
        timeout: 10 * SECOND,
    });
    let stopped = bench.until_quiet().await;
    server.resume();
    let c = bench.end().await.counters;
    assert_eq!((c.planned, c.abandoned), (stopped.planned, 0), "{c:?}");
    assert_eq!((c.ok, c.sent), (server.served(), server.served()));
}

#[tokio::test]
async fn a_graceful_stop_abandons_requests_after_its_timeout() {
    let server = Server::new(OK);
    server.stall();
    let mut bench = bench(http(&server, Load::open(100.0, 60 * SECOND)));
    bench.go(Slots::whole());
    bench.until(|c| c.sent >= 10).await;
    bench.run.stop(StopMode::Graceful { timeout: ms(100) });
    let c = bench.end().await.counters;
    assert!(c.abandoned >= 10 && c.ok == 0, "{c:?}");
    server.resume();
}

#[tokio::test]
async fn an_immediate_stop_abandons_requests_in_flight() {
    let server = Server::new(OK);
    server.stall();
    let load = Load {
        connections: Some(4),
        ..Load::open(100.0, 60 * SECOND)
    };
    let mut bench = bench(http(&server, load));
    bench.go(Slots::whole());
    bench.until(|c| c.in_flight >= 20).await;
    bench.run.stop(StopMode::Now);
    let c = bench.end().await.counters;
    assert_eq!((c.abandoned, c.sent), (4, 4), "{c:?}");
    assert!(c.dropped_full >= 16, "{c:?}");
    server.resume();
}

#[tokio::test]
async fn a_run_that_never_started_stops() {
    let mut bench = bench(Plan::new(Task::Sleep { ms: 1 }, Load::open(100.0, SECOND)));
    bench.run.stop(StopMode::Now);
    assert_eq!(bench.end().await.counters, Counters::default());
}

#[tokio::test]
async fn dropping_a_run_ends_it() {
    let Bench {
        run,
        mut ended,
        clock,
        ..
    } = bench(Plan::new(
        Task::Sleep { ms: 1 },
        Load::open(100.0, 60 * SECOND),
    ));
    run.set_lease(clock.now().plus_ns(60_000_000_000));
    run.set_start(clock.now());
    run.set_share(1, Slots::whole(), Duration::ZERO);
    drop(run);
    assert_eq!(ended.recv().await, Some(()));
}
