//! The worker of one test on one node: registers with the coordinator, renews its lease by
//! heartbeats, applies share orders, and delivers its final snapshot.
//!
//! Its lease alone bounds what it may send. The lease counts from the *sending* of the heartbeat
//! that was answered, and the load engine enforces its end without further orders.

mod contact;
mod delivery;
mod share;
mod state;

use std::sync::Arc;
use std::time::Duration;

use state::{Contact, Delivery, Lease, ProfileStart, Stage};

use super::allocation::{Allocation, AllocationName};
use super::effects::{Effects, EngineHeld, EngineOrder, Output};
use super::id::{Digest, Incarnation, NodeId, Peer, TestId};
use super::log::{LogEntry, setup_values};
use super::messages::{
    Assign, AssignReply, Heartbeat, HeartbeatReply, Order, Register, RegisterReply, Request,
    ShareReport, Status, StopOrder,
};
use super::planted::{Bug, planted};
use super::spec::{LocalNode, OnLost, TestSpec, Timings};
use super::stop::SignedStop;
use super::time::{Time, for_holder};
use crate::Slots;
use crate::metrics::{Piece, Snapshot, StartError};

/// The worker of one test on one node.
#[derive(Debug)]
pub struct Worker {
    test: TestId,
    me: NodeId,
    local: Arc<LocalNode>,
    timings: Timings,
    spec: TestSpec,
    digest: Digest,
    unable: Option<String>,
    contact: Contact,
    lease: Lease,
    /// The lease has expired or was returned, and everything was given up.
    lapsed: bool,
    start: ProfileStart,
    delivery: Delivery,
    /// How its load is stopped.
    stop: Option<StopOrder>,
    /// Request to stop the test, for coordinators.
    known_stop: Option<SignedStop>,
    /// Committed log entries that this worker acts on.
    log: Arc<[LogEntry]>,
    finished: bool,
    leaving: bool,
    draining: bool,
    /// The engine cannot time its load well.
    overloaded: bool,
    in_flight: u32,
}

impl Worker {
    /// A worker for a test whose plan has been inspected. `unable` is the reason why this node
    /// cannot take a share, if so.
    pub fn new(
        test: TestId,
        local: Arc<LocalNode>,
        spec: TestSpec,
        digest: Digest,
        unable: Option<String>,
        timings: Timings,
        fx: &mut Effects,
    ) -> Worker {
        if unable.is_none() {
            fx.engine(test, EngineOrder::Prepare);
        }
        Worker {
            test,
            me: local.node.clone(),
            local,
            spec,
            digest,
            unable,
            contact: Contact::new(timings.beat_interval()),
            lease: Lease::default(),
            lapsed: false,
            start: ProfileStart::default(),
            delivery: Delivery::default(),
            stop: None,
            known_stop: None,
            log: Arc::from([]),
            finished: false,
            leaving: false,
            draining: false,
            overloaded: false,
            in_flight: 0,
            timings,
        }
    }

    /// Start of the profile on this node's clock.
    pub fn start(&self) -> Option<Time> {
        self.start.local
    }

    /// Share that is acted on at `now`.
    pub fn share(&self, now: Time) -> &Slots {
        static NONE: Slots = Slots::EMPTY;
        match self.hold_mode() || now < self.lease.until {
            true => &self.lease.share,
            false => &NONE,
        }
    }

    /// End of the lease, as last renewed.
    pub fn lease_until(&self) -> Time {
        self.lease.until
    }

    /// Deviation of the engine's start from the planned one.
    pub fn start_error(&self) -> Option<StartError> {
        self.start.error
    }

    /// Log entries that this worker acts on.
    pub fn log(&self) -> &Arc<[LogEntry]> {
        &self.log
    }

    /// Acts on these committed entries from now on. The committed log only grows.
    pub fn update_log(&mut self, committed: &[LogEntry], fx: &mut Effects) {
        if committed.len() > self.log.len() {
            self.log = committed.into();
            fx.engine(self.test, EngineOrder::Log(self.log.clone()));
        }
    }

    /// Whether this node's load is over.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// Whether a peer is the coordinator that this worker follows.
    pub fn follows(&self, peer: &Peer) -> bool {
        self.contact.follows(peer)
    }

    /// Requests in flight, as last measured.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Reason why this node cannot take a share, if so.
    pub fn unable(&self) -> Option<&str> {
        self.unable.as_deref()
    }

    /// Whether the engine cannot time its load well.
    pub fn overloaded(&self) -> bool {
        self.overloaded
    }

    /// Sets whether the engine cannot time its load well.
    pub fn set_overloaded(&mut self, overloaded: bool) {
        self.overloaded = overloaded;
    }

    /// Under `hold`, once the profile runs, an expired lease does not stop this worker.
    fn hold_mode(&self) -> bool {
        let hold = self.spec.on_lost == OnLost::Hold;
        hold && self.start.local.is_some() && !self.lease.share.is_empty()
    }

    /// Latest time of the next `tick`.
    pub fn next_wake(&self) -> Time {
        self.contact
            .next()
            .min(self.expiry())
            .min(self.delivery.next)
    }

    /// The test is to stop.
    pub fn stop_test(&mut self, stop: &SignedStop, fx: &mut Effects) {
        self.known_stop = Some(stop.clone());
        self.stop(stop.order, fx);
    }

    /// Stops the load.
    fn stop(&mut self, order: StopOrder, fx: &mut Effects) {
        let harder = self.stop.is_some_and(|s| s.graceful && !order.graceful);
        if self.stop.is_none() || harder {
            self.stop = Some(order);
            fx.engine(self.test, EngineOrder::Stop(order));
        }
    }

    /// Leaves the swarm: stops the load and then returns the lease.
    pub fn leave(&mut self, order: StopOrder, fx: &mut Effects) {
        self.leaving = true;
        if planted(Bug::LeavesWhileSending) {
            return;
        }
        self.stop(order, fx);
        self.drop_share(fx);
        self.lapsed = true;
        self.lease.until = Time::ZERO;
        fx.engine(self.test, EngineOrder::Lease(Time::ZERO));
    }

    /// Takes no new share from now on, and gives up its share.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// The test has ended: the load stops, and only an undelivered final snapshot is still sent.
    pub fn end(&mut self, fx: &mut Effects) {
        self.contact.stage = Stage::NoCoordinator;
        self.delivery.end();
        if !self.finished {
            let at_once = StopOrder {
                graceful: false,
                timeout: Duration::ZERO,
            };
            self.stop(at_once, fx);
        }
    }

    /// Handles the passing of time.
    pub fn tick(&mut self, now: Time, fx: &mut Effects) {
        if now >= self.expiry() {
            if planted(Bug::ExpiredReported) {
                self.lease.until = Time::ZERO;
            } else {
                self.lapsed = true;
                self.drop_share(fx);
            }
            if self.contact.stage != Stage::NoCoordinator {
                self.register_again(now, fx);
            }
        }
        match self.contact.stage {
            Stage::Registering { next } if now >= next => self.register(now, fx),
            Stage::Registered { next } if now >= next => self.send_heartbeat(now, fx),
            _ => {}
        }
        if now >= self.delivery.next {
            self.deliver(now, fx);
        }
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
