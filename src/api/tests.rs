//! The API over a driver that answers from memory.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::*;
use crate::node::handle::{Command, Progress};
use crate::plan::{Load, Plan, Task};
use crate::protocol::TestId;
use crate::report::{NodeEntry, NodeList, Pool, TestEntry, TestList};

const IDS: [&str; 2] = [
    "01990000-0000-7000-8000-000000000001",
    "01990000-0000-7000-8000-000000000002",
];

fn entry(name: &str, is_self: bool) -> NodeEntry {
    NodeEntry {
        peer: format!("peer-of-{name}"),
        incarnation: 1,
        name: name.into(),
        is_self,
        addresses: Vec::new(),
        version: "0".into(),
        status: "idle".into(),
        health: "healthy".into(),
        capacity: 10,
        load: 4,
        task_types: vec![if is_self {
            "HTTP".into()
        } else {
            "SLEEP".into()
        }],
        labels: Default::default(),
    }
}

fn progress(state: &str) -> Arc<Progress> {
    Arc::new(Progress {
        test_id: IDS[0].into(),
        state: state.into(),
        elapsed_s: 1.0,
        duration_s: 2.0,
        nodes: 1,
        asked: 5.0,
        users: 0,
        rate: 5.0,
        sent: 5,
        failed: 0,
        p50_ms: None,
        p99_ms: None,
        lag_p99_ms: None,
    })
}

fn answer(command: Command) {
    let known = |id: TestId| IDS.contains(&id.to_string().as_str());
    let missing = || {
        Err(crate::node::handle::CommandError::NotFound(
            "no such test".into(),
        ))
    };
    match command {
        Command::Nodes(reply) => {
            let nodes = vec![entry("a", true), entry("b", false)];
            let pool = Pool::of(&nodes);
            reply.send(NodeList { nodes, pool }).unwrap();
        }
        Command::Tests(reply) => {
            let tests = IDS.iter().rev().map(|id| TestEntry {
                test_id: (*id).into(),
                name: None,
                state: "running".into(),
                verdict: None,
                started_at: None,
            });
            reply
                .send(TestList {
                    tests: tests.collect(),
                })
                .unwrap();
        }
        Command::Start(_, _, reply) => reply.send(Ok(IDS[0].parse().unwrap())).unwrap(),
        Command::Stop(id, _, reply) => reply
            .send(if known(id) { Ok(()) } else { missing() })
            .unwrap(),
        Command::Watch(_, reply) => {
            let (sender, receiver) = broadcast::channel(4);
            sender.send(progress("running")).unwrap();
            sender.send(progress("ended")).unwrap();
            reply.send(Ok(receiver)).unwrap();
        }
        other => panic!("not expected: {other:?}"),
    }
}

async fn served(token: Option<&str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (handle, mut inbox) = NodeHandle::new();
    tokio::spawn(async move {
        while let Some(command) = inbox.recv().await {
            answer(command);
        }
    });
    tokio::spawn(serve(
        listener,
        handle,
        ApiOptions {
            token: token.map(Into::into),
        },
    ));
    addr
}

/// Status line and body of a request written by hand.
async fn raw(addr: SocketAddr, request: String) -> (u16, String) {
    tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        (status, response)
    })
    .await
    .unwrap()
}

fn get(addr: SocketAddr, path: &str, extra: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{extra}\r\n")
}

