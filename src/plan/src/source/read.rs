//! Deserialization of types from the tree, with errors in the words of plan files.

use std::fmt::Display;
use std::ops::Range;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::node::{Key, Node, Value};
use crate::error::PlanError;
use crate::path::{Path, Segment};
use crate::suggest::nearest;

/// Why a value can't be read, and where.
#[derive(Clone, PartialEq, Debug)]
pub struct ReadError {
    /// Bytes of the innermost value that is known.
    at: Option<Range<usize>>,
    /// Keys on the path, innermost first.
    keys: Vec<String>,
    problem: String,
    help: Vec<String>,
    /// The key that is unknown in its table.
    unknown_key: Option<String>,
}

impl ReadError {
    fn at(mut self, at: &Range<usize>) -> ReadError {
        self.at.get_or_insert_with(|| at.clone());
        self
    }

    fn below(mut self, key: &str) -> ReadError {
        self.keys.push(key.to_owned());
        self
    }

    /// The key that is unknown in its table, if that is the problem.
    pub fn unknown_key(&self) -> Option<&str> {
        self.unknown_key.as_deref()
    }

    /// The same with another hint, before the others.
    pub fn with_help(mut self, help: Option<String>) -> ReadError {
        self.help.splice(0..0, help);
        self
    }

    /// The error of a plan that was read from `text`.
    pub fn in_text(self, text: &str) -> PlanError {
        let at = self.at.unwrap_or(0..0);
        let keys = self.keys.iter().rev();
        let path = Path(keys.map(|key| Segment::from(key.as_str())).collect());
        let mut error = PlanError::syntax(text, at, path, &self.problem);
        if let PlanError::Syntax { help, .. } = &mut error {
            *help = self.help;
        }
        error
    }
}

impl Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ReadError {}

/// Hints for an unknown name: the most similar one, and all allowed ones.
fn suggestions(given: &str, allowed: &[&str]) -> Vec<String> {
    let meant = nearest(given, allowed.iter().copied());
    let mut help: Vec<String> = meant
        .map(|meant| format!("did you mean `{meant}`?"))
        .into_iter()
        .collect();
    let all: Vec<String> = allowed.iter().map(|name| format!("`{name}`")).collect();
    help.push(match all.is_empty() {
        true => "nothing is allowed here".to_owned(),
        false => format!("allowed here: {}", all.join(", ")),
    });
    help
}

/// A value as it is written in the file.
fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Unsigned(n) => n.to_string(),
        Unexpected::Signed(n) => n.to_string(),
        Unexpected::Float(n) => n.to_string(),
        Unexpected::Bool(truth) => truth.to_string(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a table".into(),
        Unexpected::Unit | Unexpected::Option => "null".into(),
        other => other.to_string(),
    }
}

/// serde's names of Rust types in the words of plan files.
fn expected_type(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string" => "text in quotes",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

impl de::Error for ReadError {
    fn custom<T: Display>(problem: T) -> ReadError {
        let problem = problem.to_string();
        ReadError {
            at: None,
            keys: Vec::new(),
            problem: problem.split_whitespace().collect::<Vec<_>>().join(" "),
            help: Vec::new(),
            unknown_key: None,
        }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> ReadError {
        let expected = expected.to_string();
        ReadError::custom(format!(
            "{} is not allowed; it must be {}",
            found(unexpected),
            expected_type(&expected)
        ))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> ReadError {
        ReadError::invalid_type(unexpected, expected)
    }

    fn unknown_variant(given: &str, allowed: &'static [&'static str]) -> ReadError {
        ReadError {
            help: suggestions(given, allowed),
            ..ReadError::custom(format!("{given:?} is not known here"))
        }
    }

    fn unknown_field(given: &str, allowed: &'static [&'static str]) -> ReadError {
        ReadError {
            help: suggestions(given, allowed),
            unknown_key: Some(given.to_owned()),
            ..ReadError::custom(format!("unknown key `{given}`"))
        }
    }

    fn missing_field(key: &'static str) -> ReadError {
        ReadError::custom(format!("the key `{key}` is missing")).below(key)
    }

    fn duplicate_field(key: &'static str) -> ReadError {
        ReadError::custom(format!("the key `{key}` occurs twice"))
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let read = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Whole(n) => match (u64::try_from(*n), i64::try_from(*n)) {
                (Ok(n), _) => visitor.visit_u64(n),
                (_, Ok(n)) => visitor.visit_i64(n),
                _ => Err(de::Error::custom(format!("{n} is too large"))),
            },
            Value::Number(n) => visitor.visit_f64(*n),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(nodes) => {
                let mut rest = Elements { rest: nodes.iter() };
                let read = visitor.visit_seq(&mut rest);
                match rest.rest.next() {
                    Some(_) if read.is_ok() => Err(de::Error::custom(format!(
                        "has {} elements, too many",
                        nodes.len()
                    ))),
                    _ => read,
                }
            }
            Value::Table(entries) => visitor.visit_map(Entries::of(entries)),
        };
        read.map_err(|e| e.at(&self.at))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let read = match &self.value {
            Value::Text(text) => visitor.visit_enum(StrDeserializer::<ReadError>::new(text)),
            Value::Table(entries) => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::of(entries)))
            }
            _ => return self.deserialize_any(visitor),
        };
        read.map_err(|e| e.at(&self.at))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The elements of a list.
struct Elements<'de> {
    rest: std::slice::Iter<'de, Node>,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some(node) = self.rest.next() else {
            return Ok(None);
        };
        seed.deserialize(node).map(Some).map_err(|e| e.at(&node.at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The entries of a table.
struct Entries<'de> {
    rest: std::slice::Iter<'de, (Key, Node)>,
    current: Option<&'de (Key, Node)>,
}

impl<'de> Entries<'de> {
    fn of(entries: &'de [(Key, Node)]) -> Entries<'de> {
        Entries {
            rest: entries.iter(),
            current: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        self.current = self.rest.next();
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        let read = seed.deserialize(BorrowedStrDeserializer::<ReadError>::new(&key.name));
        read.map(Some).map_err(|e| e.at(&key.at).below(&key.name))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let Some((key, node)) = self.current else {
            return Err(de::Error::custom("a value without a key"));
        };
        let read = seed.deserialize(node);
        read.map_err(|e| e.at(&node.at).below(&key.name))
    }
}
