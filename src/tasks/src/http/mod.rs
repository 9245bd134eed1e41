//! HTTP requests over connections that are kept alive.
//!
//! A request is made once, before the start: as bytes for HTTP/1.1 ([`one`]), as a head and a
//! body for HTTP/2 ([`two`]). Redirects are not followed. A response with status 400 or above
//! is a failure of kind `status`. If a kept connection turns out to be closed and nothing of
//! the request was written, or the server says that it has not looked at it, it is sent once
//! more on a new one.

mod dial;
mod message;
mod one;
mod probe;
mod reader;
mod stream;
mod timeout;
mod tls;
mod two;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue};

use self::dial::{Destination, Dialer};
pub use self::message::Message;
pub use self::probe::{Probe, Reached};
use self::tls::Tls;
use super::{
    Client, Failure, Gate, Outcome, PrepareError, Secrets, Session, Task, TaskContext, Traffic,
};
use vajra_plan::{HttpTask, HttpVersion, Received, TargetUrl};

/// A request and where it goes, ready to be sent.
pub struct HttpPrepared {
    to: Arc<Destination>,
    version: HttpVersion,
    /// Most sessions on a connection.
    streams: u32,
    line: String,
    /// HTTP/1.1: head and body, as they are sent.
    bytes: Vec<u8>,
    /// HTTP/2: the same, to be encoded for each connection.
    request: http::Request<Bytes>,
    to_head: bool,
    timeout: Duration,
    keep_alive: bool,
}

impl std::fmt::Debug for HttpPrepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line)
    }
}

impl HttpPrepared {
    /// Resolves and checks the target, reads the secrets and builds the request. May block.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub fn new(
        task: &HttpTask,
        site: &Arc<TaskContext>,
        own: bool,
    ) -> Result<HttpPrepared, PrepareError> {
        let url = TargetUrl::parse(&task.url).map_err(|e| PrepareError::Request(e.to_string()))?;
        let tls = match url.https {
            true => Some(Tls::new(&url.host, task, &site.secrets)?),
            false => None,
        };
        let body = match task.body_size {
            Some(size) => generated(size),
            None => Bytes::from(task.body.clone()),
        };
        let headers = headers(task, &url, body.len(), &site.secrets)?;
        let line = format!("{} {} HTTP/1.1", task.method, url.path);
        let (mut bytes, mut request) = (Vec::new(), http::Request::new(Bytes::new()));
        match task.version {
            HttpVersion::One => bytes = request_bytes(&line, &headers, &body),
            HttpVersion::Two => request = request_of(task, &url, headers, body)?,
        }
        let to = Destination::new(url, site, own, tls, &task.addresses, task.dns_refresh)?;
        Ok(HttpPrepared {
            to: Arc::new(to),
            version: task.version,
            streams: task.streams,
            line,
            bytes,
            request,
            to_head: task.method == "HEAD",
            timeout: task.timeout,
            keep_alive: !task.disable_keepalive,
        })
    }

    /// Connects to the target without sending anything, each time for at most `wait`.
    pub async fn probe(&self, wait: Duration) -> Probe {
        self.to.probe(wait).await
    }

    /// How many addresses connections are spread over.
    pub fn spread(&self) -> usize {
        self.to.turns().max(1)
    }
}

/// The headers of a request. They keep the order and the spelling of the plan.
fn headers(
    task: &HttpTask,
    url: &TargetUrl,
    body: usize,
    secrets: &Secrets,
) -> Result<Vec<(String, HeaderValue)>, PrepareError> {
    let value = |name: &str, text: &str| {
        HeaderValue::from_str(text)
            .map_err(|_| PrepareError::Request(format!("the header {name:?} can't be sent")))
    };
    let given = |name: &HeaderName| {
        let mut names = task.headers.iter().map(|(n, _)| n);
        names.any(|n| n.eq_ignore_ascii_case(name.as_str()))
    };
    let mut headers = Vec::new();
    let mut add = |name: HeaderName, text: &str| {
        headers.push((name.to_string(), value(name.as_str(), text)?));
        Ok::<_, PrepareError>(())
    };
    if !given(&HOST) {
        add(HOST, &url.authority())?;
    }
    if !given(&USER_AGENT) {
        add(USER_AGENT, AGENT)?;
    }
    if !given(&ACCEPT) {
        add(ACCEPT, "*/*")?;
    }
    if task.disable_keepalive && task.version == HttpVersion::One {
        add(CONNECTION, "close")?;
    }
    if body > 0 || ["POST", "PUT", "PATCH"].contains(&task.method.as_str()) {
        add(CONTENT_LENGTH, &body.to_string())?;
    }
    for (name, text) in &task.headers {
        let text = secrets.resolve(text)?.text;
        headers.push((name.clone(), value(name, &text)?));
    }
    Ok(headers)
}