fn post(addr: SocketAddr, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /api/v1/tests HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn nodes_can_be_filtered_by_task_type() {
    let addr = served(None).await;
    let (status, all) = raw(addr, get(addr, "/api/v1/nodes", "")).await;
    assert_eq!(status, 200);
    assert!(all.contains("\"total\":2"), "{all}");
    let (_, some) = raw(addr, get(addr, "/api/v1/nodes?task_type=HTTP", "")).await;
    assert!(
        some.contains("\"total\":1") && !some.contains("peer-of-b"),
        "{some}"
    );
}

#[tokio::test]
async fn a_page_of_another_origin_or_a_rebound_name_is_refused() {
    let addr = served(None).await;
    let rebound = format!(
        "GET /api/v1/nodes HTTP/1.1\r\nHost: evil.example:{}\r\nConnection: close\r\n\r\n",
        addr.port()
    );
    assert_eq!(raw(addr, rebound).await.0, 403);
    assert_eq!(
        raw(
            addr,
            get(addr, "/api/v1/nodes", "Origin: http://evil.example\r\n")
        )
        .await
        .0,
        403
    );
    assert_eq!(
        raw(
            addr,
            get(addr, "/api/v1/nodes", &format!("Origin: http://{addr}\r\n"))
        )
        .await
        .0,
        200
    );
}

#[tokio::test]
async fn only_json_is_taken() {
    let addr = served(None).await;
    let (status, body) = raw(addr, post(addr, "text/plain", "{}")).await;
    assert_eq!(status, 415);
    assert!(body.contains("application/problem+json"), "{body}");
}

#[tokio::test]
async fn a_bad_plan_is_a_problem_that_names_the_field() {
    let addr = served(None).await;
    let plan = r#"{"plan":{"task":{"type":"SLEEP","ms":1},"load":{"model":"open","rate":0,"duration":"1s"}}}"#;
    let (status, body) = raw(addr, post(addr, "application/json", plan)).await;
    assert_eq!(status, 422, "{body}");
    assert!(body.contains("\"field\":\"load.rate\""), "{body}");
    let local = r#"{"plan":{"local":{"nodes":3}}}"#;
    let (status, body) = raw(addr, post(addr, "application/json", local)).await;
    assert_eq!(status, 422);
    assert!(body.contains("command line only"), "{body}");
}

#[tokio::test]
async fn an_api_with_a_token_answers_nobody_without_it() {
    let addr = served(Some("secret")).await;
    assert_eq!(raw(addr, get(addr, "/api/v1/nodes", "")).await.0, 401);
    assert_eq!(
        raw(
            addr,
            get(addr, "/api/v1/nodes", "Authorization: Bearer wrong!\r\n")
        )
        .await
        .0,
        401
    );
    let client = ApiClient::new(addr, Some("secret".into()));
    assert_eq!(client.nodes().await.unwrap().nodes.len(), 2);
}

#[test]
fn only_loopback_is_served_without_a_token() {
    let open = ApiOptions::default();
    assert!(open.check([127, 0, 0, 1].into()).is_ok());
    let refused = open.check([10, 0, 0, 1].into()).unwrap_err().to_string();
    assert!(refused.contains("VAJRA_API_TOKEN"), "{refused}");
    assert!(
        ApiOptions {
            token: Some("t".into())
        }
        .check([10, 0, 0, 1].into())
        .is_ok()
    );
}

#[tokio::test]
async fn the_client_starts_watches_and_stops() {
    let addr = served(None).await;
    let client = ApiClient::new(addr, None);
    client.health().await.unwrap();
    let plan = Plan::new(
        Task::Sleep { ms: 1 },
        Load::open(5.0, std::time::Duration::from_secs(1)),
    );
    let id = client.start(&plan).await.unwrap();
    assert_eq!(id, IDS[0]);
    let mut events = client.events(&id).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().state, "running");
    assert_eq!(events.next().await.unwrap().unwrap().state, "ended");
    assert!(events.next().await.is_none());
    client.stop("latest", true).await.unwrap();
    let ambiguous = client.stop("0199", true).await.unwrap_err().to_string();
    assert!(ambiguous.contains("more digits"), "{ambiguous}");
    let unknown = client.stop("ffff", true).await.unwrap_err().to_string();
    assert!(unknown.contains("vajra-node tests"), "{unknown}");
}

#[tokio::test]
async fn a_client_without_a_node_says_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let e = ApiClient::new(addr, None).nodes().await.unwrap_err();
    assert!(matches!(e, ClientError::Unreachable { .. }));
    assert!(e.to_string().contains("--api"), "{e}");
}
