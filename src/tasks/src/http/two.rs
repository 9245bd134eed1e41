//! HTTP/2: a session is a stream at a time on a connection that it may share with others.
//!
//! The `h2` crate speaks the protocol. A thread's sessions are put on its connections in the
//! order in which they come, as many on each as the plan says; whichever of them needs the
//! connection first opens it, the others wait. A request that a closing server says it has
//! not looked at (GOAWAY) is sent once more, on a new connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::{Reason, RecvStream};
use tokio::sync::Mutex;

use super::dial::Route;
use super::message::Message;
use super::reader::MAX_KEPT;
use super::timeout::Timeout;
use super::{HttpThread, outcome_of};
use crate::{Failure, Gate, Outcome};
use vajra_plan::Received;

/// Bytes of a response that a server may send ahead of us: none has to wait for it.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// A thread's connections that have room left for sessions.
#[derive(Default)]
pub struct Pool {
    places: RefCell<Vec<Rc<Place>>>,
}

/// Room for one connection and the sessions that share it.
#[derive(Default)]
struct Place {
    taken: Cell<u32>,
    open: RefCell<Option<Open>>,
    /// Held by whoever opens the connection.
    opening: Mutex<()>,
    /// How often that was done.
    opened: Cell<u64>,
}

struct Open {
    /// Which of the place's connections it is.
    number: u64,
    route: Route,
    requests: SendRequest<Bytes>,
}

impl Pool {
    /// A place on a connection that at most `most` sessions share.
    fn take(&self, most: u32) -> Rc<Place> {
        let mut places = self.places.borrow_mut();
        let place = places.pop().unwrap_or_default();
        place.taken.set(place.taken.get() + 1);
        if place.taken.get() < most {
            places.push(place.clone());
        }
        place
    }

    /// A session gives its place back; the last one takes the connection with it.
    fn leave(&self, place: &Rc<Place>, most: u32) {
        let mut places = self.places.borrow_mut();
        let before = place.taken.replace(place.taken.get() - 1);
        match before {
            1 => places.retain(|p| !Rc::ptr_eq(p, place)),
            full if full == most => places.push(place.clone()),
            _ => {}
        }
    }
}

impl Place {
    /// A part of the connection that is open, if it still leads to the target.
    fn current(&self, thread: &HttpThread) -> Option<Held> {
        let open = self.open.borrow();
        let open = open
            .as_ref()
            .filter(|o| thread.dialer.leads_there(&o.route))?;
        Some(Held {
            number: open.number,
            route: open.route,
            requests: open.requests.clone(),
            used: true,
        })
    }

    /// The connection is of no use any more, unless it has been replaced already.
    fn close(&self, number: u64) {
        let mut open = self.open.borrow_mut();
        if open.as_ref().is_some_and(|o| o.number == number) {
            *open = None;
        }
    }
}

/// A session's part of a connection.
struct Held {
    number: u64,
    route: Route,
    requests: SendRequest<Bytes>,
    /// The connection is not new: it may have been closed since.
    used: bool,
}

/// One request at a time.
pub struct Session {
    thread: Rc<HttpThread>,
    place: Rc<Place>,
    held: Option<Held>,
    timeout: Timeout,
}

impl Drop for Session {
    fn drop(&mut self) {
        let thread = &self.thread;
        thread.pool.leave(&self.place, thread.task.streams);
    }
}

/// How a request ended.
enum End {
    Status(u16),
    Withheld,
    /// The connection was closed before the server looked at it.
    Unseen(Failure),
    Failed(Failure),
}

impl Session {
    /// Takes a place; nothing is opened yet.
    pub fn new(thread: Rc<HttpThread>) -> Session {
        Session {
            place: thread.pool.take(thread.task.streams),
            thread,
            held: None,
            timeout: Timeout::new(),
        }
    }

    /// Runs the plan's request to its end.
    pub async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        let thread = self.thread.clone();
        let (request, timeout) = (&thread.task.request, thread.task.timeout);
        let end = self.exchange(gate, request, timeout, None);
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
        let request = message.to_request().map_err(Outcome::from)?;
        let end = self.exchange(gate, &request, timeout, Some(&mut *into));
        into.status = end.await?;
        Ok(())
    }

    /// Sends a request and reads the response. Returns the status.
    async fn exchange<G: Gate>(
        &mut self,
        gate: &mut G,
        request: &http::Request<Bytes>,
        timeout: Duration,
        mut into: Option<&mut Received>,
    ) -> Result<u16, Outcome> {
        loop {
            let opened = connected(&self.thread, &self.place, self.held.take());
            let opened = self.timeout.limit(timeout, opened).await;
            let mut held = opened.unwrap_or_else(|| Err(super::not_connected_in_time()))?;
            let exchange = exchange(request, &mut held, gate, into.as_deref_mut());
            let end = self.timeout.limit(timeout, exchange).await;
            let ended = match end {
                None => Err(super::not_answered_in_time().into()),
                Some(End::Withheld) => Err(Outcome::Withheld),
                Some(End::Status(status)) => Ok(status),
                Some(End::Unseen(_)) if held.used => {
                    self.place.close(held.number);
                    continue;
                }
                Some(End::Unseen(failure) | End::Failed(failure)) => {
                    // Other requests may still come to an end on it.
                    if failure.kind != "stream" {
                        self.place.close(held.number);
                    }
                    Err(failure.into())
                }
            };
            match self.thread.task.keep_alive {
                true => self.held = Some(Held { used: true, ..held }),
                false => self.place.close(held.number),
            }
            return ended;
        }
    }

    /// Connects, if connections are kept.
    pub async fn prepare(&mut self) {
        if self.thread.task.keep_alive {
            let opened = connected(&self.thread, &self.place, None);
            let opened = self.timeout.limit(self.thread.task.timeout, opened).await;
            self.held = opened.and_then(Result::ok);
        }
    }

    /// The connection looks after itself.
    pub async fn idle(&mut self) {
        std::future::pending().await
    }
}

