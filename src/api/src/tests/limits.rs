//! Limits.

use super::*;
use vajra_plan::MAX_PLAN_BYTES;

#[tokio::test]
async fn event_streams_are_limited_and_a_closed_stream_frees_its_place() {
    let s = served(None).await;
    let client = ApiClient::new(s.addr, None);
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS {
        streams.push(client.events("latest").await.unwrap());
    }
    match client.events("latest").await.unwrap_err() {
        ClientError::Refused { status, detail } => {
            assert_eq!(status, 429);
            assert!(detail.contains("event streams"), "{detail}");
        }
        other => panic!("{other}"),
    }
    // The end of a test closes its streams.
    s.progress.send(progress(TestState::Ended)).unwrap();
    for stream in &mut streams {
        while stream.next().await.is_some() {}
    }
    client.events("latest").await.unwrap();
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let s = served(None).await;
    let body = "x".repeat(2 * MAX_PLAN_BYTES + 1);
    let answer = post_json(s.addr, "/api/v1/tests", &body).await;
    assert_eq!(answer.status, 413);
    assert!(
        answer.head.contains("application/problem+json"),
        "{}",
        answer.head
    );
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let s = served(None).await;
    let mut idle = Vec::new();
    for _ in 0..serve::MAX_CONNECTIONS {
        idle.push(tokio::net::TcpStream::connect(s.addr).await.unwrap());
    }
    let addr = s.addr;
    let mut waiting = tokio::spawn(async move { get(addr, "/healthz").await.status });
    // No connection closes, so there is no event to wait for.
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "served beyond the limit");
    idle.pop();
    assert_eq!(waiting.await.unwrap(), 200);
}
