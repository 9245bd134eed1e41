//! The swarm: events, connections and its stream; and pages of lists.

use super::*;
use vajra_results::{SwarmEvent, SwarmEventKind, SwarmLink, SwarmLinks};

pub(super) fn event(i: u32) -> SwarmEvent {
    SwarmEvent {
        at: "2026-01-02T03:04:05.000Z".into(),
        kind: SwarmEventKind::Joined,
        peer: PEER_B.into(),
        name: format!("n{i}"),
        text: "version 0".into(),
    }
}

pub(super) fn links() -> SwarmLinks {
    let link = SwarmLink {
        from: PEER_A.into(),
        to: PEER_B.into(),
        round_trip_ms: None,
        mesh: true,
    };
    SwarmLinks {
        links: vec![link],
        complete: false,
    }
}

fn ids(page: &serde_json::Value) -> Vec<&str> {
    let tests = page["tests"].as_array().unwrap();
    tests
        .iter()
        .map(|t| t["test_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn tests_are_listed_in_pages_newest_first() {
    let s = served(None).await;
    let page = async |query: &str| get(s.addr, &format!("/api/v1/tests{query}")).await.json();
    let all = page("").await;
    assert_eq!(ids(&all), [IDS[2], IDS[1], IDS[0]]);
    assert_eq!(all["next"], serde_json::Value::Null);
    let first = page("?limit=2").await;
    assert_eq!(ids(&first), [IDS[2], IDS[1]]);
    assert_eq!(first["next"], IDS[1]);
    let second = page(&format!("?limit=2&before={}", IDS[1])).await;
    assert_eq!(ids(&second), [IDS[0]]);
    assert_eq!(second["next"], serde_json::Value::Null);
    // `before` may be an id that does not exist.
    let between = "0199aaaa-0000-7000-8000-000000000009";
    assert_eq!(ids(&page(&format!("?before={between}")).await).len(), 2);
    assert_eq!(ids(&page("?before=latest").await), [IDS[1], IDS[0]]);
}

#[tokio::test]
async fn a_page_has_between_one_and_two_hundred_entries() {
    let s = served(None).await;
    for query in [
        "tests?limit=0",
        "tests?limit=201",
        "tests?limit=x",
        "tests?after=x",
        "swarm/events?limit=0",
        "swarm/events?limit=201",
    ] {
        let answer = get(s.addr, &format!("/api/v1/{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(get(s.addr, "/api/v1/tests?limit=200").await.status, 200);
    assert_eq!(get(s.addr, "/api/v1/tests?before=zz").await.status, 404);
}

#[tokio::test]
async fn swarm_events_are_listed_newest_first_a_hundred_by_default() {
    let s = served(None).await;
    let some = get(s.addr, "/api/v1/swarm/events").await.json();
    assert_eq!(some["events"].as_array().unwrap().len(), 100);
    assert_eq!(some["events"][0]["name"], "n199");
    let few = get(s.addr, "/api/v1/swarm/events?limit=3").await.json();
    assert_eq!(few["events"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn links_are_returned_as_reported_by_the_nodes() {
    let s = served(None).await;
    let links = get(s.addr, "/api/v1/swarm/links").await.json();
    assert_eq!(links["complete"], false);
    assert_eq!(links["links"][0]["to"], PEER_B);
    assert_eq!(links["links"][0]["round_trip_ms"], serde_json::Value::Null);
}

/// The next event of a stream: its name and its data.
async fn next(stream: &mut tokio::io::BufReader<tokio::net::TcpStream>) -> (String, String) {
    use tokio::io::AsyncBufReadExt as _;
    let mut name = String::new();
    loop {
        let mut line = String::new();
        assert!(
            stream.read_line(&mut line).await.unwrap() > 0,
            "the stream ended"
        );
        if let Some(event) = line.strip_prefix("event: ") {
            name = event.trim_end().to_owned();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            return (name, data.trim_end().to_owned());
        }
    }
}

async fn listen(addr: SocketAddr) -> tokio::io::BufReader<tokio::net::TcpStream> {
    use tokio::io::AsyncWriteExt as _;
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::io::BufReader::new(stream)
}

#[tokio::test]
async fn the_stream_has_the_nodes_and_the_newest_tests_and_events() {
    let s = served(None).await;
    let mut stream = listen(s.addr).await;
    for _ in 0..2 {
        let (name, data) = next(&mut stream).await;
        assert_eq!(name, "swarm");
        let now: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(now["nodes"]["pool"]["total"], 2);
        assert_eq!(ids(&now["tests"]), [IDS[2], IDS[1], IDS[0]]);
        assert_eq!(now["events"].as_array().unwrap().len(), 20);
    }
}

#[tokio::test]
async fn streams_of_the_swarm_and_of_tests_are_limited_together() {
    let s = served(None).await;
    let mut open = Vec::new();
    for _ in 0..MAX_STREAMS {
        let mut stream = listen(s.addr).await;
        next(&mut stream).await;
        open.push(stream);
    }
    assert_eq!(get(s.addr, "/api/v1/events").await.status, 429);
    let of_a_test = format!("/api/v1/tests/{}/events", IDS[0]);
    assert_eq!(get(s.addr, &of_a_test).await.status, 429);
}
