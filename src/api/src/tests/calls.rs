//! What each request does and returns.

use super::*;
use vajra_plan::{Load, Plan, Task};

const PLAN: &str = r#"{"name":"n","task":{"type":"SLEEP","ms":1},"load":{"model":"open","rate":1,"duration":"1s"}}"#;

#[tokio::test]
async fn nodes_can_be_filtered_by_task_type_and_the_pool_with_them() {
    let s = served(None).await;
    let all = get(s.addr, "/api/v1/nodes").await.json();
    assert_eq!(
        (
            all["pool"]["total"].as_u64(),
            all["pool"]["available"].as_u64()
        ),
        (Some(2), Some(12))
    );
    let some = get(s.addr, "/api/v1/nodes?task_type=SLEEP").await.json();
    assert_eq!(some["pool"]["total"], 1);
    assert_eq!(some["nodes"][0]["name"], "b");
}

#[tokio::test]
async fn a_node_is_found_by_peer_id_prefix_suffix_name_or_self() {
    let s = served(None).await;
    for (wanted, name) in [
        (PEER_B, "b"),
        ("b", "b"),
        ("12D3KooWJWoa", "b"),
        ("Lr2NASuq", "b"),
        ("self", "a"),
    ] {
        let node = get(s.addr, &format!("/api/v1/nodes/{wanted}")).await.json();
        assert_eq!(node["name"], name, "{wanted}");
    }
    assert_eq!(get(s.addr, "/api/v1/nodes/12D3KooW").await.status, 409);
    assert_eq!(get(s.addr, "/api/v1/nodes/Suq").await.status, 404);
}

#[tokio::test]
async fn the_named_node_is_drained() {
    let mut s = served(None).await;
    let client = ApiClient::new(s.addr, None);
    assert_eq!(client.drain(None).await.unwrap().name, "a");
    assert_eq!(s.done.recv().await.unwrap(), Done::Drain(None));
    assert_eq!(client.drain(Some("b")).await.unwrap().peer, PEER_B);
    assert_eq!(
        s.done.recv().await.unwrap(),
        Done::Drain(Some(PEER_B.into()))
    );
}

#[tokio::test]
async fn a_start_passes_the_plan_on_and_returns_the_location_of_the_test() {
    let mut s = served(None).await;
    let body = format!(r#"{{"plan":{PLAN},"wait_for":2}}"#);
    let answer = post_json(s.addr, "/api/v1/tests", &body).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["test_id"], IDS[0]);
    let location = format!("location: /api/v1/tests/{}", IDS[0]);
    assert!(answer.head.contains(&location), "{}", answer.head);
    let started = Done::Start {
        name: Some("n".into()),
        wait_for: 2,
    };
    assert_eq!(s.done.recv().await.unwrap(), started);
}

