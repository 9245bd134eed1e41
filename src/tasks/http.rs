//! HTTP/1.1 requests over connections that are kept alive.
//!
//! A session is one connection, driven from within the task that uses it: nothing is spawned
//! and nothing allocated for a request. Its bytes are made once, before the start; responses
//! are read into one buffer for each thread. Redirects are not followed. A response with
//! status 400 or above is a failure of kind `status`. If a kept connection turns out to be
//! closed and nothing of the request was written, it is sent once more on a new one.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, USER_AGENT};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::connection::{Stream, Tls, connect};
use super::http1::Reader;
use super::{Failure, Gate, Outcome, PrepareError, Secrets, Session, TargetPolicy, Task, Traffic};
use crate::plan::{HttpTask, TargetUrl};

/// What a thread reads at once, in bytes.
const READ: usize = 64 * 1024;

thread_local! {
    /// What a thread's sessions read into, one after the other; between two reads nothing of
    /// it is needed.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// A request and where it goes, ready to be sent.
pub struct HttpPrepared {
    host: String,
    addresses: Vec<SocketAddr>,
    tls: Option<Tls>,
    policy: Arc<TargetPolicy>,
    own: bool,
    line: String,
    /// Head and body, as they are sent.
    request: Vec<u8>,
    to_head: bool,
    timeout: Duration,
    keep_alive: bool,
}

impl std::fmt::Debug for HttpPrepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.host, self.line)
    }
}

