//! A client of the API, as the command line uses it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::problem::Problem;
use vajra_plan::{Blob, Plan};
use vajra_results::preflight::PreflightReport;
use vajra_results::{NodeEntry, NodeList, TestList, TestResult, Timeline};
use vajra_runtime::handle::{LoadRequest, Update};

/// How long to wait for a connection on what is usually loopback.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a node may take until its answer begins. It begins within milliseconds; a result
/// of thousands of workers takes seconds to merge.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The same where a data file is handed over first, or has to reach a whole swarm.
const DATA_TIMEOUT: Duration = Duration::from_secs(660);
/// Largest answer: a result of thousands of nodes.
const MAX_ANSWER: usize = 64 << 20;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error(
        "no node answers on {addr} ({why}); start one with `vajra-node`, or name another with --api"
    )]
    Unreachable {
        /// The address.
        addr: SocketAddr,
        /// Why.
        why: String,
    },
    /// The node refused.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What is wrong, and what to do.
        detail: String,
    },
    /// The answer is not what a node says.
    #[error("{addr} does not answer like a node: {why}")]
    Strange {
        /// The address.
        addr: SocketAddr,
        /// Why.
        why: String,
    },
}

/// A client of one node's API.
#[derive(Clone, Debug)]
pub struct ApiClient {
    addr: SocketAddr,
    token: Option<String>,
}

impl ApiClient {
    /// A client; nothing is sent yet.
    pub fn new(addr: SocketAddr, token: Option<String>) -> ApiClient {
        ApiClient { addr, token }
    }

    /// Whether a node answers.
    ///
    /// # Errors
    /// Any [`ClientError`]; so for every call.
    pub async fn health(&self) -> Result<(), ClientError> {
        self.send(Method::GET, "/healthz", None).await.map(drop)
    }