#[tokio::test]
async fn a_failed_preflight_is_a_successful_response() {
    let mut s = served(None).await;
    let answer = post_json(
        s.addr,
        "/api/v1/preflight",
        &format!(r#"{{"plan":{PLAN}}}"#),
    )
    .await;
    assert_eq!(answer.status, 200);
    let report = answer.json();
    assert_eq!(report["verdict"], "fail");
    assert_eq!(report["checks"][0]["finding"], "fail");
    assert_eq!(report["checks"][0]["subject"], "a:1");
    assert_eq!(
        s.done.recv().await.unwrap(),
        Done::Preflight(Some("n".into()))
    );
    let plan = vajra_plan::parse_json(PLAN.as_bytes()).unwrap();
    let client = ApiClient::new(s.addr, None);
    assert_eq!(client.preflight(&plan).await.unwrap(), found());
    let local = r#"{"plan":{"local":{"nodes":2}}}"#;
    assert_eq!(
        post_json(s.addr, "/api/v1/preflight", local).await.status,
        422
    );
}

#[tokio::test]
async fn closing_the_connection_cancels_the_start() {
    use tokio::io::AsyncWriteExt as _;
    let mut s = served(None).await;
    let mut caller = tokio::net::TcpStream::connect(s.addr).await.unwrap();
    let body = format!(r#"{{"plan":{PLAN},"wait_for":1000}}"#);
    let request = post(s.addr, "/api/v1/tests", "application/json", &body);
    caller.write_all(request.as_bytes()).await.unwrap();
    let started = Done::Start {
        name: None,
        wait_for: 1_000,
    };
    assert_eq!(s.done.recv().await.unwrap(), started);
    drop(caller);
    assert_eq!(s.done.recv().await.unwrap(), Done::StartCancelled);
}

#[tokio::test]
async fn a_stop_is_graceful_by_default() {
    let mut s = served(None).await;
    for (query, graceful) in [
        ("", true),
        ("?graceful=true", true),
        ("?graceful=false", false),
    ] {
        let path = format!("/api/v1/tests/{}{query}", IDS[1]);
        let answer = raw(s.addr, request(s.addr, "DELETE", &path, "")).await;
        assert_eq!(
            (answer.status, answer.json()["test_id"].as_str()),
            (202, Some(IDS[1]))
        );
        assert_eq!(
            s.done.recv().await.unwrap(),
            Done::Stop(IDS[1].into(), graceful)
        );
    }
}

#[tokio::test]
async fn a_test_is_found_by_id_prefix_or_as_the_latest() {
    let s = served(None).await;
    let client = ApiClient::new(s.addr, None);
    for (wanted, id) in [
        (IDS[0], IDS[0]),
        ("latest", IDS[2]),
        ("0199a", IDS[2]),
        ("0199AAAA-", IDS[2]),
        ("0199aaaa0000", IDS[2]),
        ("01990000-0000-7000-8000-000000000002", IDS[1]),
    ] {
        assert_eq!(client.status(wanted).await.unwrap().test_id, id, "{wanted}");
    }
}

#[tokio::test]
async fn an_ambiguous_or_unknown_prefix_is_refused_with_a_hint() {
    let s = served(None).await;
    let client = ApiClient::new(s.addr, None);
    let refused = |wanted: &'static str| {
        let client = &client;
        async move {
            match client.stop(wanted, true).await.unwrap_err() {
                ClientError::Refused { status, detail } => (status, detail),
                other => panic!("{other}"),
            }
        }
    };
    let (status, why) = refused("0199").await;
    assert_eq!(status, 409);
    assert!(
        why.contains("3 tests") && why.contains("more digits"),
        "{why}"
    );
    for unknown in ["ffff", "019", "../nodes"] {
        let (status, why) = refused(unknown).await;
        assert_eq!(status, 404, "{unknown}");
        assert!(why.contains("vajra-node tests"), "{why}");
    }
}

#[tokio::test]
async fn tests_are_listed_newest_first() {
    let s = served(None).await;
    let list = ApiClient::new(s.addr, None).tests().await.unwrap();
    let ids: Vec<_> = list.tests.iter().map(|t| t.test_id.as_str()).collect();
    assert_eq!(ids, [IDS[2], IDS[1], IDS[0]]);
}

#[tokio::test]
async fn the_version_is_the_binarys() {
    let s = served(None).await;
    let version = get(s.addr, "/api/v1/version").await.json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_client_starts_a_plan() {
    let mut s = served(None).await;
    let plan = Plan::new(
        Task::Sleep { ms: 1 },
        Load::open(5.0, std::time::Duration::from_secs(1)),
    );
    let id = ApiClient::new(s.addr, None).start(&plan).await.unwrap();
    assert_eq!(id, IDS[0]);
    let started = Done::Start {
        name: None,
        wait_for: 0,
    };
    assert_eq!(s.done.recv().await.unwrap(), started);
}

#[tokio::test]
async fn the_event_stream_ends_with_the_test() {
    let s = served(None).await;
    let mut events = ApiClient::new(s.addr, None).events("latest").await.unwrap();
    s.progress.send(progress(TestState::Running)).unwrap();
    assert_eq!(
        events.next().await.unwrap().unwrap(),
        *progress(TestState::Running)
    );
    s.progress.send(progress(TestState::Ended)).unwrap();
    assert_eq!(
        events.next().await.unwrap().unwrap(),
        *progress(TestState::Ended)
    );
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn events_carry_their_names() {
    let s = served(None).await;
    let addr = s.addr;
    let watching = tokio::spawn(async move { get(addr, "/api/v1/tests/latest/events").await });
    while s.progress.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    s.progress.send(progress(TestState::Running)).unwrap();
    let point = Update::Point(Box::default());
    s.progress.send(Arc::new(point)).unwrap();
    s.progress.send(progress(TestState::Ended)).unwrap();
    let answer = watching.await.unwrap();
    assert!(
        answer.head.contains("content-type: text/event-stream"),
        "{}",
        answer.head
    );
    let named = |name: &str| answer.body.contains(&format!("event: {name}\ndata: {{"));
    let all = named("progress") && named("point") && named("ended");
    assert!(all, "{}", answer.body);
}

#[tokio::test]
async fn a_timeline_has_the_requested_resolution() {
    let s = served(None).await;
    let client = ApiClient::new(s.addr, None);
    let timeline = client.timeline("latest", 7, true).await.unwrap();
    let point = &timeline.points[0];
    assert_eq!((point.to_s, point.histogram.is_some()), (7.0, true));
    let path = format!("/api/v1/tests/{}/timeline", IDS[0]);
    let whole: Timeline = serde_json::from_str(&get(s.addr, &path).await.body).unwrap();
    assert_eq!(whole.points[0].to_s, MAX_POINTS as f64);
    for (query, status) in [("?points=0", 400), ("?points=x", 400), ("?point=1", 400)] {
        assert_eq!(get(s.addr, &format!("{path}{query}")).await.status, status);
    }
}

#[tokio::test]
async fn a_slow_client_misses_events_and_continues_with_the_newest() {
    let s = served(None).await;
    let mut events = ApiClient::new(s.addr, None).events("latest").await.unwrap();
    // More than the channel holds, before the stream's task runs once.
    for i in 0..40 {
        let mut line = line(TestState::Running);
        line.sent = i;
        s.progress.send(Arc::new(Update::Progress(line))).unwrap();
    }
    s.progress.send(progress(TestState::Ended)).unwrap();
    let mut sent = Vec::new();
    while let Some(event) = events.next().await {
        match event.unwrap() {
            Update::Progress(line) if line.state == TestState::Running => sent.push(line.sent),
            _ => {}
        }
    }
    assert!(
        sent.len() < 40 && sent.is_sorted() && sent.last() == Some(&39),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_node_without_a_driver_is_unhealthy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (handle, inbox) = NodeHandle::new();
    tokio::spawn(serve(listener, handle, test_options(None)));
    drop(inbox);
    assert_eq!(get(addr, "/healthz").await.status, 503);
    let s = served(None).await;
    let healthy = get(s.addr, "/healthz").await;
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "ok\n"));
    ApiClient::new(s.addr, None).health().await.unwrap();
}

#[tokio::test]
async fn the_error_without_a_node_has_a_hint() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let e = ApiClient::new(addr, None).nodes().await.unwrap_err();
    assert!(matches!(e, ClientError::Unreachable { .. }));
    assert!(e.to_string().contains("--api"), "{e}");
}

#[tokio::test]
async fn a_server_that_is_not_a_node_is_recognised() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                .await;
        }
    });
    let e = ApiClient::new(addr, None).nodes().await.unwrap_err();
    assert!(matches!(e, ClientError::InvalidResponse { .. }), "{e}");
}
