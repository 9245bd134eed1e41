//! The load engine: turns a profile and a share into arrivals, runs tasks, records.
//!
//! A [`LoadRun`] is one test's load on this node. It has engine threads, each with its own
//! sessions (connections), its part of the node's slots and its recorder. The path of a request
//! has no lock and no shared counter. The caller sets a start, a share and a lease at any time,
//! and takes snapshots. The engine runs any task of the SDK (`vajra_task`); the caller prepares
//! it ([`EngineTask`]).
//!
//! Guarantees:
//! - **Open model:** every arrival of the share is processed at its planned time, independent of
//!   responses; `planned = sent + dropped`, plus arrivals that wait for a connection.
//! - **Closed model:** a user of the share runs one iteration at a time. One that is removed finishes
//!   its iteration, for at most the graceful time-out; one that arrives after the start begins in
//!   its turn, not together with all others. Shortly before the lease ends, requests in flight are
//!   interrupted and counted as abandoned.
//! - **Hand-over:** an arrival due before a change of the share belongs to the old share, any other
//!   to the new one, exactly and on all threads. [`LoadRun::held`] names the newest change that is
//!   in effect and the slots of removed users that have not finished.
//! - **Limited requests:** in the closed model each iteration uses one of the numbers that the
//!   caller adds ([`LoadRun::add_numbers`]), and no number is used twice.
//! - **The gate:** nothing is sent without a lease that is valid at that moment and has been valid
//!   without a gap since the arrival was due. Arrivals of a gap are counted as `dropped_lease`.
//! - **No bursts:** an arrival processed later than `max_lateness` is counted as `dropped_late`.
//!   So in any time window a node sends at most `max_lateness` of load beyond its plan, plus
//!   arrivals that waited for connections because the *target* did not respond.
//! - **Honest times:** response time starts at the planned time, service time at the actual send;
//!   lag is the generator's part of the difference. Failed requests are in the histograms like
//!   others; one that got no connection has no service time.
//!
//! A request whose connection can't be opened counts as sent and failed (kind `connect`, `tls`,
//! …), so that totals add up, although the target never received it. At a stop or the end,
//! arrivals that still wait for a connection count as `dropped_full`.

mod clock;
mod closed;
mod control;
mod engine;
mod held;
mod open;
mod pacer;
mod pacing_timer;
mod recorder;
mod run;
mod session_slot;
mod thread;
mod user;

#[cfg(test)]
mod tests;

pub use clock::{LeaseClock, LeaseInstant, descriptor_limit, raise_descriptor_limit};
pub use held::Held;
pub use open::MAX_IN_FLIGHT;
pub use recorder::{Recorder, Times};
pub use run::{LoadError, LoadRun, LoadSnapshot, LoadSpec, Preparation, StepSnapshot, StopMode};
pub use thread::EngineTask;
