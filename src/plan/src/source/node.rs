//! Values of a plan's text and their places.

use std::ops::Range;

use crate::path::{Path, Segment};

/// A value and its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Bytes of the text; for a TOML table those of its header. Empty for the whole TOML file.
    pub at: Range<usize>,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// `null`, in JSON.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Whole(i128),
    /// Any other number.
    Number(f64),
    /// A text.
    Text(String),
    /// The elements in order.
    List(Vec<Node>),
    /// The entries in the order of their keys in the text.
    Table(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Key {
    /// Bytes of the text.
    pub at: Range<usize>,
    /// The key.
    pub name: String,
}

impl Node {
    /// The value of a key, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|(k, _)| k.name == key).map(|(_, n)| n),
            _ => None,
        }
    }

    fn step(&self, segment: &Segment) -> Option<&Node> {
        match (segment, &self.value) {
            // A list of pairs, as headers can be written.
            (Segment::Key(key), Value::List(pairs)) => pairs.iter().find_map(|pair| {
                let Value::List(pair) = &pair.value else {
                    return None;
                };
                match pair.as_slice() {
                    [name, value] if name.value == Value::Text(key.clone()) => Some(value),
                    _ => None,
                }
            }),
            (Segment::Key(key), _) => self.get(key),
            (Segment::Index(index), Value::List(nodes)) => nodes.get(*index),
            _ => None,
        }
    }

    /// The last existing value on a path: if a value is missing, the table that lacks it.
    pub fn last_on<'a>(&'a self, path: &Path) -> &'a Node {
        let mut node = self;
        for segment in &path.0 {
            match node.step(segment) {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// All texts below, in the order of the file.
    pub fn texts(&self) -> Vec<&Node> {
        let mut found = Vec::new();
        self.collect_texts(&mut found);
        found.sort_by_key(|node| node.at.start);
        found
    }

    fn collect_texts<'a>(&'a self, into: &mut Vec<&'a Node>) {
        match &self.value {
            Value::Text(_) => into.push(self),
            Value::List(nodes) => nodes.iter().for_each(|n| n.collect_texts(into)),
            Value::Table(entries) => entries.iter().for_each(|(_, n)| n.collect_texts(into)),
            _ => {}
        }
    }
}
