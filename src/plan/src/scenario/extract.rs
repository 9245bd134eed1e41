//! Where a variable comes from: `$.token`, `regex id=(\d+)`, `header location`, `status`,
//! `body`.

use std::str::FromStr;

use regex::Regex;
use serde_json_path::JsonPath;

use super::response::{Received, plain};
use super::text_serde::written;
use crate::schema::schema_of_text;

/// What an extraction may be.
const FORMS: &str = "a JSONPath such as $.token, \"regex PATTERN\", \"header NAME\", \"status\" or \
                     \"body\"";

/// Takes a value out of a response.
#[derive(Clone, Debug)]
pub struct Extract {
    text: String,
    from: From,
}

#[derive(Clone, Debug)]
enum From {
    Json(JsonPath),
    /// Its first group, or all of it.
    Regex(Regex),
    Header(String),
    Status,
    Body,
}

written!(Extract);

schema_of_text!(Extract, "Extract", {
    "title": "extraction",
    "description": "Where a variable comes from: a JSONPath (RFC 9535; the first match), `regex PATTERN` (its \
                    first group, or all of it), `header NAME`, `status`, `body`.",
    "type": "string",
    "pattern": r"^(\$|regex\s+\S|header\s+\S|status\s*$|body\s*$)",
    "examples": ["$.items[0].id", "regex id=(\\d+)", "header location", "status", "body"],
});

impl FromStr for Extract {
    type Err = String;

    fn from_str(text: &str) -> Result<Extract, String> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let from = match (word, rest.trim()) {
            ("status", "") => From::Status,
            ("body", "") => From::Body,
            ("header", name) if !name.is_empty() => From::Header(name.to_ascii_lowercase()),
            ("regex", pattern) if !pattern.is_empty() => From::Regex(pattern_of(pattern)?),
            _ if text.starts_with('$') => From::Json(path_of(text)?),
            _ => return Err(format!("{text:?} extracts nothing; write {FORMS}")),
        };
        Ok(Extract {
            text: text.to_owned(),
            from,
        })
    }
}

impl Extract {
    /// The value, if it is there.
    pub fn find(&self, received: &Received) -> Option<String> {
        match &self.from {
            From::Json(path) => path.query(received.json()?).first().map(plain),
            From::Regex(regex) => {
                let text = received.text();
                let found = regex.captures(&text)?;
                let value = found.get(1).or(found.get(0))?;
                Some(value.as_str().to_owned())
            }
            From::Header(name) => received.header(name).map(str::to_owned),
            From::Status => Some(received.status.to_string()),
            From::Body => Some(received.text().into_owned()),
        }
    }

    /// Status and headers say it; the body need not be kept.
    pub fn needs_body(&self) -> bool {
        matches!(self.from, From::Json(_) | From::Regex(_) | From::Body)
    }
}

/// A regular expression.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn pattern_of(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|e| {
        let full = e.to_string();
        let last = full.lines().next_back().unwrap_or_default();
        format!("{text:?} is no regular expression: {last}")
    })
}

/// A JSONPath (RFC 9535).
///
/// # Errors
/// One line that says what is wrong with it.
pub fn path_of(text: &str) -> Result<JsonPath, String> {
    JsonPath::parse(text).map_err(|e| format!("{text:?} is no JSONPath: {e}"))
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
    fn values_come_from_anywhere_in_a_response() {
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
    fn what_extracts_nothing_is_refused() {
        for (text, expected) in [
            ("token", "write a JSONPath such as"),
            ("$.[", "no JSONPath"),
            ("regex (", "no regular expression"),
            ("header", "write a JSONPath such as"),
            ("", "write a JSONPath such as"),
        ] {
            let refused = text.parse::<Extract>().unwrap_err();
            assert!(refused.contains(expected), "{text}: {refused}");
            assert!(!refused.contains('\n'), "{refused}");
        }
    }
}
