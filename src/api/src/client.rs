//! A client of the API, used by the command line.

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

/// Time limit for connecting, usually on loopback.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit for the head of a response. It usually takes milliseconds; a result of thousands of
/// workers takes seconds to merge.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for requests that upload a data file or wait until the swarm has fetched it.
const DATA_TIMEOUT: Duration = Duration::from_secs(660);
/// Largest response: a result of thousands of nodes.
const MAX_RESPONSE: usize = 64 << 20;

/// Error of a request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node answers at the address.
    #[error(
        "no node answers at {addr} ({why}); start one with `vajra-node`, or select another with --api"
    )]
    Unreachable {
        /// The address.
        addr: SocketAddr,
        /// Error of the connection.
        why: String,
    },
    /// The node refused the request.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Description of the problem and how to solve it.
        detail: String,
    },
    /// The response is not one of a node.
    #[error("invalid response from {addr}: {why}; check that it is the API of a node")]
    InvalidResponse {
        /// The address.
        addr: SocketAddr,
        /// What is wrong with the response.
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
    /// Creates a client. Nothing is sent yet.
    pub fn new(addr: SocketAddr, token: Option<String>) -> ApiClient {
        ApiClient { addr, token }
    }

    /// Checks that a healthy node answers.
    ///
    /// # Errors
    /// Any [`ClientError`], as for every request.
    pub async fn health(&self) -> Result<(), ClientError> {
        self.send(Method::GET, "/healthz", None).await.map(drop)
    }

    /// The nodes of the swarm.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn nodes(&self) -> Result<NodeList, ClientError> {
        self.json(Method::GET, "/api/v1/nodes", None).await
    }

    /// The newest tests, newest first.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn tests(&self) -> Result<TestList, ClientError> {
        self.json(Method::GET, "/api/v1/tests", None).await
    }

    /// The result of a test; `id` may be a unique prefix or `latest`.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn status(&self, id: &str) -> Result<TestResult, ClientError> {
        self.json(Method::GET, &format!("/api/v1/tests/{}", escape(id)), None)
            .await
    }

    /// A test over time, in at most `points` intervals, with or without their histograms.
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

    /// Uploads a data file, unless the node has it.
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

    /// Starts a test when the swarm has its data; returns its id.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn start(&self, plan: &Plan) -> Result<String, ClientError> {
        let timeout = match plan.task.data().next() {
            Some(_) => DATA_TIMEOUT,
            None => RESPONSE_TIMEOUT,
        };
        let body = Bytes::from(self.body_of(plan)?.to_string());
        let body = Some(("application/json", body));
        let sent = self.send_bytes(Method::POST, "/api/v1/tests", body, timeout);
        let bytes = self.collect(sent.await?).await?;
        let response: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|e| self.invalid(e))?;
        let id = response["test_id"].as_str();
        id.map(str::to_owned)
            .ok_or_else(|| self.invalid("no test_id"))
    }

    /// Checks on every node whether a plan can run.
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
            serde_json::from_slice(&plan.to_bytes()).map_err(|e| self.invalid(e))?;
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

    /// Changes the load of a running test. Returns the instant from which the change applies, in
    /// seconds after the start.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn change_load(&self, id: &str, request: LoadRequest) -> Result<f64, ClientError> {
        let (verb, body) = match request {
            LoadRequest::Rate(rate) => ("scale", serde_json::json!({ "rate": rate })),
            LoadRequest::Users(users) => ("scale", serde_json::json!({ "users": users })),
            LoadRequest::Pause => ("pause", serde_json::json!({})),
            LoadRequest::Resume => ("resume", serde_json::json!({})),
        };
        let path = format!("/api/v1/tests/{}/{verb}", escape(id));
        let response: serde_json::Value = self.json(Method::POST, &path, Some(body)).await?;
        let at = response["at_s"].as_f64();
        at.ok_or_else(|| self.invalid("no at_s"))
    }

    /// Drains a node, by peer id or name; `None` is the node that serves this API.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn drain(&self, peer: Option<&str>) -> Result<NodeEntry, ClientError> {
        let path = format!("/api/v1/nodes/{}/drain", escape(peer.unwrap_or("self")));
        self.json(Method::POST, &path, Some(serde_json::json!({})))
            .await
    }

    /// The progress of a test, until it ends.
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

    fn invalid(&self, why: impl ToString) -> ClientError {
        ClientError::InvalidResponse {
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
        serde_json::from_slice(&bytes).map_err(|e| self.invalid(e))
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = http_body_util::Limited::new(response.into_body(), MAX_RESPONSE);
        let collected = body.collect().await.map_err(|e| self.invalid(e))?;
        Ok(collected.to_bytes())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<Response<Incoming>, ClientError> {
        let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
        self.send_bytes(method, path, body, RESPONSE_TIMEOUT).await
    }

    /// Sends a body with its media type. The head of the response must arrive within `timeout`.
    async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, ClientError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.addr)).await;
        let stream = connected
            .map_err(|_| self.unreachable("timed out"))?
            .map_err(|e| self.unreachable(e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.invalid(e))?;
        // The task ends with the body of the response.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.addr.to_string());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = match body {
            Some((media_type, bytes)) => {
                request = request.header(header::CONTENT_TYPE, media_type);
                bytes
            }
            None => Bytes::new(),
        };
        let request = request
            .body(Full::new(bytes))
            .map_err(|e| self.invalid(e))?;
        let response = tokio::time::timeout(timeout, sender.send_request(request)).await;
        let response = response
            .map_err(|_| self.invalid(format_args!("none within {} s", timeout.as_secs())))?
            .map_err(|e| self.invalid(e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = self.collect(response).await?;
        let detail = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem.detail,
            Err(_) => format!(
                "{} responded with HTTP status {status}; check that it is the API of a node",
                self.addr
            ),
        };
        Err(ClientError::Refused { status, detail })
    }
}

/// Percent-encodes a path segment.
fn escape(segment: &str) -> String {
    let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    segment
        .bytes()
        .map(|b| {
            if is_unreserved(b) {
                (b as char).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// The event stream of a test.
#[derive(Debug)]
pub struct Events {
    client: ApiClient,
    body: Incoming,
    buffer: BytesMut,
}

impl Events {
    /// Largest event, in bytes.
    const MAX_EVENT: usize = 1 << 16;

    /// The next update; `None` at the end of the stream.
    ///
    /// # Errors
    /// The connection was lost, or an event is too large.
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
                return Some(Err(self.client.invalid("an event is too large")));
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

/// Parses an event; `None` if its name is unknown.
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