/// What is held if it is still good, else the place's connection, else a new one.
async fn connected(
    thread: &HttpThread,
    place: &Rc<Place>,
    held: Option<Held>,
) -> Result<Held, Failure> {
    let number = || place.open.borrow().as_ref().map(|o| o.number);
    if let Some(held) = held
        && number() == Some(held.number)
        && thread.dialer.leads_there(&held.route)
    {
        return Ok(held);
    }
    if let Some(held) = place.current(thread) {
        return Ok(held);
    }
    let _alone = place.opening.lock().await;
    if let Some(held) = place.current(thread) {
        return Ok(held);
    }
    let (stream, route) = thread.dialer.dial().await?;
    let (requests, connection) = client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(|e| failure_of(&e))?;
    let number = place.opened.get() + 1;
    place.opened.set(number);
    *place.open.borrow_mut() = Some(Open {
        number,
        route,
        requests: requests.clone(),
    });
    let of = Rc::downgrade(place);
    tokio::task::spawn_local(async move {
        // What goes wrong shows in the requests that are on it.
        let _ = connection.await;
        if let Some(place) = of.upgrade() {
            place.close(number);
        }
    });
    Ok(Held {
        number,
        route,
        requests,
        used: false,
    })
}

/// One request and its response.
async fn exchange<G: Gate>(
    request: &http::Request<Bytes>,
    held: &mut Held,
    gate: &mut G,
    into: Option<&mut Received>,
) -> End {
    let requests = &mut held.requests;
    // Also waits for a stream, where the server allows fewer than the plan.
    if let Err(e) = std::future::poll_fn(|cx| requests.poll_ready(cx)).await {
        return End::Unseen(failure_of(&e));
    }
    if !gate.open() {
        return End::Withheld;
    }
    let (head, body) = request.clone().into_parts();
    let request = http::Request::from_parts(head, ());
    let (response, mut sending) = match requests.send_request(request, body.is_empty()) {
        Ok(sent) => sent,
        Err(e) => return End::Unseen(failure_of(&e)),
    };
    if !body.is_empty()
        && let Err(e) = sending.send_data(body, true)
    {
        return ended_by(&e);
    }
    let (head, body) = match response.await {
        Ok(response) => response.into_parts(),
        Err(e) => return ended_by(&e),
    };
    let into = into.map(|into| {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value)));
        into.headers.extend(headers);
        &mut into.body
    });
    match read(body, into).await {
        Ok(()) => End::Status(head.status.as_u16()),
        Err(e) => End::Failed(failure_of(&e)),
    }
}

/// Reads a body to its end, trailers included.
async fn read(mut body: RecvStream, mut into: Option<&mut Vec<u8>>) -> Result<(), h2::Error> {
    while let Some(data) = body.data().await {
        let data = data?;
        if let Some(into) = &mut into {
            let room = MAX_KEPT - into.len();
            into.extend_from_slice(&data[..data.len().min(room)]);
        }
        // It fails only if the stream has ended.
        let _ = body.flow_control().release_capacity(data.len());
    }
    body.trailers().await.map(|_| ())
}

fn ended_by(e: &h2::Error) -> End {
    // Sent with GOAWAY, it says that the stream is above the last one looked at.
    match e.is_go_away() && e.is_remote() && e.reason() == Some(Reason::NO_ERROR) {
        true => End::Unseen(failure_of(e)),
        false => End::Failed(failure_of(e)),
    }
}

fn failure_of(e: &h2::Error) -> Failure {
    if let Some(e) = e.get_io() {
        return Failure::new("reset", e.to_string());
    }
    match (e.is_remote(), e.is_reset()) {
        (true, true) => Failure::new("stream", e.to_string()),
        (true, false) => Failure::new("reset", e.to_string()),
        (false, _) => Failure::new("protocol", e.to_string()),
    }
}