fn request_bytes(line: &str, headers: &[(String, HeaderValue)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{line}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// In HTTP/2 the host is a part of the request's target.
fn request_of(
    task: &HttpTask,
    url: &TargetUrl,
    headers: Vec<(String, HeaderValue)>,
    body: Bytes,
) -> Result<http::Request<Bytes>, PrepareError> {
    let wrong = |e: &dyn std::fmt::Display| PrepareError::Request(e.to_string());
    let mut request = http::Request::new(body);
    *request.version_mut() = http::Version::HTTP_2;
    *request.method_mut() = task.method.parse().map_err(|e| wrong(&e))?;
    let mut authority = url.authority();
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|e| wrong(&e))?;
        match name {
            HOST => authority = value.to_str().map_err(|e| wrong(&e))?.to_owned(),
            name => {
                request.headers_mut().append(name, value);
            }
        }
    }
    *request.uri_mut() = http::Uri::builder()
        .scheme(if url.https { "https" } else { "http" })
        .authority(authority)
        .path_and_query(url.path.as_str())
        .build()
        .map_err(|e| wrong(&e))?;
    Ok(request)
}

/// So many bytes that don't compress; the same on every node.
fn generated(size: u64) -> Bytes {
    let words = (0..size.div_ceil(8)).flat_map(|i| vajra_plan::hash(size, i).to_le_bytes());
    words.take(size as usize).collect()
}

/// How the engine names itself.
pub const AGENT: &str = concat!("vajra/", env!("CARGO_PKG_VERSION"));

/// What an engine thread's sessions share.
pub struct HttpThread {
    task: Arc<HttpPrepared>,
    dialer: Dialer,
    pool: two::Pool,
}

/// An engine thread's client.
pub struct HttpClient(Rc<HttpThread>);

impl Task for HttpPrepared {
    type Client = HttpClient;

    fn client(self: &Arc<Self>, traffic: Rc<Traffic>) -> HttpClient {
        HttpClient(Rc::new(HttpThread {
            task: self.clone(),
            dialer: Dialer::new(self.to.clone(), traffic),
            pool: two::Pool::default(),
        }))
    }
}

impl Client for HttpClient {
    type Session = HttpSession;

    fn session(&self) -> HttpSession {
        match self.0.task.version {
            HttpVersion::One => HttpSession::One(one::Session::new(self.0.clone())),
            HttpVersion::Two => HttpSession::Two(two::Session::new(self.0.clone())),
        }
    }

    async fn tend(&self) {
        self.0.dialer.keep_fresh().await
    }
}

/// One request at a time.
pub enum HttpSession {
    /// On a connection of its own.
    One(one::Session),
    /// On one that others may share.
    Two(two::Session),
}

impl HttpSession {
    /// Sends a request other than the plan's, and keeps the response.
    ///
    /// # Errors
    /// How it ended without a response.
    pub async fn send<G: Gate>(
        &mut self,
        gate: &mut G,
        message: &Message,
        timeout: Duration,
        into: &mut Received,
    ) -> Result<(), Outcome> {
        match self {
            HttpSession::One(session) => session.send(gate, message, timeout, into).await,
            HttpSession::Two(session) => session.send(gate, message, timeout, into).await,
        }
    }
}

impl Session for HttpSession {
    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        match self {
            HttpSession::One(session) => session.run(gate).await,
            HttpSession::Two(session) => session.run(gate).await,
        }
    }

    async fn prepare(&mut self) {
        match self {
            HttpSession::One(session) => session.prepare().await,
            HttpSession::Two(session) => session.prepare().await,
        }
    }

    async fn idle(&mut self) {
        match self {
            HttpSession::One(session) => session.idle().await,
            HttpSession::Two(session) => session.idle().await,
        }
    }
}

fn not_connected_in_time() -> Failure {
    Failure::new("timeout", "while connecting")
}

fn not_answered_in_time() -> Failure {
    Failure::new("timeout", "no full response in time")
}

fn outcome_of(status: u16) -> Outcome {
    if status < 400 {
        return Outcome::Ok {
            status: Some(status),
        };
    }
    Outcome::Failed {
        status: Some(status),
        failure: bad_status(status),
    }
}

/// A status of 400 or above.
pub fn bad_status(status: u16) -> Failure {
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason());
    let message = match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    };
    Failure::new("status", message)
}
