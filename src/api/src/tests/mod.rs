//! The API with a fake driver that answers from memory.
#![allow(clippy::unwrap_used)]

mod access;
mod blobs;
mod calls;
mod dashboard;
mod limits;
mod openapi;
mod problems;
mod swarm;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};

use super::*;
use crate::state::MAX_STREAMS;
use vajra_core::protocol::TestId;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_results::preflight::PreflightReport;
use vajra_results::timeline::MAX_POINTS;
use vajra_results::{
    NodeEntry, NodeHealth, NodeList, NodeStatus, Pool, TestEntry, TestList, TestResult,
};
use vajra_results::{Point, Timeline};
use vajra_runtime::blobs::Blobs;
use vajra_runtime::handle::{Command, CommandError, NodeHandle, Progress, Update};
use vajra_runtime::observe::Observation;

/// Tests of the fake driver, oldest first.
const IDS: [&str; 3] = [
    "01990000-0000-7000-8000-000000000001",
    "01990000-0000-7000-8000-000000000002",
    "0199aaaa-0000-7000-8000-00000000000a",
];
const PEER_A: &str = "12D3KooWEqnTdgqHnkkwarSrJjMeP2LJKpAyWaLbVxpGmXYM9xVs";
const PEER_B: &str = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq";

/// A command that reached the driver.
#[derive(PartialEq, Debug)]
enum Done {
    Start {
        name: Option<String>,
        wait_for: u32,
    },
    Stop(String, bool),
    Preflight(Option<String>),
    Drain(Option<String>),
    /// The caller of a start no longer waits.
    StartCancelled,
}

/// A served API, and the commands that reach its driver.
struct Served {
    addr: SocketAddr,
    done: mpsc::UnboundedReceiver<Done>,
    /// Progress of all tests.
    progress: broadcast::Sender<Arc<Update>>,
    /// The node's data files, at most 80 MiB.
    blobs: Blobs,
}

fn entry(name: &str, peer: &str, is_self: bool, task_type: &str) -> NodeEntry {
    NodeEntry {
        peer: peer.into(),
        incarnation: 1,
        name: name.into(),
        is_self,
        addresses: Vec::new(),
        version: "0".into(),
        status: NodeStatus::Idle,
        health: NodeHealth::Healthy,
        capacity: 10,
        load: 4,
        task_types: vec![task_type.into()],
        ..NodeEntry::default()
    }
}

fn progress(state: TestState) -> Arc<Update> {
    Arc::new(Update::Progress(line(state)))
}

fn line(state: TestState) -> Progress {
    Progress {
        test_id: IDS[0].into(),
        state,
        elapsed_s: 1.0,
        duration_s: 2.0,
        nodes: 1,
        planned: 5.0,
        users: 0,
        rate: 5.0,
        sent: 5,
        failed: 0,
        p50_ms: None,
        p99_ms: None,
        lag_p99_ms: None,
        no_coordinator_s: None,
    }
}

fn result_of(id: TestId) -> Arc<TestResult> {
    let mut result: TestResult = serde_json::from_str(vajra_fixtures::EMPTY_RESULT).unwrap();
    result.test_id = id.to_string();
    Arc::new(result)
}

/// A failed pre-flight check.
fn found() -> PreflightReport {
    let check = Check::new("target", Finding::Fail, "no node reaches a:1: refused").of("a:1");
    PreflightReport {
        schema: 1,
        verdict: Finding::Fail,
        plan: "00".into(),
        checks: vec![check.hint("start it").into()],
        nodes: Vec::new(),
    }
}

