//! Source and target addresses of connections.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use super::server::{OK, Server};
use super::*;

#[tokio::test]
async fn listed_addresses_are_used_in_rotation() {
    let servers = [Server::new(OK), Server::new(OK), Server::new(OK)];
    let task = HttpTask {
        addresses: servers.iter().map(Server::address).collect(),
        disable_keepalive: true,
        ..HttpTask::get("http://nowhere.invalid/")
    };
    let plan = Plan::new(Task::Http(task), Load::open(300.0, ms(500)));
    let mut bench = bench_with(plan, 1, None);
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    assert_eq!((c.ok, c.failed), (150, 0), "{c:?}");
    for server in &servers {
        assert_eq!(server.served(), 50);
    }
}

#[tokio::test]
async fn a_listed_address_without_a_listener_fails_without_fallback() {
    let server = Server::new(OK);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unused = closed.local_addr().unwrap();
    drop(closed);
    let task = HttpTask {
        addresses: vec![server.address(), unused],
        disable_keepalive: true,
        ..HttpTask::get("http://nowhere.invalid/")
    };
    let plan = Plan::new(Task::Http(task), Load::open(100.0, ms(200)));
    let mut bench = bench_with(plan, 1, None);
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    assert_eq!((c.ok, c.failed), (10, 10), "{c:?}");
    assert!(
        c.errors.keys().all(|e| e.kind == "connect"),
        "{:?}",
        c.errors
    );
}

#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
#[tokio::test]
async fn source_addresses_are_used_in_rotation() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let from = Arc::new(Mutex::new(Vec::<IpAddr>::new()));
    let seen = from.clone();
    tokio::spawn(async move {
        while let Ok((_, peer)) = listener.accept().await {
            seen.lock().unwrap().push(peer.ip());
        }
    });
    let sources = [2, 3].map(|n| IpAddr::V4(Ipv4Addr::new(127, 0, 0, n)));
    let context = TaskContext {
        sources: sources.to_vec(),
        ..Default::default()
    };
    let plan = Plan::new(Task::Http(HttpTask::get(&url)), Load::open(100.0, ms(200)));
    let mut bench = bench_at(plan, 1, None, context);
    bench.go(Slots::whole());
    bench.end().await;
    let from = from.lock().unwrap();
    assert_eq!(from.len(), 20, "{from:?}");
    for source in sources {
        assert_eq!(
            from.iter().filter(|f| **f == source).count(),
            10,
            "{from:?}"
        );
    }
}
