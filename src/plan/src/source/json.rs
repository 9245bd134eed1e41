//! JSON as a tree. `serde_json` decides whether a text is JSON; the scanner here then finds the
//! places of its values, which `serde_json` does not report.

use super::node::{Key, Node, Value};
use crate::error::PlanError;
use crate::path::Path;
use vajra_core::text::floor_char_boundary;

/// The tree of a JSON text.
///
/// # Errors
/// The text is not JSON; with the place.
pub fn json(text: &str) -> Result<Node, PlanError> {
    // This also limits the depth of nested values.
    if let Err(e) = serde_json::from_str::<serde_json::Value>(text) {
        let lines = text.split_inclusive('\n');
        let before: usize = lines.take(e.line().saturating_sub(1)).map(str::len).sum();
        let at = match e.is_eof() {
            true => text.trim_end().len(),
            false => (before + e.column().saturating_sub(1)).min(text.len()),
        };
        let at = floor_char_boundary(text, at);
        let full = e.to_string();
        let problem = full
            .rsplit_once(" at line ")
            .map_or(&*full, |(what, _)| what);
        return Err(PlanError::syntax(text, at..at, Path::default(), problem));
    }
    let mut scanner = Scanner { text, at: 0 };
    let tree = scanner.value();
    let at = scanner.at;
    tree.ok_or_else(|| PlanError::syntax(text, at..at, Path::default(), "is not JSON"))
}

/// Scans a text that is known to be JSON.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    /// Skips white space; returns the next character.
    fn next(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Skips the next character if it is this one.
    fn take(&mut self, expected: u8) -> bool {
        let found = self.next() == Some(expected);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Option<Node> {
        let first = self.next()?;
        let start = self.at;
        let value = match first {
            b'{' => self.table()?,
            b'[' => self.list()?,
            b'"' => Value::Text(self.string()?),
            _ => self.plain()?,
        };
        Some(Node {
            at: start..self.at,
            value,
        })
    }

    fn table(&mut self) -> Option<Value> {
        self.at += 1;
        let mut entries = Vec::new();
        while !self.take(b'}') {
            self.next()?;
            let start = self.at;
            let name = self.string()?;
            let at = start..self.at;
            if !self.take(b':') {
                return None;
            }
            entries.push((Key { at, name }, self.value()?));
            self.take(b',');
        }
        Some(Value::Table(entries))
    }

    fn list(&mut self) -> Option<Value> {
        self.at += 1;
        let mut nodes = Vec::new();
        while !self.take(b']') {
            nodes.push(self.value()?);
            self.take(b',');
        }
        Some(Value::List(nodes))
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        let mut escaped = false;
        let inside = self.text.as_bytes().get(start + 1..)?.iter();
        let end = inside.take_while(|b| {
            let ends = **b == b'"' && !escaped;
            escaped = **b == b'\\' && !escaped;
            !ends
        });
        self.at = start + end.count() + 2;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    /// A number, true, false or null.
    fn plain(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let length = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']);
        let word = &rest[..length.unwrap_or(rest.len())];
        self.at += word.len();
        match word {
            "null" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => match word.parse() {
                Ok(whole) => Some(Value::Whole(whole)),
                Err(_) => word.parse().ok().map(Value::Number),
            },
        }
    }
}