impl HttpPrepared {
    /// Resolves and checks the target, reads the secrets and builds the request. May block.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub fn new(
        task: &HttpTask,
        policy: &Arc<TargetPolicy>,
        secrets: &Secrets,
        own: bool,
    ) -> Result<HttpPrepared, PrepareError> {
        let url = TargetUrl::parse(&task.url).map_err(PrepareError::Request)?;
        let addresses = policy.check_url(&url, own)?;
        let tls = match url.https {
            true => Some(Tls::new(&url.host, task.insecure).map_err(PrepareError::Tls)?),
            false => None,
        };
        let line = format!("{} {} HTTP/1.1", task.method, url.path);
        Ok(HttpPrepared {
            request: request(&line, task, &url, secrets)?,
            line,
            host: url.host,
            addresses,
            tls,
            policy: policy.clone(),
            own,
            to_head: task.method == "HEAD",
            timeout: task.timeout,
            keep_alive: !task.disable_keepalive,
        })
    }

    async fn open(&self, traffic: Rc<Traffic>) -> Result<Connection, Failure> {
        let mut last = Failure::new("dns", "no address");
        for address in &self.addresses {
            if let Err(refusal) = self.policy.check(&self.host, *address, self.own) {
                last = Failure::new("policy", refusal.to_string());
                continue;
            }
            match connect(*address, self.tls.as_ref(), traffic.clone()).await {
                Ok(stream) => {
                    return Ok(Connection {
                        stream,
                        used: false,
                    });
                }
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

/// A request's bytes. Headers keep the order and the spelling of the plan.
fn request(
    line: &str,
    task: &HttpTask,
    url: &TargetUrl,
    secrets: &Secrets,
) -> Result<Vec<u8>, PrepareError> {
    let mut bytes = format!("{line}\r\n").into_bytes();
    let mut add = |name: &str, value: &[u8]| {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    let given = |name: http::HeaderName| {
        let mut names = task.headers.iter().map(|(n, _)| n);
        names.any(|n| n.eq_ignore_ascii_case(name.as_str()))
    };
    if !given(HOST) {
        add(HOST.as_str(), url.authority().as_bytes());
    }
    for (name, value) in &task.headers {
        let text = secrets.resolve(value)?.text;
        let value = HeaderValue::from_str(&text)
            .map_err(|_| PrepareError::Request(format!("the header {name:?} can't be sent")))?;
        add(name, value.as_bytes());
    }
    if !given(USER_AGENT) {
        add(USER_AGENT.as_str(), AGENT.as_bytes());
    }
    if !given(ACCEPT) {
        add(ACCEPT.as_str(), b"*/*");
    }
    if task.disable_keepalive {
        add(CONNECTION.as_str(), b"close");
    }
    if !task.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&task.method.as_str()) {
        add(
            CONTENT_LENGTH.as_str(),
            task.body.len().to_string().as_bytes(),
        );
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(task.body.as_bytes());
    Ok(bytes)
}

/// How the engine names itself.
const AGENT: &str = concat!("vajra/", env!("CARGO_PKG_VERSION"));

/// An open connection.
struct Connection {
    stream: Stream,
    /// A request went over it before.
    used: bool,
}

/// How an exchange ended.
enum Exchange {
    /// With a response, read to its end.
    Done {
        status: u16,
        reusable: bool,
    },
    /// Before anything of the request was written.
    NotWritten(io::Error),
    Failed(Failure),
}

/// A request on its way, and its response.
struct Exchanging<'a> {
    stream: Pin<&'a mut Stream>,
    reader: &'a mut Reader,
    request: &'a [u8],
    written: usize,
    flushed: bool,
    /// Why no more can be written; the response may have come before.
    broken: Option<io::Error>,
}

impl Exchanging<'_> {
    /// Writes what is left, then reads; while the one can't go on, the other does.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Exchange> {
        if let Poll::Ready(Err(e)) = self.poll_write(cx) {
            if self.written == 0 {
                return Poll::Ready(Exchange::NotWritten(e));
            }
            self.broken = Some(e);
        }
        let read = INPUT.with_borrow_mut(|input| self.poll_read(cx, input));
        read.map(|result| result.unwrap_or_else(Exchange::Failed))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken.is_some() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.request.len() {
            let left = &self.request[self.written..];
            match ready!(self.stream.as_mut().poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        if !self.flushed {
            ready!(self.stream.as_mut().poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut [u8],
    ) -> Poll<Result<Exchange, Failure>> {
        loop {
            let mut buf = ReadBuf::new(input);
            let read = ready!(self.stream.as_mut().poll_read(cx, &mut buf));
            let read = read.map(|()| buf.filled());
            let beyond = match read {
                Err(e) => return Poll::Ready(Err(self.reset(e.to_string()))),
                Ok([]) => {
                    let end = self.reader.end();
                    end.map(|()| 0).map_err(|e| self.reset(e.to_string()))?
                }
                Ok(bytes) => {
                    let fed = self.reader.feed(bytes);
                    let taken = fed.map_err(|e| Failure::new("protocol", e.to_string()))?;
                    bytes.len() - taken
                }
            };
            if let Some(status) = self.reader.complete() {
                let whole = self.written == self.request.len() && beyond == 0;
                return Poll::Ready(Ok(Exchange::Done {
                    status,
                    reusable: whole && self.reader.reusable(),
                }));
            }
        }
    }

    /// The connection broke; where writing showed it first, that is why.
    fn reset(&mut self, message: String) -> Failure {
        let first = self.broken.take().map(|e| e.to_string());
        Failure::new("reset", first.unwrap_or(message))
    }
}

impl Connection {
    /// Nothing has come since the last response: neither an end nor a byte.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0; 1];
        let mut buf = ReadBuf::new(&mut byte);
        Pin::new(&mut self.stream)
            .poll_read(cx, &mut buf)
            .is_pending()
    }
}

/// A time-out that is armed once and put off lazily: setting the deadline for a request
/// costs a clock reading and no timer operation.
struct Timeout {
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Timeout {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// The future's output, or none once `length` has passed.
    async fn limit<F: Future>(&mut self, length: Duration, future: F) -> Option<F::Output> {
        self.deadline = Instant::now() + length;
        let mut future = pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}

/// One connection to the target, opened when first needed.
pub struct HttpSession {
    task: Arc<HttpPrepared>,
    traffic: Rc<Traffic>,
    connection: Option<Connection>,
    reader: Reader,
    timeout: Timeout,
}

impl Task for HttpPrepared {
    type Session = HttpSession;

    fn session(self: &Arc<Self>, traffic: Rc<Traffic>) -> HttpSession {
        let now = Instant::now();
        HttpSession {
            task: self.clone(),
            traffic,
            connection: None,
            reader: Reader::new(self.to_head),
            timeout: Timeout {
                timer: Box::pin(tokio::time::sleep_until(now)),
                deadline: now,
            },
        }
    }
}

impl HttpSession {
    /// The open connection if it is still good, else a new one.
    async fn connected(&mut self) -> Result<Connection, Failure> {
        if let Some(mut open) = self.connection.take() {
            let quiet = std::future::poll_fn(|cx| Poll::Ready(open.poll_quiet(cx)));
            if quiet.await {
                return Ok(open);
            }
        }
        let open = self.task.open(self.traffic.clone());
        let opened = self.timeout.limit(self.task.timeout, open).await;
        opened.unwrap_or_else(|| Err(Failure::new("timeout", "while connecting")))
    }
}

impl Session for HttpSession {
    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        let failed = |failure| Outcome::Failed {
            status: None,
            failure,
        };
        loop {
            let mut open = match self.connected().await {
                Ok(open) => open,
                Err(failure) => return failed(failure),
            };
            if !gate.open() {
                self.connection = Some(open);
                return Outcome::Withheld;
            }
            self.reader.restart();
            let mut exchanging = Exchanging {
                stream: Pin::new(&mut open.stream),
                reader: &mut self.reader,
                request: &self.task.request,
                written: 0,
                flushed: false,
                broken: None,
            };
            let exchange = std::future::poll_fn(|cx| exchanging.poll(cx));
            match self.timeout.limit(self.task.timeout, exchange).await {
                None => return failed(Failure::new("timeout", "no full response in time")),
                Some(Exchange::NotWritten(_)) if open.used => {}
                Some(Exchange::NotWritten(e)) => {
                    return failed(Failure::new("reset", e.to_string()));
                }
                Some(Exchange::Failed(failure)) => return failed(failure),
                Some(Exchange::Done { status, reusable }) => {
                    if self.task.keep_alive && reusable {
                        open.used = true;
                        self.connection = Some(open);
                    }
                    return outcome_of(status);
                }
            }
        }
    }

    async fn prepare(&mut self) {
        if self.task.keep_alive {
            self.connection = self.connected().await.ok();
        }
    }

    async fn idle(&mut self) {
        std::future::poll_fn(|cx| {
            if let Some(open) = &mut self.connection
                && !open.poll_quiet(cx)
            {
                self.connection = None;
            }
            Poll::<()>::Pending
        })
        .await
    }
}

fn outcome_of(status: u16) -> Outcome {
    if status < 400 {
        return Outcome::Ok {
            status: Some(status),
        };
    }
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason());
    let message = match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    };
    Outcome::Failed {
        status: Some(status),
        failure: Failure::new("status", message),
    }
}
