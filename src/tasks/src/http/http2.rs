//! HTTP/2: a session uses one stream at a time, on a connection that it may share.
//!
//! The `h2` crate implements the protocol. A thread's sessions are assigned to connections in the
//! order in which they are created, up to the plan's limit per connection. The first session that
//! needs a connection opens it; the others wait. A request that a closing server reports as not
//! processed (GOAWAY) is sent once more, on a new connection.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, client};
use vajra_plan::Received;
use vajra_task::{Failure, FailureKind, Gate, Outcome, Permit};

use super::failures::{connect_timeout, response_timeout};
use super::message::Message;
use super::pool::{Handle, SharedConnection};
use super::reader::MAX_KEPT;
use super::thread::{HttpThread, outcome_of};
use super::timeout::Timeout;

/// Bytes that a server may send before we acknowledge them: enough that none has to wait.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// Runs one request at a time.
pub struct Session {
    thread: Rc<HttpThread>,
    shared: Rc<SharedConnection>,
    handle: Option<Handle>,
    timeout: Timeout,
}

impl Drop for Session {
    fn drop(&mut self) {
        let thread = &self.thread;
        thread.pool.leave(&self.shared, thread.task.streams);
    }
}

/// How an exchange ended.
enum Exchange {
    /// With a complete response.
    Done(u16, Permit),
    /// The gate was closed.
    NotSent,
    /// The connection was closed before the server processed the request.
    NotProcessed(Failure),
    Failed(Failure),
}

impl Session {
    /// A session on a connection that is not opened yet.
    pub fn new(thread: Rc<HttpThread>) -> Session {
        Session {
            shared: thread.pool.join(thread.task.streams),
            thread,
            handle: None,
            timeout: Timeout::new(),
        }
    }

    /// Runs the plan's request.
    pub async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        let thread = self.thread.clone();
        let (request, timeout) = (&thread.task.request, thread.task.timeout);
        let exchange = self.exchange(gate, request, timeout, None);
        exchange.await.map_or_else(|outcome| outcome, outcome_of)
    }

    /// Runs another request and keeps the response.
    pub async fn send<G: Gate>(
        &mut self,
        gate: &mut G,
        message: &Message,
        timeout: Duration,
        into: &mut Received,
    ) -> Result<Permit, Outcome> {
        let request = message.to_request().map_err(Outcome::from)?;
        let exchange = self.exchange(gate, &request, timeout, Some(&mut *into));
        let (status, permit) = exchange.await?;
        into.status = status;
        Ok(permit)
    }

    /// Sends a request and reads the response. Returns its status.
    async fn exchange<G: Gate>(
        &mut self,
        gate: &mut G,
        request: &http::Request<Bytes>,
        timeout: Duration,
        mut into: Option<&mut Received>,
    ) -> Result<(u16, Permit), Outcome> {
        loop {
            let connecting = connected(&self.thread, &self.shared, self.handle.take());
            let connected = self.timeout.limit(timeout, connecting).await;
            let mut handle = connected.unwrap_or_else(|| Err(connect_timeout()))?;
            let exchange = exchange(request, &mut handle, gate, into.as_deref_mut());
            let result = match self.timeout.limit(timeout, exchange).await {
                None => Err(response_timeout().into()),
                Some(Exchange::NotSent) => Err(Outcome::NotSent),
                Some(Exchange::Done(status, permit)) => Ok((status, permit)),
                Some(Exchange::NotProcessed(_)) if handle.used => {
                    self.shared.close(handle.number);
                    continue;
                }
                Some(Exchange::NotProcessed(failure) | Exchange::Failed(failure)) => {
                    // After the failure of one stream, others may still complete.
                    if failure.kind != FailureKind::Stream {
                        self.shared.close(handle.number);
                    }
                    Err(failure.into())
                }
            };
            match self.thread.task.keep_alive {
                true => {
                    handle.used = true;
                    self.handle = Some(handle);
                }
                false => self.shared.close(handle.number),
            }
            return result;
        }
    }

    /// Connects, if connections are kept alive.
    pub async fn connect(&mut self) {
        if self.thread.task.keep_alive {
            let connecting = connected(&self.thread, &self.shared, None);
            let connected = self.timeout.limit(self.thread.task.timeout, connecting);
            self.handle = connected.await.and_then(Result::ok);
        }
    }

    /// A task of its own drives the connection.
    pub async fn idle(&mut self) {
        std::future::pending().await
    }
}

