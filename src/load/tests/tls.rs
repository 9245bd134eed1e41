//! HTTPS.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

use super::server::OK;
use super::*;

/// A server with a certificate that nobody has signed, on the test's own runtime.
async fn server() -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(tcp).await else {
                    return;
                };
                let mut buf = [0; 4096];
                while let Ok(1..) = stream.read(&mut buf).await {
                    stream.write_all(OK.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    url
}

fn plan(url: &str, insecure: bool) -> Plan {
    let task = HttpTask {
        insecure,
        ..HttpTask::get(url)
    };
    Plan::new(Task::Http(task), Load::open(100.0, ms(300)))
}

#[tokio::test]
async fn an_unknown_certificate_is_refused() {
    let mut bench = bench(plan(&server().await, false));
    bench.go(SlotRange::WHOLE);
    let c = bench.end().await.counters;
    assert_eq!((c.ok, c.failed), (0, 30));
    assert!(c.errors.iter().all(|e| e.kind == "tls"), "{:?}", c.errors);
}

#[tokio::test]
async fn an_insecure_task_accepts_it() {
    let mut bench = bench(plan(&server().await, true));
    bench.go(SlotRange::WHOLE);
    let c = bench.end().await.counters;
    assert_eq!((c.ok, c.failed), (30, 0), "{:?}", c.errors);
}
