#![allow(clippy::unwrap_used)]

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// Sends `requests` on one keep-alive connection and returns the status codes.
async fn send(address: std::net::SocketAddr, requests: &[&str]) -> Vec<(u16, String)> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut answers = Vec::new();
    for path in requests {
        let request = Request::post(*path)
            .header("host", "target")
            .body(Full::new(Bytes::from_static(b"some body")))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        answers.push((status, String::from_utf8(body.to_vec()).unwrap()));
    }
    answers
}

/// Runs a target until `client` is done. Returns its final count and the output of the client.
async fn with_target<T>(
    options: TargetOptions,
    client: impl AsyncFnOnce(std::net::SocketAddr) -> T,
) -> (u64, T) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let server = serve(listener, options, async {
        let _ = ended.await;
    });
    let client = async {
        let answer = client(address).await;
        end.send(()).unwrap();
        answer
    };
    let (served, answer) = tokio::join!(server, client);
    (served.unwrap(), answer)
}

#[tokio::test]
async fn requests_are_counted_except_for_stats() {
    let (served, answers) = with_target(TargetOptions::default(), async |address| {
        send(address, &["/", "/a?b", "/_stats", "/"]).await
    })
    .await;
    assert_eq!(served, 3);
    assert_eq!(answers[2], (200, "{\"served\":2}\n".into()));
    assert_eq!(answers[3], (200, "ok\n".into()));
}

#[tokio::test]
async fn the_error_rate_is_the_share_answered_with_500() {
    let options = TargetOptions {
        error_rate: 0.25,
        seed: 7,
        ..Default::default()
    };
    let (_, answers) = with_target(options, async |address| send(address, &["/"; 400]).await).await;
    let errors = answers.iter().filter(|(status, _)| *status == 500).count();
    assert!((70..130).contains(&errors), "{errors} of 400");
}

#[tokio::test]
async fn every_arrival_is_recorded_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arrivals");
    let options = TargetOptions {
        arrivals: Some(path.clone()),
        ..Default::default()
    };
    let (served, seen_at_stats) = with_target(options, async |address| {
        send(address, &["/", "/", "/_stats"]).await;
        std::fs::read_to_string(&path).unwrap().lines().count()
    })
    .await;
    let times: Vec<u64> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|l| l.parse().unwrap())
        .collect();
    assert_eq!((served, seen_at_stats, times.len()), (2, 2, 2));
    assert!(times[0] > 0 && times[0] < times[1]);
}

#[test]
fn jitter_spreads_around_the_latency() {
    let options = TargetOptions {
        latency: Duration::from_millis(50),
        jitter: Duration::from_millis(20),
        ..Default::default()
    };
    let state = State::new(options).unwrap();
    let pauses: Vec<Duration> = (0..1000).map(|_| state.pause()).collect();
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*least >= Duration::from_millis(30) && *least < Duration::from_millis(31));
    assert!(*most <= Duration::from_millis(70) && *most > Duration::from_millis(69));
}

#[tokio::test]
async fn invalid_requests_and_disconnects_do_not_stop_the_server() {
    let (served, answers) = with_target(TargetOptions::default(), async |address| {
        let mut garbage = TcpStream::connect(address).await.unwrap();
        garbage
            .write_all(b"\x00\x01 nonsense\r\n\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        garbage.read_to_end(&mut rest).await.unwrap();
        drop(TcpStream::connect(address).await.unwrap());
        send(address, &["/"]).await
    })
    .await;
    assert_eq!((served, answers[0].0), (1, 200));
}