/// The session's connection if it is still usable, else the current one, else a new one.
async fn connected(
    thread: &HttpThread,
    shared: &Rc<SharedConnection>,
    handle: Option<Handle>,
) -> Result<Handle, Failure> {
    if let Some(handle) = handle
        && shared.is_current(&handle, &thread.dialer)
    {
        return Ok(handle);
    }
    if let Some(handle) = shared.current(&thread.dialer) {
        return Ok(handle);
    }
    let _opening = shared.opening.lock().await;
    if let Some(handle) = shared.current(&thread.dialer) {
        return Ok(handle);
    }
    let (stream, route) = thread.dialer.dial().await?;
    let (requests, connection) = client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(|e| failure_of(&e))?;
    let handle = shared.store(requests, route);
    let (number, weak) = (handle.number, Rc::downgrade(shared));
    tokio::task::spawn_local(async move {
        // An error also fails the requests on this connection, which report it.
        let _ = connection.await;
        if let Some(shared) = weak.upgrade() {
            shared.close(number);
        }
    });
    Ok(handle)
}

/// One request and its response.
async fn exchange<G: Gate>(
    request: &http::Request<Bytes>,
    handle: &mut Handle,
    gate: &mut G,
    into: Option<&mut Received>,
) -> Exchange {
    let requests = &mut handle.requests;
    // Also waits for a stream, if the server allows fewer than the plan.
    if let Err(e) = std::future::poll_fn(|cx| requests.poll_ready(cx)).await {
        return Exchange::NotProcessed(failure_of(&e));
    }
    let Some(permit) = gate.open() else {
        return Exchange::NotSent;
    };
    let (head, body) = request.clone().into_parts();
    let request = http::Request::from_parts(head, ());
    let (response, mut sending) = match requests.send_request(request, body.is_empty()) {
        Ok(sent) => sent,
        Err(e) => return Exchange::NotProcessed(failure_of(&e)),
    };
    if !body.is_empty()
        && let Err(e) = sending.send_data(body, true)
    {
        return failed(&e);
    }
    let (head, body) = match response.await {
        Ok(response) => response.into_parts(),
        Err(e) => return failed(&e),
    };
    let into = into.map(|into| {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value)));
        into.headers.extend(headers);
        &mut into.body
    });
    match read(body, into).await {
        Ok(()) => Exchange::Done(head.status.as_u16(), permit),
        Err(e) => Exchange::Failed(failure_of(&e)),
    }
}

/// Reads a body and its trailers. Keeps the first [`MAX_KEPT`] bytes in `into`.
async fn read(mut body: RecvStream, mut into: Option<&mut Vec<u8>>) -> Result<(), h2::Error> {
    while let Some(data) = body.data().await {
        let data = data?;
        if let Some(into) = &mut into {
            let free = MAX_KEPT - into.len();
            into.extend_from_slice(&data[..data.len().min(free)]);
        }
        // It fails only if the stream has ended.
        let _ = body.flow_control().release_capacity(data.len());
    }
    body.trailers().await.map(|_| ())
}

fn failed(e: &h2::Error) -> Exchange {
    // h2 reports this for a stream above the last one that the GOAWAY covers.
    match e.is_go_away() && e.is_remote() && e.reason() == Some(Reason::NO_ERROR) {
        true => Exchange::NotProcessed(failure_of(e)),
        false => Exchange::Failed(failure_of(e)),
    }
}

fn failure_of(e: &h2::Error) -> Failure {
    if let Some(e) = e.get_io() {
        return Failure::new(FailureKind::Reset, e.to_string());
    }
    let kind = match (e.is_remote(), e.is_reset()) {
        (true, true) => FailureKind::Stream,
        (true, false) => FailureKind::Reset,
        (false, _) => FailureKind::Protocol,
    };
    Failure::new(kind, e.to_string())
}
