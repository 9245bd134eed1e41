//! The driver: the only place where the protocol's outputs become I/O.

pub mod config;
