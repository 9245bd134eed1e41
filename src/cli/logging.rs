//! Logs go to stderr as text; stdout belongs to what a command prints.

use std::io;

use tracing_subscriber::EnvFilter;

use super::output::Stderr;
use crate::node::config::LogLevel;

/// Sets up logging for the process; a second call changes nothing.
pub fn start(level: LogLevel) {
    // The libraries below log every dropped connection as news; ours says what of it matters.
    let theirs = match level {
        LogLevel::Debug => "info",
        LogLevel::Trace => "debug",
        LogLevel::Off => "off",
        _ => "error",
    };
    let filter = EnvFilter::new(format!("{theirs},vajra_node={}", level.as_str()));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        // A log line that can't be written is dropped: reporting that would panic on a
        // closed stderr.
        .log_internal_errors(false)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}
