//! Data files: upload, download, and use in plans.

use super::*;
use vajra_plan::{Blob, Load, MAX_DATA_FILE, Plan, Sha256, Task, parse_plan};

fn path(digest: Sha256) -> String {
    format!("/api/v1/blobs/{digest}")
}

fn put(addr: SocketAddr, digest: Sha256, headers: &str, body: &[u8]) -> Vec<u8> {
    let headers = format!("Content-Type: application/octet-stream\r\n{headers}");
    let mut all = request(addr, "PUT", &path(digest), &headers).into_bytes();
    all.extend_from_slice(body);
    all
}

fn sized(addr: SocketAddr, digest: Sha256, body: &[u8]) -> Vec<u8> {
    put(
        addr,
        digest,
        &format!("Content-Length: {}\r\n", body.len()),
        body,
    )
}

#[tokio::test]
async fn a_file_is_stored_once_and_read_back() {
    let s = served(None).await;
    let digest = Sha256::of(b"name\nann\n");
    let absent = get(s.addr, &path(digest)).await;
    assert_eq!(absent.status, 404);
    assert!(absent.body.contains("PUT it here"), "{}", absent.body);
    let created = raw(s.addr, sized(s.addr, digest, b"name\nann\n")).await;
    assert_eq!(
        (created.status, created.json()["bytes"].as_u64()),
        (201, Some(9))
    );
    assert_eq!(created.json()["digest"], digest.to_string());
    let again = raw(s.addr, sized(s.addr, digest, b"name\nann\n")).await;
    assert_eq!(
        (again.status, again.json()["bytes"].as_u64()),
        (200, Some(9))
    );
    let found = get(s.addr, &path(digest)).await;
    assert_eq!((found.status, found.body.as_str()), (200, "name\nann\n"));
    let head = raw(s.addr, request(s.addr, "HEAD", &path(digest), "")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.head.contains("content-length: 9"), "{}", head.head);
}

#[tokio::test]
async fn a_chunked_body_is_accepted() {
    let s = served(None).await;
    let digest = Sha256::of(b"name\nann\n");
    let body = b"5\r\nname\n\r\n4\r\nann\n\r\n0\r\n\r\n";
    let headers = "Transfer-Encoding: chunked\r\n";
    let created = raw(s.addr, put(s.addr, digest, headers, body)).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert_eq!(s.blobs.has(digest), Some(9));
}

#[tokio::test]
async fn bytes_that_do_not_match_the_digest_are_refused() {
    let s = served(None).await;
    let digest = Sha256::of(b"a");
    let refused = raw(s.addr, sized(s.addr, digest, b"b")).await;
    assert_eq!(refused.status, 422);
    let found = Sha256::of(b"b").to_string();
    assert!(refused.body.contains(&found), "{}", refused.body);
    assert_eq!(s.blobs.has(digest), None);
    let odd = request(s.addr, "GET", "/api/v1/blobs/abc", "");
    let odd = raw(s.addr, odd).await;
    assert_eq!(odd.status, 400);
    assert!(odd.body.contains("64 hex digits"), "{}", odd.body);
}

#[tokio::test]
async fn a_file_that_is_too_large_or_does_not_fit_is_refused() {
    let s = served(None).await;
    let client = ApiClient::new(s.addr, None);
    let of = |n: u64, byte: u8| {
        let bytes = vec![byte; n as usize];
        let digest = Sha256::of(&bytes);
        Blob {
            digest,
            bytes: bytes.into(),
        }
    };
    let status = |e: ClientError| match e {
        ClientError::Refused { status, detail } => (status, detail),
        other => panic!("{other}"),
    };
    let largest = of(MAX_DATA_FILE, 1);
    client.put_blob(&largest).await.unwrap();
    let _hold = s.blobs.hold([largest.digest]);
    let (code, why) = status(client.put_blob(&of(17 << 20, 2)).await.unwrap_err());
    assert_eq!(code, 507, "{why}");
    assert!(why.contains("no space left"), "{why}");
    // Read up to the limit and no further, whether the node has the file or not.
    for digest in [largest.digest, Sha256::of(b"x")] {
        let headers = "Transfer-Encoding: chunked\r\n";
        let mut body = format!("{:x}\r\n", MAX_DATA_FILE + 1).into_bytes();
        body.resize(body.len() + MAX_DATA_FILE as usize + 1, 3);
        body.extend(b"\r\n0\r\n\r\n");
        let request = put(s.addr, digest, headers, &body);
        let answer = tokio::task::spawn_blocking(move || first_line(s.addr, &request));
        let answer = answer.await.unwrap();
        assert!(
            answer.contains(" 413 ") || answer.contains(" 507 "),
            "{answer}"
        );
    }
}

