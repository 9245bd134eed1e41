//! Results as people and other tools read them: [`text`], one [`html`] page, [`junit`], CSV,
//! histogram logs. [`export`] is the entry point for files.

pub mod assets;
mod csv;
pub mod export;
mod hlog;
pub mod html;
mod junit;
mod percentiles;
pub mod text;

pub use junit::{junit, junit_of_suite};
