//! Extractions, the sources of variables: `$.token`, `regex id=(\d+)`, `header location`,
//! `status`, `body`.

use std::str::FromStr;

use regex::Regex;
use serde_json_path::JsonPath;

use super::patterns::{PatternError, json_path, regex};
use super::response::{Received, plain};
use super::text_serde::serde_by_text;
use crate::text_schema::schema_of_text;

/// Forms of an extraction.
const FORMS: &str = "a JSONPath such as $.token, \"regex PATTERN\", \"header NAME\", \"status\" or \
                     \"body\"";

/// Source of a value in a response.
#[derive(Clone, Debug)]
pub struct Extract {
    text: String,
    from: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Json(JsonPath),
    /// The first group, or the whole match.
    Regex(Regex),
    Header(String),
    Status,
    Body,
}

serde_by_text!(Extract);

schema_of_text!(Extract, "Extract", {
    "title": "extraction",
    "description": "Source of a variable in a response: a JSONPath (RFC 9535; the first match), \
                    `regex PATTERN` (the first group, or the whole match), `header NAME`, `status`, \
                    `body`.",
    "type": "string",
    "pattern": r"^(\$|regex\s+\S|header\s+\S|status\s*$|body\s*$)",
    "examples": ["$.items[0].id", "regex id=(\\d+)", "header location", "status", "body"],
});

/// Why an extraction is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExtractError {
    /// None of the forms.
    #[error("{0:?} is not an extraction; write {FORMS}")]
    Form(String),
    /// A pattern is malformed.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl FromStr for Extract {
    type Err = ExtractError;

    fn from_str(text: &str) -> Result<Extract, ExtractError> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let from = match (word, rest.trim()) {
            ("status", "") => Source::Status,
            ("body", "") => Source::Body,
            ("header", name) if !name.is_empty() => Source::Header(name.to_ascii_lowercase()),
            ("regex", pattern) if !pattern.is_empty() => Source::Regex(regex(pattern)?),
            _ if text.starts_with('$') => Source::Json(json_path(text)?),
            _ => return Err(ExtractError::Form(text.to_owned())),
        };
        Ok(Extract {
            text: text.to_owned(),
            from,
        })
    }
}

impl Extract {
    /// The value, if the response has it.
    pub fn find(&self, received: &Received) -> Option<String> {
        match &self.from {
            Source::Json(path) => path.query(received.json()?).first().map(plain),
            Source::Regex(regex) => {
                let text = received.text();
                let found = regex.captures(&text)?;
                let value = found.get(1).or(found.get(0))?;
                Some(value.as_str().to_owned())
            }
            Source::Header(name) => received.header(name).map(str::to_owned),
            Source::Status => Some(received.status.to_string()),
            Source::Body => Some(received.text().into_owned()),
        }
    }

    /// Whether the value is in the body, which then has to be kept.
    pub fn needs_body(&self) -> bool {
        matches!(self.from, Source::Json(_) | Source::Regex(_) | Source::Body)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn response() -> Received {
        let mut received = Received::default();
        received.status = 201;
        received.headers = vec![("location".into(), "/items/7".into())];
        received.body = br#"{"token": "abc", "items": [{"id": 5}, {"id": 6}]}"#.to_vec();
        received
    }

    #[test]
    fn values_are_found_in_every_part_of_a_response() {
        for (text, expected) in [
            ("$.token", Some("abc")),
            ("$.items[1].id", Some("6")),
            ("$.items[?@.id > 5].id", Some("6")),
            ("$.nothing", None),
            (r#"regex "id": (\d+)"#, Some("5")),
            (r"regex abc", Some("abc")),
            ("regex x{9}", None),
            ("header Location", Some("/items/7")),
            ("header etag", None),
            ("status", Some("201")),
        ] {
            let extract: Extract = text.parse().unwrap();
            assert_eq!(extract.find(&response()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn malformed_extractions_are_rejected() {
        for (text, expected) in [
            ("token", "write a JSONPath such as"),
            ("$.[", "not a JSONPath"),
            ("regex (", "not a regular expression"),
            ("header", "write a JSONPath such as"),
            ("", "write a JSONPath such as"),
        ] {
            let refused = text.parse::<Extract>().unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
            assert!(!refused.contains('\n'), "{refused}");
        }
    }
}
