//! HTTP/1.1: a session is one connection.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use vajra_plan::Received;
use vajra_task::{Failure, FailureKind, Gate, Outcome, Permit};

use super::dial::Route;
use super::failures::{connect_timeout, response_timeout};
use super::message::Message;
use super::reader::{Reader, headers_of};
use super::stream::Stream;
use super::thread::{HttpThread, outcome_of};
use super::timeout::Timeout;

/// Size of the read buffer, in bytes.
const READ: usize = 64 * 1024;

thread_local! {
    /// The read buffer of all sessions of a thread. Its content is consumed before the next read.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// An open connection.
struct Connection {
    stream: Stream,
    route: Route,
    /// It has carried a request before.
    used: bool,
}

/// How an exchange ended.
enum Exchange {
    /// With a complete response.
    Done {
        status: u16,
        reusable: bool,
    },
    /// Before any byte of the request was written.
    NotWritten(io::Error),
    Failed(Failure),
}

/// A request and its response in progress.
struct Exchanging<'a> {
    stream: Pin<&'a mut Stream>,
    reader: &'a mut Reader,
    request: &'a [u8],
    written: usize,
    flushed: bool,
    /// The error of writing. The response may have arrived before.
    broken: Option<io::Error>,
}

impl Exchanging<'_> {
    /// Writes the rest of the request and reads the response, concurrently.
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
                    let taken =
                        fed.map_err(|e| Failure::new(FailureKind::Protocol, e.to_string()))?;
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

    /// The connection was lost. The error of writing, if there was one, came first.
    fn reset(&mut self, message: String) -> Failure {
        let first = self.broken.take().map(|e| e.to_string());
        Failure::new(FailureKind::Reset, first.unwrap_or(message))
    }
}

impl Connection {
    /// Whether nothing has arrived since the last response, neither a byte nor an end.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0; 1];
        let mut buf = ReadBuf::new(&mut byte);
        Pin::new(&mut self.stream)
            .poll_read(cx, &mut buf)
            .is_pending()
    }
}

/// Runs one request at a time, on a connection that is opened when first needed.
pub struct Session {
    thread: Rc<HttpThread>,
    connection: Option<Connection>,
    reader: Reader,
    timeout: Timeout,
}

impl Session {
    /// A session that is not connected yet.
    pub fn new(thread: Rc<HttpThread>) -> Session {
        Session {
            reader: Reader::new(thread.task.is_head),
            thread,
            connection: None,
            timeout: Timeout::new(),
        }
    }

    /// The open connection if it is still usable, else a new one.
    async fn connected(&mut self, timeout: Duration) -> Result<Connection, Failure> {
        if let Some(mut open) = self.connection.take()
            && self.thread.dialer.is_current(&open.route)
        {
            let quiet = std::future::poll_fn(|cx| Poll::Ready(open.poll_quiet(cx)));
            if quiet.await {
                return Ok(open);
            }
        }
        let dial = self.thread.dialer.dial();
        let dialled = self.timeout.limit(timeout, dial).await;
        let (stream, route) = dialled.unwrap_or_else(|| Err(connect_timeout()))?;
        Ok(Connection {
            stream,
            route,
            used: false,
        })
    }

    /// Runs the plan's request.
    pub async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        self.reader.restart();
        let thread = self.thread.clone();
        let exchange = self.exchange(gate, &thread.task.bytes, thread.task.timeout);
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
        let bytes = message.to_bytes().map_err(Outcome::from)?;
        self.reader.restart_keeping(message.method == "HEAD");
        let (status, permit) = self.exchange(gate, &bytes, timeout).await?;
        into.status = status;
        let kept = self.reader.kept();
        headers_of(&kept.head, &mut into.headers);
        std::mem::swap(&mut into.body, &mut kept.body);
        Ok(permit)
    }

    /// Sends a request and reads the response. The caller has restarted the reader. Returns the
    /// status.
    async fn exchange<G: Gate>(
        &mut self,
        gate: &mut G,
        request: &[u8],
        timeout: Duration,
    ) -> Result<(u16, Permit), Outcome> {
        loop {
            let mut open = self.connected(timeout).await.map_err(Outcome::from)?;
            let Some(permit) = gate.open() else {
                self.connection = Some(open);
                return Err(Outcome::NotSent);
            };
            let mut exchanging = Exchanging {
                stream: Pin::new(&mut open.stream),
                reader: &mut self.reader,
                request,
                written: 0,
                flushed: false,
                broken: None,
            };
            let exchange = std::future::poll_fn(|cx| exchanging.poll(cx));
            match self.timeout.limit(timeout, exchange).await {
                None => return Err(response_timeout().into()),
                Some(Exchange::NotWritten(_)) if open.used => {}
                Some(Exchange::NotWritten(e)) => {
                    return Err(Failure::new(FailureKind::Reset, e.to_string()).into());
                }
                Some(Exchange::Failed(failure)) => return Err(failure.into()),
                Some(Exchange::Done { status, reusable }) => {
                    if self.thread.task.keep_alive && reusable {
                        open.used = true;
                        self.connection = Some(open);
                    }
                    return Ok((status, permit));
                }
            }
        }
    }

    /// Connects, if connections are kept alive.
    pub async fn connect(&mut self) {
        if self.thread.task.keep_alive {
            let timeout = self.thread.task.timeout;
            self.connection = self.connected(timeout).await.ok();
        }
    }

    /// Notices a connection that its peer closes. Never completes.
    pub async fn idle(&mut self) {
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