fn answer(
    command: Command,
    done: &mpsc::UnboundedSender<Done>,
    progress: &broadcast::Sender<Arc<Update>>,
    blobs: &Blobs,
) {
    let known = |id: TestId| match IDS.contains(&id.to_string().as_str()) {
        true => Ok(()),
        false => Err(CommandError::NotFound("no such test".into())),
    };
    match command {
        Command::Nodes(reply) => {
            let nodes = vec![
                entry("a", PEER_A, true, "HTTP"),
                entry("b", PEER_B, false, "SLEEP"),
            ];
            let pool = Pool::of(&nodes);
            let _ = reply.send(NodeList { nodes, pool });
        }
        Command::Tests(reply) => {
            let tests = IDS.iter().rev().map(|id| TestEntry {
                test_id: (*id).into(),
                name: None,
                state: TestState::Running,
                verdict: None,
                started_at: None,
            });
            let tests = tests.collect();
            let _ = reply.send(TestList { tests });
        }
        // The swarm has two nodes and does not grow.
        Command::Start(_, options, mut reply) if options.wait_for >= 1_000 => {
            let done = done.clone();
            tokio::spawn(async move {
                let _ = done.send(Done::Start {
                    name: None,
                    wait_for: options.wait_for,
                });
                reply.closed().await;
                let _ = done.send(Done::StartCancelled);
            });
        }
        Command::Start(_, options, reply) if options.wait_for > 2 => {
            let _ = reply.send(Err(CommandError::Refused("too few nodes".into())));
        }
        Command::Start(plan, _, reply)
            if plan.task.data().any(|(_, d)| blobs.has(d.digest).is_none()) =>
        {
            let _ = reply.send(Err(CommandError::Data {
                field: "data.users".into(),
                why: "is not here".into(),
            }));
        }
        Command::Start(plan, options, reply) => {
            let _ = done.send(Done::Start {
                name: plan.name.clone(),
                wait_for: options.wait_for,
            });
            let _ = reply.send(Ok(IDS[0].parse().unwrap()));
        }
        Command::Timeline(id, points, histograms, reply) => {
            let timeline = Timeline {
                test_id: id.to_string(),
                points: vec![Point {
                    to_s: points as f64,
                    histogram: histograms.then(String::new),
                    ..Point::default()
                }],
                ..Timeline::default()
            };
            let _ = reply.send(known(id).map(|()| timeline));
        }
        Command::Stop(id, graceful, reply) => {
            let _ = done.send(Done::Stop(id.to_string(), graceful));
            let _ = reply.send(known(id));
        }
        Command::Status(id, reply) => {
            let _ = reply.send(known(id).map(|()| result_of(id)));
        }
        Command::Watch(id, reply) => {
            let _ = reply.send(known(id).map(|()| progress.subscribe()));
        }
        Command::Preflight(plan, reply) => {
            let _ = done.send(Done::Preflight(plan.name.clone()));
            let _ = reply.send(found());
        }
        Command::Drain(peer, reply) => {
            let _ = done.send(Done::Drain(peer.map(|p| vajra_network::show_peer(&p))));
            let _ = reply.send(Ok(()));
        }
        Command::Observe(reply) => {
            let nodes = vec![
                entry("a", PEER_A, true, "HTTP"),
                entry("b", PEER_B, false, "SLEEP"),
            ];
            let pool = Pool::of(&nodes);
            let _ = reply.send(Box::new(Observation {
                nodes: NodeList { nodes, pool },
                by_state: Default::default(),
                tests: Vec::new(),
                network: None,
                libp2p: None,
                engine_threads: 1,
            }));
        }
        Command::Blobs(reply) => {
            let _ = reply.send(blobs.clone());
        }
        Command::SwarmEvents(limit, reply) => {
            let events = (0..200).rev().map(swarm::event).take(limit);
            let _ = reply.send(events.collect());
        }
        Command::SwarmLinks(reply) => {
            let _ = reply.send(swarm::links());
        }
        other => panic!("not expected: {other:?}"),
    }
}

async fn served(token: Option<&str>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (handle, mut inbox) = NodeHandle::new();
    let (commands, done) = mpsc::unbounded_channel();
    let (progress, _) = broadcast::channel(4);
    let all_progress = progress.clone();
    let blobs = Blobs::open(None, 80 << 20).unwrap();
    let all_blobs = blobs.clone();
    tokio::spawn(async move {
        while let Some(command) = inbox.recv().await {
            answer(command, &commands, &all_progress, &all_blobs);
        }
    });
    let token = token.map(Into::into);
    tokio::spawn(serve(listener, handle, test_options(token)));
    Served {
        addr,
        done,
        progress,
        blobs,
    }
}

/// A response.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// The response to a raw request, on a connection of its own.
async fn raw(addr: SocketAddr, request: impl Into<Vec<u8>>) -> Answer {
    let request = request.into();
    tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        stream.write_all(&request).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    })
    .await
    .unwrap()
}

/// A request with a Host header and these header lines, without a body.
fn request(addr: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{headers}\r\n")
}

/// A `POST` of a body.
fn post(addr: SocketAddr, path: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    let headers = format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n");
    request(addr, "POST", path, &headers) + body
}

async fn get(addr: SocketAddr, path: &str) -> Answer {
    raw(addr, request(addr, "GET", path, "")).await
}

async fn post_json(addr: SocketAddr, path: &str, body: &str) -> Answer {
    raw(addr, post(addr, path, "application/json", body)).await
}

/// Options with a recognisable build.
fn test_options(token: Option<String>) -> ApiOptions {
    ApiOptions {
        token,
        build: BuildInfo {
            version: env!("CARGO_PKG_VERSION"),
            commit: None,
            full: env!("CARGO_PKG_VERSION"),
        },
    }
}
