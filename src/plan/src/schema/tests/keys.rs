//! The keys that the parser accepts, found by its deserialization calls.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::*;
use crate::raw::RawFile;

/// Descends to the table at a path and fails with its keys.
struct Explorer<'a> {
    path: &'a [String],
}

/// The keys of the table; empty if there is none at the path.
#[derive(Debug)]
struct Found(&'static [&'static str]);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Found {}

impl de::Error for Found {
    fn custom<T: fmt::Display>(_: T) -> Found {
        Found(&[])
    }
}

impl<'de> Deserializer<'de> for Explorer<'_> {
    type Error = Found;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Found> {
        Err(Found(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Found> {
        match self.path.is_empty() {
            true => Err(Found(keys)),
            false => visitor.visit_map(self),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        match self.path.is_empty() {
            true => Err(Found(&[])),
            false => visitor.visit_map(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        visitor.visit_seq(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct newtype_struct tuple tuple_struct enum identifier ignored_any
    }
}

/// A table with a single entry: the next key of the path.
impl<'de> MapAccess<'de> for Explorer<'_> {
    type Error = Found;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Found> {
        let key = StrDeserializer::<Found>::new(&self.path[0]);
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Found> {
        let path = &self.path[1..];
        seed.deserialize(Explorer { path })
    }
}

/// A list with a single element.
impl<'de> SeqAccess<'de> for Explorer<'_> {
    type Error = Found;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Found> {
        let path = self.path;
        seed.deserialize(Explorer { path }).map(Some)
    }
}

/// The keys of the table at a path.
fn accepted(path: &[String]) -> &'static [&'static str] {
    match RawFile::deserialize(Explorer { path }) {
        Err(Found(keys)) => keys,
        Ok(_) => unreachable!("an explorer has no values"),
    }
}

#[test]
fn the_schema_has_exactly_the_keys_that_the_parser_accepts() {
    let schema = schema();
    let mut seen = 0;
    for table in tables(&schema) {
        // Text or a table, which the explorer can't distinguish.
        if table.path == ["thresholds"] {
            continue;
        }
        let named: Vec<&str> = table.keys.iter().map(|k| k.name).collect();
        assert_eq!(named, accepted(&table.path), "{}", table.written());
        seen += 1;
    }
    assert!(seen >= 12, "{seen}");
}

#[test]
fn the_schema_has_every_table_of_the_parser() {
    let schema = schema();
    let described = tables(&schema);
    // Tables at several places are described once: a step as `scenario.step`.
    let again =
        |path: &[String]| path == ["http", "tls"] || path == ["setup"] || path == ["teardown"];
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let keys = accepted(&path);
        let there = described.iter().any(|table| table.path == path);
        assert!(
            keys.is_empty() || there || again(&path),
            "{path:?} has {keys:?}"
        );
        for key in keys {
            let key = [path.clone(), vec![(*key).to_owned()]].concat();
            open.push([key.clone(), vec!["NAME".to_owned()]].concat());
            open.push(key);
        }
        assert!(path.len() < 10, "{path:?}");
    }
}
