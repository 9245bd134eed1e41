//! The API's description against the API.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::page::operations;
use crate::routes::routes;

async fn document(s: &Served) -> Value {
    let answer = get(s.addr, "/api/v1/openapi.json").await;
    assert!(
        answer.head.contains("content-type: application/json"),
        "{}",
        answer.head
    );
    answer.json()
}

/// The paths of the router itself, as it lists them for debugging: between quotes, each
/// beginning with a slash.
fn paths_of_router() -> BTreeSet<String> {
    let (router, _) = routes().split_for_parts();
    let listed = format!("{router:?}");
    let quoted = listed.split('"').skip(1).step_by(2);
    let paths = quoted.filter(|q| q.starts_with('/'));
    // A fallback of its own that every router has.
    let paths = paths.filter(|p| *p != "/" && !p.contains("__private"));
    paths.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_route_is_in_the_document_and_the_other_way_round() {
    let s = served(None).await;
    let document = document(&s).await;
    let described: BTreeSet<String> = operations(&document)
        .map(|(path, ..)| path.to_owned())
        .collect();
    let routed = paths_of_router();
    assert!(routed.contains("/api/v1/tests/{id}"), "{routed:?}");
    assert_eq!(described, routed);
}

#[tokio::test]
async fn every_method_that_is_described_is_taken_and_no_other() {
    let s = served(None).await;
    let document = document(&s).await;
    let described: BTreeSet<(String, String)> = operations(&document)
        .map(|(path, method, _)| (path.to_owned(), method.to_uppercase()))
        .collect();
    let paths: BTreeSet<&String> = described.iter().map(|(path, _)| path).collect();
    for path in paths {
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            let kind = match method {
                "PUT" => "application/octet-stream",
                _ => "application/json",
            };
            let at = path
                .replace("{id}", "nosuch")
                .replace("{peer}", "nosuch")
                .replace("{digest}", "x");
            let head = format!("Content-Type: {kind}\r\n");
            // An answer without an end.
            if (method, path.as_str()) == ("GET", "/api/v1/events") {
                continue;
            }
            let answer = raw(s.addr, request(s.addr, method, &at, &head)).await;
            let taken = answer.status != 405;
            let is_described = described.contains(&(path.clone(), method.to_owned()));
            assert_eq!(taken, is_described, "{method} {path}: {}", answer.status);
        }
    }
}

/// Everything that is referred to is there.
#[tokio::test]
async fn no_reference_leads_nowhere_and_plans_have_their_own_schema() {
    let s = served(None).await;
    let document = document(&s).await;
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    for reference in &references {
        let at = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(at).is_some(), "{reference}");
    }
    assert!(references.contains("#/components/schemas/Plan"));
    let plan = &document["components"]["schemas"]["Plan"];
    assert!(plan["properties"]["load"].is_object(), "{plan}");
    assert!(!document.to_string().contains("$defs"));
}

fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(to)) = object.get("$ref") {
                into.insert(to.clone());
            }
            object.values().for_each(|v| collect(v, into));
        }
        Value::Array(values) => values.iter().for_each(|v| collect(v, into)),
        _ => {}
    }
}

#[tokio::test]
async fn all_errors_are_described_as_problems() {
    let s = served(None).await;
    let document = document(&s).await;
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("401"), "{method} {path}");
        for (status, response) in responses.iter().filter(|(s, _)| s.as_str() >= "400") {
            let schema = &response["content"]["application/problem+json"]["schema"];
            let problem = "#/components/schemas/Problem";
            assert_eq!(schema["$ref"], problem, "{method} {path} {status}");
        }
    }
}

#[tokio::test]
async fn the_description_needs_no_token_and_loads_nothing() {
    let s = served(Some("0123456789abcdef")).await;
    let page = get(s.addr, "/api/docs").await;
    assert_eq!(page.status, 200);
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    assert!(page.body.contains("POST</b> /api/v1/tests"));
    assert!(!page.body.contains("<script"));
    assert_eq!(get(s.addr, "/api/v1/openapi.json").await.status, 200);
}

#[tokio::test]
async fn metrics_need_the_token_and_are_in_prometheus_text_format() {
    let s = served(Some("0123456789abcdef")).await;
    assert_eq!(get(s.addr, "/metrics").await.status, 401);
    let shown = "Authorization: Bearer 0123456789abcdef\r\n";
    let page = raw(s.addr, request(s.addr, "GET", "/metrics", shown)).await;
    assert!(
        page.head
            .contains("content-type: text/plain; version=0.0.4"),
        "{}",
        page.head
    );
    assert!(
        page.body
            .contains("vajra_swarm_nodes{health=\"healthy\"} 2"),
        "{}",
        page.body
    );
}
