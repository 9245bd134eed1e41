//! Arrivals of the open model.

use super::server::OK;
use super::*;
use vajra_plan::SLOTS;

#[tokio::test]
async fn the_server_receives_exactly_the_planned_requests() {
    let server = Server::new(OK);
    let load = Load {
        warm_up: ms(200),
        ramp_up: ms(300),
        ..Load::open(500.0, ms(500))
    };
    let mut bench = bench(http(&server, load));
    bench.go(Slots::whole());
    let step = bench.end().await;
    let c = &step.counters;
    assert_eq!((c.planned, c.ok), (343, 343), "{c:?}");
    assert_eq!(server.served(), 343);
    assert_eq!(c.warm_up, 10);
    for h in [&step.response, &step.service, &step.lag] {
        assert_eq!(h.len(), 333);
    }
    assert_eq!(c.status_codes[&200], 343);
    assert!(
        c.bytes_sent > 343 * 30 && c.bytes_received == 343 * OK.len() as u64,
        "{c:?}"
    );
}

#[tokio::test]
async fn complementary_shares_together_send_exactly_the_plan() {
    let server = Server::new(OK);
    let plan = http(
        &server,
        Load {
            ramp_up: ms(400),
            ..Load::open(1000.0, ms(400))
        },
    );
    let cut = 345_678;
    let mut first = bench(plan.clone());
    let mut second = bench_with(plan, 3, None);
    let rest = Slots::range(900_000 + cut - SLOTS, 900_000);
    first.go(Slots::whole().difference(&rest));
    second.go(rest);
    let (a, b) = (first.end().await.counters, second.end().await.counters);
    assert_eq!(a.ok + b.ok, 620, "{a:?} {b:?}");
    assert_eq!(server.served(), 620);
    let fair = 620.0 * f64::from(cut) / f64::from(SLOTS);
    assert!((a.ok as f64 - fair).abs() < 4.0, "{} of {fair}", a.ok);
}

/// The target stalls for half a second: requests are still sent, and the percentiles show the
/// stall.
#[tokio::test]
async fn a_stall_increases_response_times_and_does_not_delay_arrivals() {
    let server = Server::new(OK);
    let mut bench = bench(http(&server, Load::open(400.0, ms(1500))));
    bench.go(Slots::whole());
    bench.until(|c| c.ok >= 100).await;
    server.stall();
    let before = bench.now().await.counters.sent;
    pause_for(ms(500)).await;
    let sent = bench.now().await.counters.sent - before;
    server.resume();
    assert!(
        sent > 150,
        "only {sent} requests were sent while the target stalled"
    );
    let step = bench.end().await;
    assert_eq!(step.counters.ok, 600);
    assert_eq!(server.served(), 600);
    let percentile = |p| step.response.value_at_quantile(p) / 1000;
    assert!(percentile(0.5) < 100, "p50 {} ms", percentile(0.5));
    assert!(
        (350..600).contains(&percentile(0.99)),
        "p99 {} ms",
        percentile(0.99)
    );
    assert!(
        step.lag.value_at_quantile(0.9) < 50_000,
        "lag {} µs",
        step.lag.value_at_quantile(0.9)
    );
}

#[tokio::test]
async fn a_wait_for_a_connection_counts_as_response_time_and_not_as_lag() {
    let server = Server::new(OK);
    let mut bench = bench(http(
        &server,
        Load {
            connections: Some(1),
            ..Load::open(200.0, ms(600))
        },
    ));
    bench.go(Slots::whole());
    bench.until(|c| c.ok >= 20).await;
    server.stall();
    bench.until(|c| c.in_flight >= 60).await;
    server.resume();
    let step = bench.end().await;
    assert_eq!(
        (step.counters.ok, server.served(), server.connections()),
        (120, 120, 1)
    );
    assert!(
        step.response.max() > 250_000,
        "response {}",
        step.response.max()
    );
    let service = step.service.value_at_quantile(0.9);
    assert!(service < 100_000, "service {service}");
    assert!(
        step.lag.value_at_quantile(0.9) < 50_000,
        "lag {}",
        step.lag.max()
    );
}

#[tokio::test]
async fn arrivals_beyond_max_in_flight_are_dropped_and_counted() {
    let server = Server::new(OK);
    server.stall();
    let mut bench = bench(http(
        &server,
        Load {
            max_in_flight: Some(10),
            ..Load::open(200.0, ms(500))
        },
    ));
    bench.go(Slots::whole());
    let full = bench.until(|c| c.planned == 100).await;
    assert_eq!((full.in_flight, full.dropped_full), (10, 90));
    server.resume();
    let c = bench.end().await.counters;
    assert_eq!((c.ok, c.dropped_full, server.served()), (10, 90, 10));
}

