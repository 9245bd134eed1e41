//! Errors are problem details that name the cause and the field.

use super::*;

const PROBLEM: &str = "content-type: application/problem+json";

fn assert_problem(answer: &Answer, status: u16, words: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.head.contains(PROBLEM), "{}", answer.head);
    let json = answer.json();
    assert_eq!(json["status"], status);
    assert_eq!(json["type"], "about:blank");
    assert!(!json["title"].as_str().unwrap().is_empty());
    let detail = json["detail"].as_str().unwrap();
    for word in words {
        assert!(detail.contains(word), "no {word:?} in: {detail}");
    }
}

async fn started(body: &str) -> Answer {
    let s = served(None).await;
    post_json(s.addr, "/api/v1/tests", body).await
}

#[tokio::test]
async fn an_invalid_value_names_its_field() {
    let plan = r#"{"plan":{"task":{"type":"SLEEP","ms":1},"load":{"model":"open","rate":0,"duration":"1s"}}}"#;
    let answer = started(plan).await;
    assert_problem(&answer, 422, &["load.rate"]);
    assert_eq!(answer.json()["field"], "load.rate");
}

#[tokio::test]
async fn an_unknown_or_missing_field_of_the_plan_is_named() {
    let unknown = r#"{"plan":{"task":{"type":"SLEEP","ms":1},"load":{"model":"open","rate":1,"duration":"1s"},"lod":1}}"#;
    let answer = started(unknown).await;
    assert_problem(&answer, 422, &["unknown key `lod`", "did you mean `load`?"]);
    assert_eq!(answer.json()["field"], "lod");
    let missing = r#"{"plan":{"task":{"type":"SLEEP","ms":1}}}"#;
    let answer = started(missing).await;
    assert_problem(&answer, 422, &["the key `load` is missing"]);
    assert_eq!(answer.json()["field"], "load");
}

#[tokio::test]
async fn a_url_without_a_host_is_refused_with_its_field() {
    let plan = r#"{"plan":{"task":{"type":"HTTP","url":"http://"},"load":{"model":"open","rate":1,"duration":"1s"}}}"#;
    let answer = started(plan).await;
    assert_problem(&answer, 422, &[]);
    assert_eq!(answer.json()["field"], "task.url");
}

#[tokio::test]
async fn a_plan_cannot_start_processes_through_the_api() {
    let answer = started(r#"{"plan":{"local":{"nodes":3}}}"#).await;
    assert_problem(&answer, 422, &["command line only"]);
    assert_eq!(answer.json()["field"], "local");
}

#[tokio::test]
async fn an_invalid_body_is_a_bad_request() {
    assert_problem(&started("{").await, 400, &["{\"plan\": …}"]);
    assert_problem(&started("{}").await, 400, &["missing field `plan`"]);
    assert_problem(
        &started(r#"{"plan":{},"wait":3}"#).await,
        400,
        &["unknown field `wait`"],
    );
}

#[tokio::test]
async fn a_refusal_of_the_node_is_returned() {
    let plan = r#"{"plan":{"task":{"type":"SLEEP","ms":1},"load":{"model":"open","rate":1,"duration":"1s"}},"wait_for":3}"#;
    assert_problem(&started(plan).await, 409, &["too few nodes"]);
}

#[tokio::test]
async fn an_invalid_query_is_rejected_and_stops_nothing() {
    let mut s = served(None).await;
    for query in ["graceful=maybe", "gracefull=false"] {
        let path = format!("/api/v1/tests/latest?{query}");
        let answer = raw(s.addr, request(s.addr, "DELETE", &path, "")).await;
        assert_problem(&answer, 400, &["grace"]);
    }
    assert_problem(
        &get(s.addr, "/api/v1/nodes?task=HTTP").await,
        400,
        &["task"],
    );
    assert!(s.done.try_recv().is_err(), "a command reached the driver");
}

#[tokio::test]
async fn an_unknown_path_method_or_name_is_a_problem() {
    let s = served(None).await;
    assert_problem(&get(s.addr, "/api/v2/nodes").await, 404, &["docs/api.md"]);
    assert_problem(
        &get(s.addr, "/api/v1/nodes/zed").await,
        404,
        &["vajra-node nodes"],
    );
    assert_problem(&get(s.addr, "/api/v1/nodes/%ff").await, 400, &[]);
    let answer = raw(s.addr, request(s.addr, "PUT", "/api/v1/tests/latest", "")).await;
    assert_problem(&answer, 405, &["method"]);
    assert!(answer.head.contains("\r\nallow: "), "{}", answer.head);
}

#[tokio::test]
async fn an_unknown_full_id_is_not_found() {
    let s = served(None).await;
    let whole = "ffffffff-0000-7000-8000-000000000001";
    for path in ["", "/events"] {
        let path = format!("/api/v1/tests/{whole}{path}");
        assert_problem(&get(s.addr, &path).await, 404, &["no such test"]);
    }
}
