//! HTTP/1.1 requests over connections that are kept alive.
//!
//! A session is one connection, driven from within the task that uses it: nothing is spawned
//! for a request. Redirects are not followed. A response with status 400 or above is a
//! failure of kind `status`. If a kept connection turns out to be closed and nothing of the
//! request was written, it is sent once more on a new one.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};

use super::connection::{Stream, Tls, connect};
use super::{Failure, Gate, Outcome, PrepareError, Secrets, Session, TargetPolicy, Task, Traffic};
use crate::plan::{HttpTask, TargetUrl};

/// A request and where it goes, ready to be sent.
pub struct HttpPrepared {
    host: String,
    addresses: Vec<SocketAddr>,
    tls: Option<Tls>,
    policy: Arc<TargetPolicy>,
    own: bool,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
    keep_alive: bool,
}

impl std::fmt::Debug for HttpPrepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{}", self.method, self.host, self.uri)
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
        let bad = |what: &str| PrepareError::Request(format!("the {what} can't be sent"));
        Ok(HttpPrepared {
            headers: headers(task, &url, secrets)?,
            host: url.host,
            addresses,
            tls,
            policy: policy.clone(),
            own,
            method: task.method.parse().map_err(|_| bad("method"))?,
            uri: url.path.parse().map_err(|_| bad("URL's path"))?,
            body: Bytes::from(task.body.clone()),
            timeout: task.timeout,
            keep_alive: !task.disable_keepalive,
        })
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
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
                    let shaken = http1::handshake(TokioIo::new(stream)).await;
                    let (sender, driver) = shaken.map_err(|e| failure_of(&e))?;
                    return Ok(Connection {
                        sender,
                        driver: Box::pin(driver),
                        used: false,
                    });
                }
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

fn headers(task: &HttpTask, url: &TargetUrl, secrets: &Secrets) -> Result<HeaderMap, PrepareError> {
    let bad = |name: &str| PrepareError::Request(format!("the header {name:?} can't be sent"));
    let mut headers = HeaderMap::with_capacity(task.headers.len() + 4);
    for (name, value) in &task.headers {
        let text = secrets.resolve(value)?;
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(name))?;
        let mut value = HeaderValue::from_str(&text.text).map_err(|_| bad(name))?;
        value.set_sensitive(text.secret);
        headers.append(parsed, value);
    }
    let agent = HeaderValue::from_static(concat!("vajra/", env!("CARGO_PKG_VERSION")));
    let host = HeaderValue::from_str(&url.authority()).map_err(|_| bad("host"))?;
    headers.entry(HOST).or_insert(host);
    headers.entry(USER_AGENT).or_insert(agent);
    headers
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("*/*"));
    if task.disable_keepalive {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(headers)
}

type Driver = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

/// An open connection. Its driver is polled by whoever waits for something of it.
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<Driver>>,
    /// A request went over it before.
    used: bool,
}

/// How an exchange ended.
enum Exchange {
    /// With a response, read to its end; its status.
    Done(u16),
    /// Before anything of the request was written.
    NotWritten,
    Failed(Failure),
}

impl Connection {
    /// Sends a request and reads its response.
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Exchange {
        let Connection { sender, driver, .. } = self;
        let mut driver = Driven {
            driver: driver.as_mut(),
            over: false,
        };
        let response = driver.drive(sender.try_send_request(request)).await;
        let mut response = match response {
            Ok(response) => response,
            Err(mut e) => {
                return match e.take_message() {
                    Some(_) => Exchange::NotWritten,
                    None => Exchange::Failed(failure_of(e.error())),
                };
            }
        };
        let status = response.status().as_u16();
        match driver.drive(read_to_end(response.body_mut())).await {
            Ok(()) => Exchange::Done(status),
            Err(e) => Exchange::Failed(failure_of(&e)),
        }
    }

    /// Waits until a request can be sent; false if the connection is closed.
    async fn ready(&mut self) -> bool {
        let Connection { sender, driver, .. } = self;
        let mut driver = Driven {
            driver: driver.as_mut(),
            over: false,
        };
        driver.drive(sender.ready()).await.is_ok()
    }
}

async fn read_to_end(body: &mut Incoming) -> Result<(), hyper::Error> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

/// Polls a connection's driver beside what waits for it.
struct Driven<'a> {
    driver: Pin<&'a mut Driver>,
    over: bool,
}

impl Driven<'_> {
    async fn drive<F: Future>(&mut self, waiting: F) -> F::Output {
        let mut waiting = pin!(waiting);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = waiting.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            if !self.over && self.driver.as_mut().poll(cx).is_ready() {
                self.over = true;
            }
            waiting.as_mut().poll(cx)
        })
        .await
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
        let HttpSession {
            task,
            traffic,
            connection,
            timeout,
        } = self;
        if let Some(mut open) = connection.take() {
            match timeout.limit(task.timeout, open.ready()).await {
                Some(true) => return Ok(open),
                Some(false) | None => drop(open),
            }
        }
        let opened = timeout
            .limit(task.timeout, task.open(traffic.clone()))
            .await;
        let mut open =
            opened.unwrap_or_else(|| Err(Failure::new("timeout", "while connecting")))?;
        match open.ready().await {
            true => Ok(open),
            false => Err(Failure::new("connect", "closed at once")),
        }
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
            let request = self.task.request();
            let exchange = self
                .timeout
                .limit(self.task.timeout, open.exchange(request))
                .await;
            match exchange {
                None => return failed(Failure::new("timeout", "no full response in time")),
                Some(Exchange::NotWritten) if open.used => {}
                Some(Exchange::NotWritten) => {
                    return failed(Failure::new(
                        "reset",
                        "closed before the request was written",
                    ));
                }
                Some(Exchange::Failed(failure)) => return failed(failure),
                Some(Exchange::Done(status)) => {
                    if self.task.keep_alive && !open.sender.is_closed() {
                        open.used = true;
                        self.connection = Some(open);
                    }
                    return outcome_of(status);
                }
            }
        }
    }

    async fn idle(&mut self) {
        if let Some(open) = &mut self.connection {
            // Whatever ended it, the next request opens another.
            let _ = open.driver.as_mut().await;
            self.connection = None;
        }
        std::future::pending().await
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

fn failure_of(error: &hyper::Error) -> Failure {
    let cause = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    let kind = if error.is_parse() || error.is_user() {
        "protocol"
    } else if error.is_timeout() {
        "timeout"
    } else if error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || cause.is_some()
    {
        "reset"
    } else {
        "protocol"
    };
    Failure::new(
        kind,
        cause.map_or_else(|| error.to_string(), std::io::Error::to_string),
    )
}