#[tokio::test]
async fn a_later_share_starts_with_arrivals_due_from_then_on() {
    let server = Server::new(OK);
    let mut bench = bench(http(&server, Load::open(1000.0, SECOND)));
    bench.go(Slots::range(0, SLOTS / 2));
    let before = bench.until(|c| c.planned >= 200).await.planned;
    bench.share(Slots::whole());
    let c = bench.end().await.counters;
    // Arrivals of the other half before then are not made up for.
    assert!(before >= 200, "{before}");
    assert!((before..=1_000 - 199).contains(&c.planned), "{c:?}");
    assert_eq!(c.ok, server.served());
}

#[tokio::test]
async fn the_limit_of_requests_ends_the_load() {
    let server = Server::new(OK);
    let load = Load {
        requests: Some(50),
        ..Load::open(500.0, 60 * SECOND)
    };
    let mut bench = bench(http(&server, load));
    bench.go(Slots::whole());
    assert_eq!(bench.end().await.counters.ok, 50);
    assert_eq!(server.served(), 50);
}

#[tokio::test]
async fn failures_are_counted_by_kind() {
    let server = Server::new("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    let garbage = Server::new("SSH-2.0-x\r\n\r\n\r\n");
    let refused = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let silent = Server::new(OK);
    silent.stall();
    for (url, kind) in [
        (server.url(), "status"),
        (garbage.url(), "protocol"),
        (refused, "connect"),
        (silent.url(), "timeout"),
        ("http://no..such.host/".into(), "dns"),
        ("http://0.0.0.0/".into(), "policy"),
    ] {
        let task = HttpTask {
            timeout: ms(50),
            ..HttpTask::get(&url)
        };
        let mut bench = bench(Plan::new(Task::Http(task), Load::open(50.0, ms(200))));
        bench.go(Slots::whole());
        let step = bench.end().await;
        let c = &step.counters;
        assert_eq!(
            (c.sent, c.failed, c.errors.len()),
            (10, 10, 1),
            "{kind}: {c:?}"
        );
        let (error, count) = c.errors.first_key_value().unwrap();
        assert_eq!((error.kind.as_str(), count.count), (kind, 10), "{c:?}");
        assert_eq!(step.response.len(), 10);
    }
}

#[tokio::test]
async fn without_keep_alive_each_request_opens_a_connection() {
    let server = Server::new(OK);
    let task = HttpTask {
        disable_keepalive: true,
        ..HttpTask::get(&server.url())
    };
    let mut bench = bench(Plan::new(Task::Http(task), Load::open(100.0, ms(300))));
    bench.go(Slots::whole());
    assert_eq!(bench.end().await.counters.ok, 30);
    assert_eq!((server.served(), server.connections()), (30, 30));
}

#[tokio::test]
async fn a_server_that_closes_after_each_response_causes_no_failure() {
    let server = Server::new("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    let mut bench = bench(http(&server, Load::open(100.0, ms(300))));
    bench.go(Slots::whole());
    assert_eq!(bench.end().await.counters.ok, 30);
    assert_eq!(server.served(), 30);
}

#[tokio::test]
async fn raw_values_are_written_as_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::new(Task::Sleep { ms: 1 }, Load::open(200.0, ms(300)));
    let mut bench = bench_with(plan, 2, Some(dir.path().join("raw")));
    bench.go(Slots::whole());
    let step = bench.end().await;
    let mut expected = step.response.clone();
    expected.reset();
    for file in std::fs::read_dir(dir.path().join("raw")).unwrap() {
        for line in std::fs::read_to_string(file.unwrap().path())
            .unwrap()
            .lines()
            .skip(1)
        {
            expected
                .record(line.split(',').next().unwrap().parse().unwrap())
                .unwrap();
        }
    }
    assert_eq!((expected.len(), &expected), (60, &step.response));
}

#[tokio::test]
async fn a_fixed_number_of_connections_is_opened_before_the_start() {
    let server = Server::new(OK);
    let fixed = Load {
        connections: Some(5),
        ..Load::open(100.0, ms(200))
    };
    for (load, expected) in [(fixed, 5), (Load::closed(3, ms(200)), 3)] {
        let before = server.connections();
        let mut bench = bench(http(&server, load));
        bench.run.set_lease(bench.after(60 * SECOND));
        bench.run.set_start(bench.after(ms(500)));
        bench.share(Slots::whole());
        eventually(|| server.connections() >= before + expected).await;
        assert_eq!(
            bench.now().await.counters.sent,
            0,
            "nothing is sent before the start"
        );
        bench.end().await;
        assert_eq!(
            server.connections(),
            before + expected,
            "no further connection was needed"
        );
    }
}
