//! Logging to stderr, as text or JSON.

use std::io;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use super::output::Stderr;
use super::value_parsers::ValueError;

/// What is logged, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogSettings {
    /// Level of Vajra's own messages.
    pub level: LogLevel,
    /// Format of the lines.
    pub format: LogFormat,
}

/// Log level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Failures.
    Error,
    /// Conditions that may lead to failures.
    Warn,
    /// Events of the swarm and of tests.
    #[default]
    Info,
    /// Details of them.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const ALL: [LogLevel; 6] = [
        LogLevel::Off,
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
        LogLevel::Trace,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Off => "off",
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl FromStr for LogLevel {
    type Err = ValueError;

    fn from_str(s: &str) -> Result<LogLevel, ValueError> {
        let found = LogLevel::ALL.into_iter().find(|level| level.as_str() == s);
        found.ok_or_else(|| ValueError::NotOneOf {
            found: s.into(),
            expected: "off, error, warn, info, debug, trace",
        })
    }
}

/// Log format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// Text.
    #[default]
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

impl FromStr for LogFormat {
    type Err = ValueError;

    fn from_str(s: &str) -> Result<LogFormat, ValueError> {
        match s {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(ValueError::NotOneOf {
                found: s.into(),
                expected: "text, json",
            }),
        }
    }
}

impl LogSettings {
    /// `vajra` matches the targets of all our crates.
    fn filter(self) -> String {
        // Libraries log every dropped connection at their info level; Vajra logs those that matter.
        let libraries = match self.level {
            LogLevel::Debug => "info",
            LogLevel::Trace => "debug",
            LogLevel::Off => "off",
            _ => "error",
        };
        format!("{libraries},vajra={}", self.level.as_str())
    }
}

/// Sets up logging for the process. Only the first call has an effect.
pub fn start(settings: LogSettings) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(settings.filter()))
        .with_writer(|| Stderr)
        // Reporting a line that cannot be written would panic on a closed stderr.
        .log_internal_errors(false);
    let _ = match settings.format {
        LogFormat::Text => {
            let colours = io::IsTerminal::is_terminal(&io::stderr());
            tracing::subscriber::set_global_default(lines.with_ansi(colours).finish())
        }
        // Fields are at the top level of the object, not in a nested one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn messages_of_all_our_crates_are_logged_at_the_level_of_the_node() {
        let settings = LogSettings::default();
        let filter = EnvFilter::new(settings.filter());
        assert_eq!(filter.max_level_hint(), Some(LevelFilter::INFO));
        let subscriber = tracing_subscriber::registry().with(filter);
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::enabled!(target: "vajra_runtime::driver", tracing::Level::INFO));
            assert!(tracing::enabled!(target: "vajra_network", tracing::Level::INFO));
            assert!(!tracing::enabled!(target: "libp2p_swarm", tracing::Level::INFO));
            assert!(tracing::enabled!(target: "libp2p_swarm", tracing::Level::ERROR));
        });
    }
}
