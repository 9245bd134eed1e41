//! HTTPS.

use std::sync::Mutex;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{HandshakeKind, RootCertStore, ServerConfig, crypto::ring};

use super::server::OK;
use super::*;
use vajra_plan::{HttpVersion, TlsOptions};
use vajra_task::{Secrets, TaskContext};

/// A certificate authority that no system trusts.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Authority {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A server for `localhost`, on the test's own runtime.
struct TlsServer {
    url: String,
    authority: Authority,
    handshakes: Arc<Mutex<Vec<HandshakeKind>>>,
}

impl TlsServer {
    async fn start(protocols: &[&str], requires_certificate: bool) -> TlsServer {
        let authority = Authority::new();
        let (certificate, key) = authority.sign("localhost");
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match requires_certificate {
            true => builder.with_client_cert_verifier(verifier.build().unwrap()),
            false => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let handshakes = Arc::new(Mutex::new(Vec::new()));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(accept(listener, acceptor, handshakes.clone()));
        TlsServer {
            url: format!("https://localhost:{port}/"),
            authority,
            handshakes,
        }
    }

    fn task(&self) -> HttpTask {
        HttpTask {
            tls: TlsOptions {
                ca: Some(self.authority.pem()),
                ..TlsOptions::default()
            },
            ..HttpTask::get(&self.url)
        }
    }

    fn handshakes(&self, kind: HandshakeKind) -> usize {
        let all = self.handshakes.lock().unwrap();
        all.iter().filter(|k| **k == kind).count()
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
    handshakes: Arc<Mutex<Vec<HandshakeKind>>>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (acceptor, handshakes) = (acceptor.clone(), handshakes.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(tcp).await else {
                return;
            };
            let tls = &stream.get_ref().1;
            handshakes.lock().unwrap().extend(tls.handshake_kind());
            match tls.alpn_protocol() {
                Some(b"h2") => super::http2::serve_h2(stream).await,
                _ => serve(stream).await,
            }
        });
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let mut buf = [0; 4096];
    while let Ok(1..) = stream.read(&mut buf).await {
        let closes = buf.windows(17).any(|w| w == b"connection: close");
        stream.write_all(OK.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        if closes {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

fn plan(task: HttpTask) -> Plan {
    Plan::new(Task::Http(task), Load::open(100.0, ms(300)))
}

async fn run(task: HttpTask) -> Counters {
    run_at(task, TaskContext::default()).await
}

async fn run_at(task: HttpTask, context: TaskContext) -> Counters {
    let mut bench = bench_at(plan(task), 2, None, context);
    bench.go(Slots::whole());
    bench.end().await.counters
}

#[tokio::test]
async fn an_untrusted_certificate_is_rejected() {
    let server = TlsServer::start(&[], false).await;
    let c = run(HttpTask::get(&server.url)).await;
    assert_eq!((c.ok, c.failed), (0, 30));
    assert!(c.errors.keys().all(|e| e.kind == "tls"), "{:?}", c.errors);
}

#[tokio::test]
async fn an_insecure_task_accepts_it() {
    let server = TlsServer::start(&[], false).await;
    let c = run(HttpTask {
        insecure: true,
        ..HttpTask::get(&server.url)
    })
    .await;
    assert_eq!((c.ok, c.failed), (30, 0), "{:?}", c.errors);
}

#[tokio::test]
async fn the_plan_s_own_authority_is_trusted() {
    let server = TlsServer::start(&["http/1.1", "h2"], false).await;
    let c = run(server.task()).await;
    assert_eq!((c.ok, c.failed), (30, 0), "{:?}", c.errors);
    let another = Authority::new().pem();
    let c = run(HttpTask {
        tls: TlsOptions {
            ca: Some(another),
            ..TlsOptions::default()
        },
        ..server.task()
    })
    .await;
    assert_eq!((c.ok, c.failed), (0, 30));
}

#[tokio::test]
async fn http2_is_chosen_by_alpn() {
    let two = |server: &TlsServer| HttpTask {
        version: HttpVersion::Two,
        ..server.task()
    };
    let server = TlsServer::start(&["http/1.1", "h2"], false).await;
    let c = run(two(&server)).await;
    assert_eq!((c.ok, c.failed), (30, 0), "{:?}", c.errors);
    let server = TlsServer::start(&[], false).await;
    let c = run(two(&server)).await;
    assert_eq!((c.ok, c.failed), (0, 30));
    let messages: Vec<_> = c.errors.keys().map(|e| e.message.as_str()).collect();
    assert_eq!(messages, ["the server does not offer HTTP/2"]);
}

#[tokio::test]
async fn tls_sessions_are_resumed_if_the_plan_enables_it() {
    for resume in [false, true] {
        let server = TlsServer::start(&[], false).await;
        let mut task = server.task();
        task.disable_keepalive = true;
        task.tls.resume = resume;
        let mut bench = bench_with(plan(task), 1, None);
        bench.go(Slots::whole());
        let c = bench.end().await.counters;
        assert_eq!(c.ok, 30, "{:?}", c.errors);
        let resumed = server.handshakes(HandshakeKind::Resumed);
        let full = server.handshakes(HandshakeKind::Full);
        assert_eq!(resumed + full, 30);
        match resume {
            true => assert!(resumed >= 15, "{resumed} of 30"),
            false => assert_eq!(resumed, 0),
        }
    }
}

#[tokio::test]
async fn a_client_certificate_is_sent_and_its_key_is_a_secret() {
    let server = TlsServer::start(&[], true).await;
    let c = run(server.task()).await;
    assert_eq!((c.ok, c.failed), (0, 30));
    let (certificate, key) = server.authority.sign("client");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    std::fs::write(&path, key.serialize_pem()).unwrap();
    let reference = format!("file:{}", path.display());
    let mut task = server.task();
    task.tls.client_cert = Some(certificate.pem());
    task.tls.client_key = Some(reference.clone());
    let context = TaskContext {
        secrets: Secrets::new([&reference]),
        ..TaskContext::default()
    };
    let c = run_at(task.clone(), context).await;
    assert_eq!((c.ok, c.failed), (30, 0), "{:?}", c.errors);
    let c = run(task).await;
    assert!(
        c.errors.keys().all(|e| e.kind == "secret"),
        "{:?}",
        c.errors
    );
    assert_eq!((c.ok, c.failed), (0, 30));
}

#[test]
fn an_invalid_certificate_is_reported_with_its_field() {
    let task = |tls: TlsOptions| HttpTask {
        tls,
        ..HttpTask::get("https://127.0.0.1:1/")
    };
    let broken = task(TlsOptions {
        ca: Some("-----BEGIN".into()),
        ..TlsOptions::default()
    });
    let task = Task::Http(broken);
    let origin = TestOrigin::ThisNode;
    let error = vajra_tasks::prepare_blocking(&task, &Arc::default(), origin).unwrap_err();
    assert_eq!(
        error.to_string(),
        "TLS: task.tls.ca contains no certificate in PEM"
    );
}
