//! The dashboard's files, and the requests of its form.

use super::*;

#[tokio::test]
async fn the_page_and_all_files_that_it_loads_are_served() {
    let s = served(None).await;
    let page = get(s.addr, "/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.head.contains("content-type: text/html"),
        "{}",
        page.head
    );
    let named = page
        .body
        .split('"')
        .filter(|part| part.starts_with("/assets/"));
    let mut files: Vec<String> = named.map(str::to_owned).collect();
    assert!(files.len() > 5, "{files:?}");
    // Including imports of scripts, transitively.
    let mut at = 0;
    while at < files.len() {
        let path = files[at].clone();
        at += 1;
        let kind = match path.rsplit('.').next() {
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            _ => "image/svg+xml",
        };
        let head = raw(s.addr, request(s.addr, "HEAD", &path, "")).await;
        assert_eq!(head.status, 200, "{path}");
        assert!(head.head.contains(kind), "{path}: {}", head.head);
        if head.head.contains("content-encoding: gzip") {
            continue;
        }
        let file = get(s.addr, &path).await;
        let folder = path.rsplit_once('/').unwrap().0.to_owned();
        for line in file.body.lines().filter(|l| l.starts_with("import ")) {
            let from = line.rsplit('"').nth(1).unwrap();
            let mut parts: Vec<&str> = folder.split('/').collect();
            for part in from.split('/') {
                match part {
                    "." => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            let import = parts.join("/");
            if !files.contains(&import) {
                files.push(import);
            }
        }
    }
    assert!(
        files.iter().any(|f| f == "/assets/pages/test.js"),
        "{files:?}"
    );
}

#[tokio::test]
async fn the_policy_forbids_external_resources_and_frames() {
    let s = served(None).await;
    for path in ["/", "/assets/js/main.js"] {
        let head = get(s.addr, path).await.head;
        for wanted in [
            "default-src 'none'",
            "script-src 'self';",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-cache",
        ] {
            assert!(head.contains(wanted), "{path} without {wanted}: {head}");
        }
    }
}

#[tokio::test]
async fn a_cached_file_is_not_sent_again() {
    let s = served(None).await;
    let first = get(s.addr, "/assets/js/main.js").await;
    let tag = first
        .head
        .lines()
        .find_map(|l| l.strip_prefix("etag: "))
        .unwrap();
    let known = format!("If-None-Match: W/\"0\", {tag}\r\n");
    let again = raw(s.addr, request(s.addr, "GET", "/assets/js/main.js", &known)).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let other = raw(s.addr, request(s.addr, "GET", "/assets/js/dom.js", &known)).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn an_unknown_file_is_not_found() {
    let s = served(None).await;
    for path in [
        "/assets/",
        "/assets/nothing.js",
        "/assets/../routes.rs",
        "/assets/js",
    ] {
        assert_eq!(get(s.addr, path).await.status, 404, "{path}");
    }
}

/// The page must be loaded before it can ask for the token; its data needs the token.
#[tokio::test]
async fn the_files_need_no_token_but_keep_the_other_checks() {
    let s = served(Some("secret")).await;
    assert_eq!(get(s.addr, "/").await.status, 200);
    assert_eq!(get(s.addr, "/assets/js/main.js").await.status, 200);
    assert_eq!(get(s.addr, "/api/v1/plan-schema").await.status, 401);
    let posted = post_json(s.addr, "/assets/js/main.js", "{}").await;
    assert_eq!(posted.status, 401);
    let origin = "Origin: http://evil.example\r\n";
    let framed = raw(s.addr, request(s.addr, "GET", "/", origin)).await;
    assert_eq!(framed.status, 403);
    let open = served(None).await;
    let rebound = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(open.addr, rebound).await.status, 403);
}

#[tokio::test]
async fn the_plan_schema_is_served() {
    let s = served(None).await;
    let answer = get(s.addr, "/api/v1/plan-schema").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), vajra_plan::schema());
}

const TOML: &str = "[task]\ntype = \"SLEEP\"\nms = 5\n[load]\nrate = 100\nduration = \"2s\"\n";

#[tokio::test]
async fn a_plan_is_previewed_and_its_canonical_form_can_be_started() {
    let mut s = served(None).await;
    let body = serde_json::json!({"toml": TOML}).to_string();
    let answer = post_json(s.addr, "/api/v1/plan", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let read = answer.json();
    assert_eq!(read["requests"], 200);
    assert_eq!(read["length_s"].as_f64().unwrap().round(), 2.0);
    assert_eq!(read["stages"][0]["name"], "sustain");
    let summary = read["summary"].as_str().unwrap();
    assert!(summary.contains("SLEEP 5 ms"), "{summary}");
    assert!(s.done.try_recv().is_err(), "a test was started");
    // The other two forms give the same plan, and so does the canonical form.
    let json = r#"{"task":{"type":"SLEEP","ms":5},"load":{"rate":100,"duration":"2s"}}"#;
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    for body in [
        serde_json::json!({ "json": json }),
        serde_json::json!({ "plan": value }),
        serde_json::json!({"plan": read["plan"]}),
    ] {
        let other = post_json(s.addr, "/api/v1/plan", &body.to_string()).await;
        assert_eq!(other.json()["plan"], read["plan"], "{body}: {}", other.body);
    }
    let start = serde_json::json!({"plan": read["plan"]}).to_string();
    assert_eq!(post_json(s.addr, "/api/v1/tests", &start).await.status, 201);
}

#[tokio::test]
async fn an_error_in_a_text_shows_the_line() {
    let s = served(None).await;
    let text = TOML.replace("[load]", "[lod]");
    let body = serde_json::json!({"toml": text}).to_string();
    let answer = post_json(s.addr, "/api/v1/plan", &body).await;
    assert_eq!(answer.status, 422);
    let problem = answer.json();
    assert_eq!(problem["field"], "lod");
    let detail = problem["detail"].as_str().unwrap();
    for part in [
        "did you mean `load`?",
        "--> plan.toml:4:2",
        "4 | [lod]",
        "  |  ^^^",
    ] {
        assert!(detail.contains(part), "no {part:?} in {detail}");
    }
}

#[tokio::test]
async fn an_error_in_a_json_plan_names_the_field() {
    let s = served(None).await;
    let body = r#"{"plan":{"task":{"type":"HTTP"},"load":{"rate":1,"duration":"1s"}}}"#;
    let answer = post_json(s.addr, "/api/v1/plan", body).await;
    assert_eq!(answer.status, 422);
    let problem = answer.json();
    assert_eq!(problem["field"], "task");
    // The form of the dashboard takes the key from the detail.
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("task.url: "), "{detail}");
}

#[tokio::test]
async fn data_files_and_local_processes_are_refused() {
    let s = served(None).await;
    let data = "[data.users]\nfile = \"/etc/passwd\"\n[[scenario]]\n[[scenario.step]]\n\
                url = \"http://127.0.0.1:1/\"\n[load]\nrate = 1\nduration = \"1s\"\n";
    let local = format!("{TOML}[local]\nnodes = 2\n");
    for (text, word) in [(data, "start-test"), (local.as_str(), "[local]")] {
        let body = serde_json::json!({"toml": text}).to_string();
        let answer = post_json(s.addr, "/api/v1/plan", &body).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains(word) && !detail.contains("root:"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn a_body_has_exactly_one_plan() {
    let s = served(None).await;
    for body in ["{}", r#"{"toml":"","json":""}"#] {
        assert_eq!(
            post_json(s.addr, "/api/v1/plan", body).await.status,
            400,
            "{body}"
        );
    }
}
