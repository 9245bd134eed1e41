//! HTTP/1.1: a session is one connection.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial::Route;
use super::message::Message;
use super::reader::{Reader, headers_of};
use super::stream::Stream;
use super::timeout::Timeout;
use super::{HttpThread, outcome_of};
use crate::{Failure, Gate, Outcome};
use vajra_plan::Received;

/// What a thread reads at once, in bytes.
const READ: usize = 64 * 1024;

thread_local! {
    /// What a thread's sessions read into, one after the other; between two reads nothing of
    /// it is needed.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// An open connection.
struct Connection {
    stream: Stream,
    route: Route,
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

/// One connection to the target, opened when first needed.
pub struct Session {
    thread: Rc<HttpThread>,
    connection: Option<Connection>,
    reader: Reader,
    timeout: Timeout,
}

impl Session {
    /// Not connected yet.
    pub fn new(thread: Rc<HttpThread>) -> Session {
        Session {
            reader: Reader::new(thread.task.to_head),
            thread,
            connection: None,
            timeout: Timeout::new(),
        }
    }

    /// The open connection if it is still good, else a new one.
    async fn connected(&mut self, timeout: Duration) -> Result<Connection, Failure> {
        if let Some(mut open) = self.connection.take()
            && self.thread.dialer.leads_there(&open.route)
        {
            let quiet = std::future::poll_fn(|cx| Poll::Ready(open.poll_quiet(cx)));
            if quiet.await {
                return Ok(open);
            }
        }
        let dial = self.thread.dialer.dial();
        let dialled = self.timeout.limit(timeout, dial).await;
        let (stream, route) = dialled.unwrap_or_else(|| Err(super::not_connected_in_time()))?;
        Ok(Connection {
            stream,
            route,
            used: false,
        })
    }

    /// Runs the plan's request to its end.
    pub async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        self.reader.restart();
        let thread = self.thread.clone();
        let end = self.exchange(gate, &thread.task.bytes, thread.task.timeout);
        end.await.map_or_else(|ended| ended, outcome_of)
    }

    /// Runs another request to its end, and keeps the response.
    pub async fn send<G: Gate>(
        &mut self,
        gate: &mut G,
        message: &Message,
        timeout: Duration,
        into: &mut Received,
    ) -> Result<(), Outcome> {
        let bytes = message.to_bytes().map_err(Outcome::from)?;
        self.reader.restart_keeping(message.method == "HEAD");
        into.status = self.exchange(gate, &bytes, timeout).await?;
        let kept = self.reader.kept();
        headers_of(&kept.head, &mut into.headers);
        std::mem::swap(&mut into.body, &mut kept.body);
        Ok(())
    }

    /// Sends a request and reads the response; the reader is ready for it. Returns the status.
    async fn exchange<G: Gate>(
        &mut self,
        gate: &mut G,
        request: &[u8],
        timeout: Duration,
    ) -> Result<u16, Outcome> {
        loop {
            let mut open = self.connected(timeout).await.map_err(Outcome::from)?;
            if !gate.open() {
                self.connection = Some(open);
                return Err(Outcome::Withheld);
            }
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
                None => return Err(super::not_answered_in_time().into()),
                Some(Exchange::NotWritten(_)) if open.used => {}
                Some(Exchange::NotWritten(e)) => {
                    return Err(Failure::new("reset", e.to_string()).into());
                }
                Some(Exchange::Failed(failure)) => return Err(failure.into()),
                Some(Exchange::Done { status, reusable }) => {
                    if self.thread.task.keep_alive && reusable {
                        open.used = true;
                        self.connection = Some(open);
                    }
                    return Ok(status);
                }
            }
        }
    }

    /// Connects, if connections are kept.
    pub async fn prepare(&mut self) {
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
