//! A plan's text as a tree of values that know where they stand, the same for TOML and JSON:
//! what is read from it can be wrong at a line and a column.

mod json;
mod read;
mod toml;

use std::ops::Range;

use super::parse::PlanError;

pub use json::json;
pub use toml::toml;

/// A value, and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Bytes of the text; of a TOML table its header. Empty for the whole of a TOML file.
    pub at: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// JSON's.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Whole(i128),
    /// Any other number.
    Number(f64),
    /// A text.
    Text(String),
    /// In order.
    List(Vec<Node>),
    /// In the order in which the keys are written.
    Table(Vec<(Key, Node)>),
}

/// A key, and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Key {
    /// Bytes of the text.
    pub at: Range<usize>,
    /// The key.
    pub name: String,
}

/// A step on the way to a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seg {
    /// A key of a table.
    Key(String),
    /// A place in a list, from 0.
    Index(usize),
    /// The element of a list that has this name, or has none and is called after its place
    /// (`step 2`).
    Named(String, String),
}

impl From<&str> for Seg {
    fn from(key: &str) -> Seg {
        Seg::Key(key.to_owned())
    }
}

impl From<usize> for Seg {
    fn from(place: usize) -> Seg {
        Seg::Index(place)
    }
}

/// The tree of a text. A plan in TOML never begins with a brace, one in JSON always does.
///
/// # Errors
/// It is neither.
pub fn tree(text: &str) -> Result<Node, PlanError> {
    match text.trim_start().starts_with('{') {
        true => json(text),
        false => toml(text),
    }
}

impl Node {
    /// The value below a key, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|(k, _)| k.name == key).map(|(_, n)| n),
            _ => None,
        }
    }

    fn step(&self, seg: &Seg) -> Option<&Node> {
        match (seg, &self.value) {
            (Seg::Key(key), _) => self.get(key),
            (Seg::Index(place), Value::List(nodes)) => nodes.get(*place),
            (Seg::Named(word, name), Value::List(nodes)) => {
                let named = |i: usize, node: &Node| match node.get("name").map(|n| &n.value) {
                    Some(Value::Text(text)) => text == name,
                    _ => *name == format!("{word} {}", i + 1),
                };
                let mut nodes = nodes.iter().enumerate();
                nodes.find(|(i, node)| named(*i, node)).map(|(_, n)| n)
            }
            _ => None,
        }
    }

    /// The last value on a path that there is: what a value that is missing is missing from.
    pub fn last_on<'a>(&'a self, path: &[Seg]) -> &'a Node {
        let mut node = self;
        for seg in path {
            match node.step(seg) {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// All texts below, in the order in which they are written.
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

/// Line and column, counted from 1, of a byte of a text.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TOML: &str =
        "a = 1\n[b]\n\"c d\" = [0.5, \"x\"]\n[[e]]\nname = \"f\"\n[[e]]\ng.h = true\n";
    const JSON: &str =
        r#"{"a": 1, "b": {"c d": [0.5, "x"]}, "e": [{"name": "f"}, {"g": {"h": true}}]}"#;

    /// Without places.
    fn bare(node: &Node) -> serde_json::Value {
        serde::Deserialize::deserialize(node).unwrap()
    }

    #[test]
    fn toml_and_json_give_the_same_tree() {
        let (from_toml, from_json) = (tree(TOML).unwrap(), tree(JSON).unwrap());
        assert_eq!(bare(&from_toml), bare(&from_json));
        assert_eq!(
            bare(&from_json),
            serde_json::from_str::<serde_json::Value>(JSON).unwrap()
        );
    }

    #[test]
    fn every_value_knows_where_it_stands() {
        let path: [Seg; 3] = ["b".into(), "c d".into(), 1.into()];
        for text in [TOML, JSON] {
            let tree = tree(text).unwrap();
            assert_eq!(&text[tree.last_on(&path).at.clone()], "\"x\"");
            let truth = tree.last_on(&["e".into(), 1.into(), "g".into(), "h".into()]);
            assert_eq!(&text[truth.at.clone()], "true");
        }
        let tree = tree(TOML).unwrap();
        assert_eq!(
            &TOML[tree.last_on(&["b".into(), "no".into()]).at.clone()],
            "[b]"
        );
        let second = Seg::Named("e".into(), "e 2".into());
        let second = tree.last_on(&["e".into(), second]).at.start;
        assert_eq!(line_and_column(TOML, second), (6, 1));
    }

    #[test]
    fn odd_json_is_told_with_its_place() {
        for (text, place) in [("{\"a\": 1,}", 8), ("{\"a\" 1}", 5), ("{", 1), ("[1]", 0)] {
            match json(text).map(|n| n.value) {
                Err(PlanError::Syntax { at, .. }) => assert_eq!(at.start, place, "{text}"),
                other => assert!(matches!(other, Ok(Value::List(_))), "{text}: {other:?}"),
            }
        }
        let nested = "[".repeat(100_000);
        assert!(json(&nested).is_err());
        let odd = json(r#"{"\u0041\"": "\\", "n": -1.5e2}"#).unwrap();
        assert_eq!(bare(&odd), serde_json::json!({"A\"": "\\", "n": -150.0}));
    }
}
