//! HTTP/2 connections that sessions of a thread share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::Mutex;

use super::dial::{Dialer, Route};

/// The connections of a thread that take more sessions.
#[derive(Default)]
pub struct Pool {
    available: RefCell<Vec<Rc<SharedConnection>>>,
}

/// A connection and the sessions that share it. It is opened when first needed and reopened after
/// it was closed.
#[derive(Default)]
pub struct SharedConnection {
    sessions: Cell<u32>,
    open: RefCell<Option<Handle>>,
    /// Locked while the connection is being opened.
    pub opening: Mutex<()>,
    /// Number of times that it was opened.
    opened: Cell<u64>,
}

/// A session's access to an open connection.
#[derive(Clone)]
pub struct Handle {
    /// Number of the connection among those that were opened in its place.
    pub number: u64,
    /// Sends requests.
    pub requests: SendRequest<Bytes>,
    /// The connection is not new: the server may have closed it.
    pub used: bool,
    route: Route,
}

impl Pool {
    /// Adds a session to a connection with fewer than `limit` sessions.
    pub fn join(&self, limit: u32) -> Rc<SharedConnection> {
        let mut available = self.available.borrow_mut();
        let shared = available.pop().unwrap_or_default();
        shared.sessions.set(shared.sessions.get() + 1);
        if shared.sessions.get() < limit {
            available.push(shared.clone());
        }
        shared
    }

    /// Removes a session from its connection, which is closed if it was the last one.
    pub fn leave(&self, shared: &Rc<SharedConnection>, limit: u32) {
        let mut available = self.available.borrow_mut();
        let before = shared.sessions.replace(shared.sessions.get() - 1);
        match before {
            1 => available.retain(|s| !Rc::ptr_eq(s, shared)),
            full if full == limit => available.push(shared.clone()),
            _ => {}
        }
    }
}

impl SharedConnection {
    /// The open connection, if its address is still the target's.
    pub fn current(&self, dialer: &Dialer) -> Option<Handle> {
        let open = self.open.borrow();
        open.as_ref()
            .filter(|open| dialer.is_current(&open.route))
            .cloned()
    }

    /// Whether a session may go on using its handle.
    pub fn is_current(&self, handle: &Handle, dialer: &Dialer) -> bool {
        let number = self.open.borrow().as_ref().map(|open| open.number);
        number == Some(handle.number) && dialer.is_current(&handle.route)
    }

    /// Stores a new connection. Returns the handle of the session that opened it.
    pub fn store(&self, requests: SendRequest<Bytes>, route: Route) -> Handle {
        let number = self.opened.get() + 1;
        self.opened.set(number);
        let handle = Handle {
            number,
            requests,
            used: false,
            route,
        };
        *self.open.borrow_mut() = Some(Handle {
            used: true,
            ..handle.clone()
        });
        handle
    }

    /// Removes a connection that can't be used any more, unless it has been replaced already.
    pub fn close(&self, number: u64) {
        let mut open = self.open.borrow_mut();
        if open.as_ref().is_some_and(|o| o.number == number) {
            *open = None;
        }
    }
}