/// First line of the response to a request that the server may not read to its end.
fn first_line(addr: SocketAddr, request: &[u8]) -> String {
    use std::io::BufRead as _;
    let stream = std::net::TcpStream::connect(addr).unwrap();
    let mut sending = stream.try_clone().unwrap();
    let request = request.to_vec();
    // Sending fails when the server closes the connection.
    std::thread::spawn(move || drop(sending.write_all(&request)));
    let mut line = String::new();
    std::io::BufReader::new(stream)
        .read_line(&mut line)
        .unwrap();
    line
}

/// A plan that uses this data file, and the file.
fn plan_of(text: &str) -> (Plan, Blob) {
    let plan = "[http]\nbase_url = \"http://127.0.0.1:1\"\n[data.users]\nfile = \"f.csv\"\n\
                [[scenario]]\n[[scenario.step]]\nurl = \"/{{ users.name }}\"\n\
                [load]\nrate = 1\nduration = \"1s\"\n";
    let file = parse_plan(plan, false, &|_| Ok(text.to_owned())).unwrap();
    let blob = file.blobs()[0].clone();
    (file.into_plan().unwrap(), blob)
}

#[tokio::test]
async fn a_plan_starts_when_its_data_is_on_the_node() {
    let mut s = served(None).await;
    let client = ApiClient::new(s.addr, None);
    let (plan, blob) = plan_of("name\nann\n");
    let ClientError::Refused { status, detail } = client.start(&plan).await.unwrap_err() else {
        panic!()
    };
    assert_eq!((status, detail.as_str()), (422, "is not here"));
    client.put_blob(&blob).await.unwrap();
    client.put_blob(&blob).await.unwrap();
    assert_eq!(client.start(&plan).await.unwrap(), IDS[0]);
    assert!(matches!(s.done.recv().await, Some(Done::Start { .. })));
    let body = format!(
        r#"{{"plan":{}}}"#,
        String::from_utf8(plan.to_bytes()).unwrap()
    );
    let answer = post_json(s.addr, "/api/v1/tests", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// Plans contain no rows of data; the error names the key.
#[tokio::test]
async fn rows_in_the_plan_are_refused() {
    let s = served(None).await;
    let (plan, _) = plan_of("name\nann\n");
    let mut json: serde_json::Value = serde_json::from_slice(&plan.to_bytes()).unwrap();
    json["task"]["data"]["users"]["rows"] = serde_json::json!([["ann"]]);
    let answer = post_json(s.addr, "/api/v1/tests", &format!(r#"{{"plan":{json}}}"#)).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("rows"), "{}", answer.body);
}

#[tokio::test]
async fn files_need_the_token() {
    let s = served(Some("secret")).await;
    let (_, blob) = plan_of("name\nann\n");
    let without = ApiClient::new(s.addr, None).put_blob(&blob).await;
    assert!(matches!(
        without,
        Err(ClientError::Refused { status: 401, .. })
    ));
    let with = ApiClient::new(s.addr, Some("secret".into()));
    with.put_blob(&blob).await.unwrap();
    let of_another_site = "Origin: http://evil.example\r\nAuthorization: Bearer secret\r\n";
    let read = request(s.addr, "GET", &path(blob.digest), of_another_site);
    assert_eq!(raw(s.addr, read).await.status, 403);
    // A plan without data needs no file.
    let load = Load::open(1.0, std::time::Duration::from_secs(1));
    with.start(&Plan::new(Task::Sleep { ms: 1 }, load))
        .await
        .unwrap();
}
