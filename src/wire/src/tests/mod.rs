//! The wire format's tests, one file for each promise.

#![allow(clippy::unwrap_used)]

mod golden;
mod histograms;
mod hostile;
mod limits;
mod round_trip;
mod samples;
mod sizes;
