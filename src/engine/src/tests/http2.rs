//! HTTP/2, against a server of the h2 crate.

use std::sync::Mutex;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::*;
use vajra_plan::HttpVersion;

/// Behavior of the server.
#[derive(Clone, Copy)]
enum Behavior {
    /// Responds with this number of bytes.
    Responds(usize),
    /// Sends GOAWAY after this number of requests on a connection.
    GoesAway(u64),
    /// Resets every stream.
    Resets,
    /// Closes the connection when it receives a request.
    Breaks,
    /// Never responds.
    Silent,
}

/// What the server has received.
#[derive(Debug, Default, Clone)]
struct Seen {
    connections: u64,
    requests: u64,
    /// Bytes of request bodies.
    received: u64,
    /// Most concurrent requests on a connection.
    concurrent: u64,
    authority: String,
    headers: http::HeaderMap,
}

struct H2Server {
    url: String,
    seen: Arc<Mutex<Seen>>,
}

impl H2Server {
    async fn start(behavior: Behavior) -> H2Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                tokio::spawn(serve(tcp, behavior, shared.clone()));
            }
        });
        H2Server { url, seen }
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    fn plan(&self, load: Load, streams: u32) -> Plan {
        let task = HttpTask {
            version: HttpVersion::Two,
            streams,
            ..HttpTask::get(&self.url)
        };
        Plan::new(Task::Http(task), load)
    }
}

/// Serves one connection.
pub async fn serve_h2<S: AsyncRead + AsyncWrite + Unpin>(io: S) {
    serve(io, Behavior::Responds(2), Arc::default()).await;
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    behavior: Behavior,
    seen: Arc<Mutex<Seen>>,
) {
    seen.lock().unwrap().connections += 1;
    let Ok(mut connection) = h2::server::handshake(io).await else {
        return;
    };
    let busy = Arc::new(Mutex::new(0));
    let mut requests = 0;
    while let Some(Ok((request, response))) = connection.accept().await {
        requests += 1;
        let (head, body) = request.into_parts();
        {
            let mut seen = seen.lock().unwrap();
            seen.requests += 1;
            seen.authority = head.uri.authority().unwrap().to_string();
            seen.headers = head.headers;
            let mut busy = busy.lock().unwrap();
            *busy += 1;
            seen.concurrent = seen.concurrent.max(*busy);
        }
        match behavior {
            Behavior::Breaks => return,
            Behavior::GoesAway(after) if requests == after => send_goaway(&mut connection),
            _ => {}
        }
        let (seen, busy) = (seen.clone(), busy.clone());
        tokio::spawn(async move {
            respond(behavior, body, response, &seen).await;
            *busy.lock().unwrap() -= 1;
        });
    }
}

fn send_goaway<S: AsyncRead + AsyncWrite + Unpin>(connection: &mut Connection<S, Bytes>) {
    connection.graceful_shutdown();
}

async fn respond(
    behavior: Behavior,
    mut body: RecvStream,
    mut response: SendResponse<Bytes>,
    seen: &Mutex<Seen>,
) {
    while let Some(Ok(data)) = body.data().await {
        seen.lock().unwrap().received += data.len() as u64;
        let _ = body.flow_control().release_capacity(data.len());
    }
    let size = match behavior {
        Behavior::Resets => return response.send_reset(Reason::REFUSED_STREAM),
        Behavior::Silent => return std::future::pending().await,
        Behavior::Responds(size) => size,
        _ => 2,
    };
    // The response time of the server, which allows for concurrent requests.
    pause_for(ms(2)).await;
    let Ok(mut sending) = response.send_response(http::Response::new(()), false) else {
        return;
    };
    let _ = sending.send_data(vec![b'x'; size].into(), true);
}

#[tokio::test]
async fn streams_share_the_connections_of_the_plan() {
    let server = H2Server::start(Behavior::Responds(2)).await;
    let load = Load {
        connections: Some(2),
        ..Load::open(1000.0, ms(500))
    };
    let mut bench = bench_with(server.plan(load, 50), 1, None);
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    let seen = server.seen();
    assert_eq!((c.planned, c.ok), (500, 500), "{c:?}");
    assert_eq!((seen.requests, c.status_codes[&200]), (500, 500));
    // The second one is opened only if a request finds no idle stream.
    assert!((1..=2).contains(&seen.connections), "{seen:?}");
    assert!(seen.concurrent > 1, "{seen:?}");
    assert!(server.url.contains(&seen.authority), "{seen:?}");
    assert!(
        seen.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("vajra/")
    );
    assert!(!seen.headers.contains_key("host"));
    assert!(c.bytes_sent > 0 && c.bytes_received > 1000, "{c:?}");
}

