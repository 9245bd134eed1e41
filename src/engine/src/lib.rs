//! The load engine: turns a profile and a share into arrivals, runs tasks, records.
//!
//! A [`LoadRun`] is one test's load on this node. It has engine threads, each with sessions
//! (connections), a part of the node's slots and a recorder of its own; on the way of a
//! request there is no lock and no shared counter. The driver steers it by a start, a share
//! and a lease, any time, and takes snapshots.
//!
//! What it promises:
//! - **Open model:** every owned arrival is handled at its planned instant, whatever responses
//!   do; `planned = sent + dropped`, plus what waits for a connection at this moment.
//! - **The gate:** nothing is sent without a lease that holds at that moment and held without
//!   a gap since the arrival fell due. Arrivals of a lapse are counted as `dropped_lease`.
//! - **No bursts:** an arrival handled later than `max_lateness` is counted as `dropped_late`.
//!   Hence what a node can send beyond its plan in any window is at most `max_lateness` of
//!   load, plus what waited for connections because the *target* did not answer.
//! - **Honest times:** response time runs from the planned instant, service time from the
//!   actual send, lag is the generator's own part of the difference. Failed requests are in
//!   the histograms like others; one that found no connection has no service time.
//!
//! A request whose connection can't be opened counts as sent and failed (kind `connect`,
//! `tls`, …), so that totals add up, although its target never saw it. At a stop or the end,
//! arrivals that still wait for a connection count as `dropped_full`.

mod clock;
mod closed;
mod control;
mod engine;
mod open;
mod pacing_timer;
mod recorder;
mod run;
mod session_slot;
mod thread;

#[cfg(test)]
mod tests;

pub use clock::{LeaseClock, LeaseInstant, descriptor_limit, raise_descriptor_limit};
pub use open::MAX_IN_FLIGHT;
pub use recorder::{CountedError, Counters, Recorder, Times};
pub use run::{LoadRun, LoadSnapshot, LoadSpec, PrepareError, StepSnapshot, StopMode};
