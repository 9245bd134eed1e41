//! The plan's request, built before the start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, USER_AGENT as USER_AGENT_HEADER};
use http::{HeaderName, HeaderValue};
use vajra_plan::{HttpTask, HttpVersion, TargetUrl};
use vajra_task::{PrepareError, Secrets, TaskContext, TestOrigin};

use super::dial::Destination;
use super::probe::Probe;
use super::tls::Tls;

/// The default value of the `User-Agent` header.
pub const USER_AGENT: &str = concat!("vajra/", env!("CARGO_PKG_VERSION"));

/// A request and its target, ready to be sent.
pub struct HttpPrepared {
    pub(super) destination: Arc<Destination>,
    pub(super) version: HttpVersion,
    /// Most sessions per connection.
    pub(super) streams: u32,
    line: String,
    /// HTTP/1.1: head and body, as sent.
    pub(super) bytes: Vec<u8>,
    /// HTTP/2: the same request, encoded for each connection.
    pub(super) request: http::Request<Bytes>,
    pub(super) is_head: bool,
    pub(super) timeout: Duration,
    pub(super) keep_alive: bool,
}

impl fmt::Debug for HttpPrepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        context: &Arc<TaskContext>,
        origin: TestOrigin,
    ) -> Result<HttpPrepared, PrepareError> {
        let url = TargetUrl::parse(&task.url).map_err(|e| PrepareError::Request(e.to_string()))?;
        let tls = match url.https {
            true => Some(Tls::new(&url.host, task, &context.secrets)?),
            false => None,
        };
        let body = match task.body_size {
            Some(size) => generated_body(size),
            None => Bytes::from(task.body.clone()),
        };
        let headers = headers(task, &url, body.len(), &context.secrets)?;
        let line = format!("{} {} HTTP/1.1", task.method, url.path);
        let (mut bytes, mut request) = (Vec::new(), http::Request::new(Bytes::new()));
        match task.version {
            HttpVersion::One => bytes = request_bytes(&line, &headers, &body),
            HttpVersion::Two => request = request_of(task, &url, headers, body)?,
        }
        let destination =
            Destination::new(url, context, origin, tls, &task.addresses, task.dns_refresh)?;
        Ok(HttpPrepared {
            destination: Arc::new(destination),
            version: task.version,
            streams: task.streams,
            line,
            bytes,
            request,
            is_head: task.method == "HEAD",
            timeout: task.timeout,
            keep_alive: !task.disable_keepalive,
        })
    }

    /// Connects to the target without sending a request. `limit` is the time for each address.
    pub async fn probe(&self, limit: Duration) -> Probe {
        self.destination.probe(limit).await
    }

    /// Number of addresses over which connections are spread.
    pub fn spread(&self) -> usize {
        self.destination.rotation().max(1)
    }
}

/// The headers of a request, in the order and spelling of the plan.
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
    if !given(&USER_AGENT_HEADER) {
        add(USER_AGENT_HEADER, USER_AGENT)?;
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

/// In HTTP/2 the host is part of the request's URI.
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

/// A body of `size` bytes that does not compress; the same on every node.
fn generated_body(size: u64) -> Bytes {
    let words = (0..size.div_ceil(8)).flat_map(|i| vajra_plan::hash(size, i).to_le_bytes());
    words.take(size as usize).collect()
}
