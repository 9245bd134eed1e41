//! The OpenAPI document compared with the API.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::docs_page::operations;
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

/// The paths of the router, taken from its debug output, which has them in quotes.
fn paths_of_router() -> BTreeSet<String> {
    let (router, _) = routes().split_for_parts();
    let listed = format!("{router:?}");
    let quoted = listed.split('"').skip(1).step_by(2);
    let paths = quoted.filter(|q| q.starts_with('/'));
    // Without the fallback that every router has.
    let paths = paths.filter(|p| *p != "/" && !p.contains("__private"));
    paths.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_document_has_exactly_the_routes_of_the_router() {
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
async fn exactly_the_described_methods_are_supported() {
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
            // An endless response.
            if (method, path.as_str()) == ("GET", "/api/v1/events") {
                continue;
            }
            let answer = raw(s.addr, request(s.addr, method, &at, &head)).await;
            let supported = answer.status != 405;
            let is_described = described.contains(&(path.clone(), method.to_owned()));
            assert_eq!(
                supported, is_described,
                "{method} {path}: {}",
                answer.status
            );
        }
    }
}

#[tokio::test]
async fn all_references_resolve_and_plans_have_their_own_schema() {
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
async fn the_document_and_its_page_need_no_token_and_load_nothing() {
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
async fn metrics_need_the_token_and_have_the_accepted_media_type() {
    let s = served(Some("0123456789abcdef")).await;
    assert_eq!(get(s.addr, "/metrics").await.status, 401);
    let token = "Authorization: Bearer 0123456789abcdef\r\n";
    let page = raw(s.addr, request(s.addr, "GET", "/metrics", token)).await;
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
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let headers = format!("{token}{accept}");
    let open_metrics = raw(s.addr, request(s.addr, "GET", "/metrics", &headers)).await;
    assert!(
        open_metrics
            .head
            .contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{}",
        open_metrics.head
    );
    assert!(
        open_metrics.body.ends_with("# EOF\n"),
        "{}",
        open_metrics.body
    );
}
