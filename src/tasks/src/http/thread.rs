//! What the HTTP sessions of one engine thread share.

use std::rc::Rc;
use std::sync::Arc;

use vajra_task::{Outcome, Permit, Traffic};

use super::dial::Dialer;
use super::failures::error_status;
use super::pool::Pool;
use super::prepared::HttpPrepared;

/// What the HTTP sessions of one engine thread share.
pub struct HttpThread {
    /// The request.
    pub task: Arc<HttpPrepared>,
    /// Opens connections.
    pub dialer: Dialer,
    /// HTTP/2 connections.
    pub pool: Pool,
}

impl HttpThread {
    /// Without connections.
    pub fn new(task: Arc<HttpPrepared>, traffic: Rc<Traffic>) -> HttpThread {
        HttpThread {
            dialer: Dialer::new(task.destination.clone(), traffic),
            task,
            pool: Pool::default(),
        }
    }
}

/// The outcome of a request whose response was read.
pub fn outcome_of((status, permit): (u16, Permit)) -> Outcome {
    match status < 400 {
        true => Outcome::Ok {
            status: Some(status),
            permit,
        },
        false => Outcome::Failed {
            status: Some(status),
            failure: error_status(status),
        },
    }
}
