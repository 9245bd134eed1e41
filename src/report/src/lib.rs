//! Results in the formats of people and other tools: [`text`], [`html`], JUnit, CSV and
//! histogram logs. [`export`] is the entry point for files.

pub mod assets;
mod csv;
pub mod export;
mod hlog;
pub mod html;
mod junit;
mod percentiles;
pub mod text;

pub use self::csv::CsvError;
pub use hlog::{HlogError, LogWriteError};
pub use junit::{junit, junit_of_suite};
