//! Access control.

use super::*;

#[tokio::test]
async fn a_host_name_other_than_loopback_is_refused() {
    let s = served(None).await;
    let port = s.addr.port();
    let with_host = |host: String| {
        format!("GET /api/v1/nodes HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    assert_eq!(
        raw(s.addr, with_host(format!("evil.example:{port}")))
            .await
            .status,
        403
    );
    assert_eq!(
        raw(s.addr, with_host(format!("localhost:{port}")))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let s = served(None).await;
    let with_origin = |origin: &str| {
        let origin = format!("Origin: {origin}\r\n");
        raw(s.addr, request(s.addr, "GET", "/api/v1/nodes", &origin))
    };
    for origin in [
        "http://evil.example",
        "null",
        "file://",
        &format!("ftp://{}", s.addr),
    ] {
        assert_eq!(with_origin(origin).await.status, 403, "{origin}");
    }
    assert_eq!(with_origin(&format!("http://{}", s.addr)).await.status, 200);
}

/// For example as an image, whose requests carry no Origin.
#[tokio::test]
async fn a_request_of_another_site_without_an_origin_is_refused() {
    let s = served(None).await;
    let fetched = |path: &'static str, site: &str| {
        let site = format!("Sec-Fetch-Site: {site}\r\n");
        raw(s.addr, request(s.addr, "GET", path, &site))
    };
    for path in ["/api/v1/tests/latest/timeline", "/api/v1/nodes", "/metrics"] {
        for site in ["cross-site", "same-site"] {
            assert_eq!(fetched(path, site).await.status, 403, "{path} {site}");
        }
    }
    for site in ["same-origin", "none"] {
        assert_eq!(fetched("/api/v1/nodes", site).await.status, 200, "{site}");
    }
    // Links of other sites to the dashboard work.
    assert_eq!(fetched("/", "cross-site").await.status, 200);
}

/// An invalid header must not count as absent.
#[tokio::test]
async fn an_origin_that_is_not_text_and_a_second_host_are_refused() {
    let s = served(None).await;
    let mut garbled =
        b"GET /api/v1/nodes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".to_vec();
    garbled.extend(b"Origin: http://\xe9vil\r\n\r\n");
    assert_eq!(raw(s.addr, garbled).await.status, 400);
    let twice = request(s.addr, "GET", "/api/v1/nodes", "Host: evil.example\r\n");
    assert_eq!(raw(s.addr, twice).await.status, 400);
}

#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    let s = served(None).await;
    let response = raw(
        s.addr,
        "GET /api/v1/nodes HTTP/1.1\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(response.status, 400);
}

/// Forms of other sites can send these media types without a CORS preflight request.
#[tokio::test]
async fn only_json_starts_a_test() {
    let mut s = served(None).await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let response = raw(s.addr, post(s.addr, "/api/v1/tests", kind, "{}")).await;
        assert_eq!(response.status, 415, "{kind}");
    }
    let without = raw(
        s.addr,
        request(s.addr, "POST", "/api/v1/nodes/self/drain", ""),
    )
    .await;
    assert_eq!(without.status, 415);
    assert!(s.done.try_recv().is_err(), "a command reached the driver");
    // Data files have a media type of their own.
    for kind in ["text/plain", "application/json"] {
        let headers = format!("Content-Type: {kind}\r\nContent-Length: 2\r\n");
        let path = format!("/api/v1/blobs/{}", "0".repeat(64));
        let put = request(s.addr, "PUT", &path, &headers) + "{}";
        let put = raw(s.addr, put).await;
        assert_eq!(put.status, 415, "{kind}");
    }
    let kind = "Application/JSON; charset=utf-8";
    let accepted = raw(s.addr, post(s.addr, "/api/v1/nodes/self/drain", kind, "{}")).await;
    assert_eq!(accepted.status, 200);
}

#[tokio::test]
async fn an_api_with_a_token_rejects_requests_without_it() {
    let s = served(Some("secret")).await;
    let with = |authorization: &str| {
        let line = format!("Authorization: {authorization}\r\n");
        raw(s.addr, request(s.addr, "GET", "/api/v1/nodes", &line))
    };
    let refused = get(s.addr, "/api/v1/nodes").await;
    assert_eq!(refused.status, 401);
    assert!(
        refused.head.contains("www-authenticate: bearer"),
        "{}",
        refused.head
    );
    for wrong in ["Bearer wrong!", "Bearer secre", "Bearer", "Basic secret"] {
        assert_eq!(with(wrong).await.status, 401, "{wrong}");
    }
    assert_eq!(with("Bearer secret").await.status, 200);
    let client = ApiClient::new(s.addr, Some("secret".into()));
    assert_eq!(client.nodes().await.unwrap().nodes.len(), 2);
}

#[tokio::test]
async fn with_a_token_any_host_is_accepted_and_health_needs_no_token() {
    let s = served(Some("secret")).await;
    let remote = "GET /healthz HTTP/1.1\r\nHost: node-7.example\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(s.addr, remote).await.status, 200);
    let remote = "GET /api/v1/nodes HTTP/1.1\r\nHost: node-7.example\r\nConnection: close\r\n\
               Authorization: Bearer secret\r\n\r\n";
    assert_eq!(raw(s.addr, remote).await.status, 200);
}

#[test]
fn only_loopback_is_served_without_a_token() {
    let open = ApiOptions::default();
    assert!(open.check([127, 0, 0, 1].into()).is_ok());
    assert!(open.check(std::net::Ipv6Addr::LOCALHOST.into()).is_ok());
    for exposed in [[10, 0, 0, 1], [0, 0, 0, 0]] {
        let refused = open.check(exposed.into()).unwrap_err().to_string();
        assert!(refused.contains("VAJRA_API_TOKEN"), "{refused}");
    }
    let token = Some("t".into());
    assert!(test_options(token).check([10, 0, 0, 1].into()).is_ok());
}