#[tokio::test]
async fn users_share_connections_in_groups() {
    let server = H2Server::start(Behavior::Responds(2)).await;
    let load = Load {
        requests: Some(400),
        ..Load::closed(20, 10 * SECOND)
    };
    let mut bench = bench_with(server.plan(load, 8), 1, None);
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    let seen = server.seen();
    assert_eq!((c.ok, seen.requests), (400, 400), "{c:?}");
    assert_eq!(seen.connections, 3);
    assert_eq!(seen.concurrent, 8);
}

#[tokio::test]
async fn no_request_is_lost_when_a_server_sends_goaway() {
    let server = H2Server::start(Behavior::GoesAway(50)).await;
    let load = Load {
        requests: Some(1000),
        ..Load::closed(20, 10 * SECOND)
    };
    let mut bench = bench_with(server.plan(load, 10), 1, None);
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    let seen = server.seen();
    assert_eq!((c.sent, c.ok, c.failed), (1000, 1000, 0), "{c:?}");
    assert_eq!(seen.requests, 1000);
    assert!(seen.connections >= 10, "{seen:?}");
}

#[tokio::test]
async fn a_stream_reset_fails_only_its_request() {
    let server = H2Server::start(Behavior::Resets).await;
    let load = Load {
        requests: Some(50),
        ..Load::closed(5, 10 * SECOND)
    };
    let mut bench = bench_with(server.plan(load, 5), 1, None);
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    assert_eq!((c.sent, c.failed), (50, 50), "{c:?}");
    assert!(
        c.errors.keys().all(|e| e.kind == "stream"),
        "{:?}",
        c.errors
    );
    assert_eq!(c.errors.len(), 1, "{:?}", c.errors);
    assert_eq!(server.seen().connections, 1);
}

#[tokio::test]
async fn a_lost_connection_fails_its_requests_and_is_replaced() {
    let server = H2Server::start(Behavior::Breaks).await;
    let load = Load {
        requests: Some(20),
        ..Load::closed(1, 10 * SECOND)
    };
    let mut bench = bench_with(server.plan(load, 1), 1, None);
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    assert_eq!((c.sent, c.failed), (20, 20), "{c:?}");
    assert!(c.errors.keys().all(|e| e.kind == "reset"), "{:?}", c.errors);
    assert_eq!(server.seen().connections, 20);
}

#[tokio::test]
async fn a_server_that_never_responds_causes_timeouts() {
    let server = H2Server::start(Behavior::Silent).await;
    let mut plan = server.plan(Load::open(100.0, ms(200)), 10);
    if let Task::Http(task) = &mut plan.task {
        task.timeout = ms(50);
    }
    let mut bench = bench_with(plan, 1, None);
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    assert_eq!((c.sent, c.failed), (20, 20), "{c:?}");
    assert!(
        c.errors.keys().all(|e| e.kind == "timeout"),
        "{:?}",
        c.errors
    );
    assert_eq!(server.seen().requests, 20);
}

#[tokio::test]
async fn bodies_larger_than_a_window_are_transferred_in_both_directions() {
    let server = H2Server::start(Behavior::Responds(6 << 20)).await;
    let load = Load {
        requests: Some(4),
        ..Load::closed(2, 10 * SECOND)
    };
    let mut plan = server.plan(load, 2);
    if let Task::Http(task) = &mut plan.task {
        task.method = "POST".into();
        task.body_size = Some(300_000);
    }
    let mut bench = bench_with(plan, 1, None);
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    assert_eq!(c.ok, 4, "{c:?}");
    assert_eq!(server.seen().received, 4 * 300_000);
    assert_eq!(server.seen().headers["content-length"], "300000");
    assert!(c.bytes_received > 4 * (6 << 20), "{c:?}");
}

#[tokio::test]
async fn an_http_1_server_is_reported() {
    let server = super::server::Server::new(super::server::OK);
    let task = HttpTask {
        version: HttpVersion::Two,
        ..HttpTask::get(&server.url())
    };
    let mut bench = bench(Plan::new(Task::Http(task), Load::open(50.0, ms(200))));
    bench.go(Slots::whole());
    let c = bench.end().await.counters;
    assert_eq!((c.ok, c.failed), (0, 10), "{c:?}");
    assert!(
        c.errors
            .keys()
            .all(|e| ["protocol", "reset"].contains(&&*e.kind)),
        "{:?}",
        c.errors
    );
}
