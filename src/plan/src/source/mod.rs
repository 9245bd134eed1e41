//! A plan's text as a tree of values with their places, the same for TOML and JSON, so that an
//! error has a line and a column.

mod json;
mod node;
mod read;
mod toml;

pub use json::json;
pub use node::Node;
pub use toml::toml;

use super::error::PlanError;

/// The tree of a text. A plan in JSON starts with a brace, one in TOML never does.
///
/// # Errors
/// It is neither.
pub fn tree(text: &str) -> Result<Node, PlanError> {
    match text.trim_start().starts_with('{') {
        true => json(text),
        false => toml(text),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::node::Value;
    use super::*;
    use crate::error::line_and_column;
    use crate::path::Path;

    const TOML: &str =
        "a = 1\n[b]\n\"c d\" = [0.5, \"x\"]\n[[e]]\nname = \"f\"\n[[e]]\ng.h = true\n";
    const JSON: &str =
        r#"{"a": 1, "b": {"c d": [0.5, "x"]}, "e": [{"name": "f"}, {"g": {"h": true}}]}"#;

    /// The values without their places.
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
    fn every_value_has_its_place() {
        let path = Path::dotted("b.c d").then(1);
        for text in [TOML, JSON] {
            let tree = tree(text).unwrap();
            assert_eq!(&text[tree.last_on(&path).at.clone()], "\"x\"");
            let truth = tree.last_on(&Path::dotted("e").then(1).then("g").then("h"));
            assert_eq!(&text[truth.at.clone()], "true");
        }
        let tree = tree(TOML).unwrap();
        assert_eq!(&TOML[tree.last_on(&Path::dotted("b.no")).at.clone()], "[b]");
        let second = tree.last_on(&Path::dotted("e").then(1)).at.start;
        assert_eq!(line_and_column(TOML, second), (6, 1));
    }

    #[test]
    fn a_name_in_a_list_of_pairs_leads_to_its_value() {
        let text = "h = [[\"a\", \"x\"], [\"b\", \"y\"]]\n";
        let tree = tree(text).unwrap();
        assert_eq!(
            &text[tree.last_on(&Path::dotted("h.b")).at.clone()],
            "\"y\""
        );
    }

    #[test]
    fn malformed_json_is_reported_with_its_place() {
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
