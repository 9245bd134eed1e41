//! Tests of the wire format, one file per guarantee.

#![allow(clippy::unwrap_used)]

mod golden;
mod histograms;
mod hostile;
mod limits;
mod round_trip;
mod samples;
mod sizes;