    /// The nodes.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn nodes(&self) -> Result<NodeList, ClientError> {
        self.json(Method::GET, "/api/v1/nodes", None).await
    }

    /// The tests.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn tests(&self) -> Result<TestList, ClientError> {
        self.json(Method::GET, "/api/v1/tests", None).await
    }

    /// A result; `id` may be a unique prefix or `latest`.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn status(&self, id: &str) -> Result<TestResult, ClientError> {
        self.json(Method::GET, &format!("/api/v1/tests/{}", escape(id)), None)
            .await
    }

    /// A test over time, in at most so many points, with their histograms or without.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn timeline(
        &self,
        id: &str,
        points: usize,
        histograms: bool,
    ) -> Result<Timeline, ClientError> {
        let id = escape(id);
        let path = format!("/api/v1/tests/{id}/timeline?points={points}&histograms={histograms}");
        self.json(Method::GET, &path, None).await
    }

    /// Hands over a data file, unless it is there.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn put_blob(&self, blob: &Blob) -> Result<(), ClientError> {
        let path = format!("/api/v1/blobs/{}", blob.digest);
        match self.send(Method::HEAD, &path, None).await {
            Ok(_) => return Ok(()),
            Err(ClientError::Refused { status: 404, .. }) => {}
            Err(e) => return Err(e),
        }
        let body = (
            "application/octet-stream",
            Bytes::from_owner(blob.bytes.clone()),
        );
        let sent = self.send_bytes(Method::PUT, &path, Some(body), DATA_TIMEOUT);
        sent.await.map(drop)
    }

    /// Starts a test as soon as the swarm has its data; returns its id.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn start(&self, plan: &Plan) -> Result<String, ClientError> {
        let patience = match plan.task.data().next() {
            Some(_) => DATA_TIMEOUT,
            None => ANSWER_TIMEOUT,
        };
        let body = Bytes::from(self.body_of(plan)?.to_string());
        let body = Some(("application/json", body));
        let sent = self.send_bytes(Method::POST, "/api/v1/tests", body, patience);
        let bytes = self.collect(sent.await?).await?;
        let answer: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|e| self.strange(e))?;
        let id = answer["test_id"].as_str();
        id.map(str::to_owned)
            .ok_or_else(|| self.strange("no test_id"))
    }

    /// Looks on every node whether a plan would run.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn preflight(&self, plan: &Plan) -> Result<PreflightReport, ClientError> {
        let body = self.body_of(plan)?;
        self.json(Method::POST, "/api/v1/preflight", Some(body))
            .await
    }

    fn body_of(&self, plan: &Plan) -> Result<serde_json::Value, ClientError> {
        let plan: serde_json::Value =
            serde_json::from_slice(&plan.to_bytes()).map_err(|e| self.strange(e))?;
        Ok(serde_json::json!({"plan": plan}))
    }

    /// Stops a test.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn stop(&self, id: &str, graceful: bool) -> Result<(), ClientError> {
        let path = format!("/api/v1/tests/{}?graceful={graceful}", escape(id));
        self.send(Method::DELETE, &path, None).await.map(drop)
    }

    /// Changes the load of a running test; returns since when it counts, in seconds after the
    /// start.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn steer(&self, id: &str, how: LoadRequest) -> Result<f64, ClientError> {
        let (verb, body) = match how {
            LoadRequest::Rate(rate) => ("scale", serde_json::json!({ "rate": rate })),
            LoadRequest::Users(users) => ("scale", serde_json::json!({ "users": users })),
            LoadRequest::Pause => ("pause", serde_json::json!({})),
            LoadRequest::Resume => ("resume", serde_json::json!({})),
        };
        let path = format!("/api/v1/tests/{}/{verb}", escape(id));
        let answer: serde_json::Value = self.json(Method::POST, &path, Some(body)).await?;
        let at = answer["at_s"].as_f64();
        at.ok_or_else(|| self.strange("no at_s"))
    }

    /// Drains a node, by peer id or name; `None` is the one that answers.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn drain(&self, peer: Option<&str>) -> Result<NodeEntry, ClientError> {
        let path = format!("/api/v1/nodes/{}/drain", escape(peer.unwrap_or("self")));
        self.json(Method::POST, &path, Some(serde_json::json!({})))
            .await
    }

    /// A test's progress, until it ends.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn events(&self, id: &str) -> Result<Events, ClientError> {
        let path = format!("/api/v1/tests/{}/events", escape(id));
        let response = self.send(Method::GET, &path, None).await?;
        Ok(Events {
            client: self.clone(),
            body: response.into_body(),
            buffer: BytesMut::new(),
        })
    }

    fn strange(&self, why: impl ToString) -> ClientError {
        ClientError::Strange {
            addr: self.addr,
            why: why.to_string(),
        }
    }

    fn unreachable(&self, why: impl ToString) -> ClientError {
        ClientError::Unreachable {
            addr: self.addr,
            why: why.to_string(),
        }
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<T, ClientError> {
        let response = self.send(method, path, body).await?;
        let bytes = self.collect(response).await?;
        serde_json::from_slice(&bytes).map_err(|e| self.strange(e))
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
        let collected = body.collect().await.map_err(|e| self.strange(e))?;
        Ok(collected.to_bytes())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<Response<Incoming>, ClientError> {
        let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
        self.send_bytes(method, path, body, ANSWER_TIMEOUT).await
    }

    /// Sends a body of a media type; its answer must begin in time.
    async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
        patience: Duration,
    ) -> Result<Response<Incoming>, ClientError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.addr)).await;
        let stream = connected
            .map_err(|_| self.unreachable("no answer"))?
            .map_err(|e| self.unreachable(e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.strange(e))?;
        // It ends with the response's body.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.addr.to_string());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = match body {
            Some((kind, bytes)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                bytes
            }
            None => Bytes::new(),
        };
        let request = request
            .body(Full::new(bytes))
            .map_err(|e| self.strange(e))?;
        let answered = tokio::time::timeout(patience, sender.send_request(request)).await;
        let response = answered
            .map_err(|_| self.strange(format_args!("no answer within {} s", patience.as_secs())))?
            .map_err(|e| self.strange(e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = self.collect(response).await?;
        let detail = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem.detail,
            Err(_) => format!(
                "{} answered with HTTP status {status}; is that a node's API?",
                self.addr
            ),
        };
        Err(ClientError::Refused { status, detail })
    }
}

/// A path segment, with everything escaped that is not plainly harmless.
fn escape(segment: &str) -> String {
    let harmless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    segment
        .bytes()
        .map(|b| {
            if harmless(b) {
                (b as char).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// A test's progress as it comes in.
#[derive(Debug)]
pub struct Events {
    client: ApiClient,
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    /// Most bytes of one event.
    const MAX_EVENT: usize = 1 << 16;

    /// The next line of progress, or interval; `None` when the stream has ended.
    ///
    /// # Errors
    /// The connection broke, or what came is no progress.
    pub async fn next(&mut self) -> Option<Result<Update, ClientError>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\n\n") {
                let event = self.buffer.split_to(end + 2);
                if let Some(update) = parse(&event) {
                    return Some(Ok(update));
                }
                continue;
            }
            if self.buffer.len() > Self::MAX_EVENT {
                return Some(Err(self.client.strange("an event without an end")));
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Err(e) => return Some(Err(self.client.unreachable(e))),
            }
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// What an event tells; nothing if it is of a kind that is not known here.
fn parse(event: &[u8]) -> Option<Update> {
    let text = std::str::from_utf8(event).ok()?;
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name));
    let data = field("data:")?.trim_start();
    match field("event:")?.trim() {
        "progress" | "ended" => serde_json::from_str(data).ok().map(Update::Progress),
        "point" => serde_json::from_str(data).ok().map(Update::Point),
        _ => None,
    }
}
