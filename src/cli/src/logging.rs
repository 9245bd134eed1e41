//! Logs go to stderr, as text or as JSON; stdout belongs to what a command prints.

use std::io;

use tracing_subscriber::EnvFilter;

use super::output::Stderr;
use vajra_runtime::config::{LogFormat, LogLevel};

/// Sets up logging for the process; a second call changes nothing.
pub fn start(level: LogLevel, format: LogFormat) {
    // The libraries below log every dropped connection as news; ours says what of it matters.
    let theirs = match level {
        LogLevel::Debug => "info",
        LogLevel::Trace => "debug",
        LogLevel::Off => "off",
        _ => "error",
    };
    // A directive matches the beginning of a target: `vajra` stands for every crate of ours.
    let filter = EnvFilter::new(format!("{theirs},vajra={}", level.as_str()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        // A log line that can't be written is dropped: reporting that would panic on a
        // closed stderr.
        .log_internal_errors(false);
    let _ = match format {
        LogFormat::Text => {
            let colours = io::IsTerminal::is_terminal(&io::stderr());
            tracing::subscriber::set_global_default(lines.with_ansi(colours).finish())
        }
        // What a line is about stands beside its message, not below it.
        LogFormat::Json => tracing::subscriber::set_global_default(
            lines
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .finish(),
        ),
    };
}
