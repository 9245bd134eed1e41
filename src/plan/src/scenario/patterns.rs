//! Regular expressions and JSONPaths of checks and extractions.

use regex::Regex;
use serde_json_path::JsonPath;

/// Why a pattern is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternError {
    /// Not a regular expression.
    #[error("{text:?} is not a regular expression: {reason}")]
    Regex {
        /// The text.
        text: String,
        /// The problem in one line.
        reason: String,
    },
    /// Not a JSONPath.
    #[error("{text:?} is not a JSONPath: {reason}")]
    JsonPath {
        /// The text.
        text: String,
        /// The problem in one line.
        reason: String,
    },
}

/// Parses a regular expression.
pub fn regex(text: &str) -> Result<Regex, PatternError> {
    Regex::new(text).map_err(|e| {
        let full = e.to_string();
        let last = full.lines().next_back().unwrap_or_default();
        PatternError::Regex {
            text: text.to_owned(),
            reason: last.to_owned(),
        }
    })
}

/// Parses a JSONPath (RFC 9535).
pub fn json_path(text: &str) -> Result<JsonPath, PatternError> {
    JsonPath::parse(text).map_err(|e| PatternError::JsonPath {
        text: text.to_owned(),
        reason: e.to_string(),
    })
}
