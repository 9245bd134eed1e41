//! Values with names: a plan's `[vars]`, and what its setup finds for all scenarios.

use crate::schema::schema_of_text;
use std::collections::BTreeMap;
use std::fmt;

use minijinja::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::data::is_name;

/// Most bytes of a setup's values together, encoded.
pub const MAX_VALUES_BYTES: usize = 4096;
/// Most `[vars]`.
pub const MAX_VARS: usize = 64;
/// Most bytes of one of them.
const MAX_VAR: usize = 4096;

/// Values by name.
pub type Values = BTreeMap<String, Scalar>;

/// A text, a number or true/false.
#[derive(Clone, PartialEq, Debug)]
pub enum Scalar {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number; never infinite or NaN.
    Float(f64),
    /// A text.
    Text(String),
}

schema_of_text!(Scalar, "Scalar", {
    "title": "a text, a number, true or false",
    "type": ["string", "number", "boolean"],
});

impl Scalar {
    /// What was typed: a number or true/false if it reads so and is shown again just as it was
    /// typed (`5` is a number, `007` a text).
    pub fn typed(text: &str) -> Scalar {
        let read = serde_json::from_str::<Scalar>(text);
        match read {
            Ok(Scalar::Text(_)) | Err(_) => Scalar::Text(text.to_owned()),
            Ok(other) if other.to_string() == text => other,
            Ok(_) => Scalar::Text(text.to_owned()),
        }
    }

    /// As templates see it.
    pub fn value(&self) -> Value {
        match self {
            Scalar::Bool(b) => (*b).into(),
            Scalar::Integer(n) => (*n).into(),
            Scalar::Float(n) => (*n).into(),
            Scalar::Text(text) => text.as_str().into(),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(b) => b.fmt(f),
            Scalar::Integer(n) => n.fmt(f),
            // With its point, as templates show it.
            Scalar::Float(n) => fmt::Debug::fmt(n, f),
            Scalar::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Scalar::Bool(b) => s.serialize_bool(*b),
            Scalar::Integer(n) => s.serialize_i64(*n),
            Scalar::Float(n) => s.serialize_f64(*n),
            Scalar::Text(text) => s.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Scalar, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, or true or false")
            }
            fn visit_bool<E: de::Error>(self, b: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(b))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(n))
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Scalar, E> {
                i64::try_from(n).map(Scalar::Integer).map_err(|_| {
                    E::custom(format!("{n} is larger than 2^63 - 1; write it as a text"))
                })
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Scalar, E> {
                match n.is_finite() {
                    true => Ok(Scalar::Float(n)),
                    false => Err(E::custom(format!("{n} is no number"))),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
        }
        d.deserialize_any(Visitor)
    }
}

/// Values as templates see them: `vars` and `setup`.
pub fn value_of(values: &Values) -> Value {
    Value::from_pairs(values.iter().map(|(name, v)| (name.as_str(), v.value())))
}

/// A setup's values as nodes exchange them: a JSON object.
///
/// # Errors
/// They are larger than [`MAX_VALUES_BYTES`]; names the largest.
pub fn encode_values(values: &Values) -> Result<Vec<u8>, String> {
    let Ok(bytes) = serde_json::to_vec(values) else {
        unreachable!("all keys are text and no value fails to serialise");
    };
    if bytes.len() <= MAX_VALUES_BYTES {
        return Ok(bytes);
    }
    let length = |value: &Scalar| value.to_string().len();
    let largest = values.iter().max_by_key(|(_, value)| length(value));
    let largest = largest.map(|(name, value)| format!("{name} alone has {}", length(value)));
    Err(format!(
        "the values for all scenarios have {} bytes together, and at most {MAX_VALUES_BYTES} are \
         allowed; {}",
        bytes.len(),
        largest.unwrap_or_default()
    ))
}

/// Reads what [`encode_values`] wrote.
///
/// # Errors
/// It is something else, or too large.
pub fn decode_values(bytes: &[u8]) -> Result<Values, String> {
    if bytes.len() > MAX_VALUES_BYTES {
        return Err(format!(
            "{} bytes of values are more than {MAX_VALUES_BYTES}",
            bytes.len()
        ));
    }
    let values: Values = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    match values.keys().find(|name| !is_name(name)) {
        Some(name) => Err(format!("{name:?} is no name for a value")),
        None => Ok(values),
    }
}

/// Checks `[vars]`.
///
/// # Errors
/// The one that is wrong, if it is one, and why.
pub fn validate_vars(vars: &Values) -> Result<(), (Option<&str>, String)> {
    if vars.len() > MAX_VARS {
        let why = format!("has {} entries; at most {MAX_VARS} are allowed", vars.len());
        return Err((None, why));
    }
    for (name, value) in vars {
        let wrong = |why: String| Err((Some(name.as_str()), why));
        if !is_name(name) {
            return wrong("is no name; take letters, digits and _".into());
        }
        let length = value.to_string().len();
        if length > MAX_VAR {
            return wrong(format!("has {length} bytes; at most {MAX_VAR} are allowed"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pair(text: &str) -> Value {
        Value::from_pairs([("v", Scalar::typed(text).value())])
    }

    #[test]
    fn what_is_typed_is_a_number_only_if_it_looks_the_same_afterwards() {
        for (text, expected) in [
            ("5", Scalar::Integer(5)),
            ("-7", Scalar::Integer(-7)),
            ("2.5", Scalar::Float(2.5)),
            ("true", Scalar::Bool(true)),
            ("007", Scalar::Text("007".into())),
            ("2.50", Scalar::Text("2.50".into())),
            ("1e3", Scalar::Text("1e3".into())),
            ("\"a\"", Scalar::Text("\"a\"".into())),
            ("", Scalar::Text(String::new())),
        ] {
            assert_eq!(Scalar::typed(text), expected, "{text}");
            assert_eq!(Scalar::typed(text).to_string(), text);
            let shown = crate::environment().render_str("{{ v }}", pair(text));
            assert_eq!(shown.unwrap(), text);
        }
    }

    #[test]
    fn values_survive_their_encoding_and_have_a_limit() {
        let mut values = Values::from([
            ("token".to_owned(), Scalar::Text("a\"b".into())),
            ("n".to_owned(), Scalar::Integer(3)),
            ("share".to_owned(), Scalar::Float(1.0)),
            ("yes".to_owned(), Scalar::Bool(true)),
        ]);
        let bytes = encode_values(&values).unwrap();
        assert_eq!(decode_values(&bytes), Ok(values.clone()));
        values.insert("big".into(), Scalar::Text("x".repeat(5000)));
        let told = encode_values(&values).unwrap_err();
        assert!(told.contains("big alone has 5000"), "{told}");
        assert!(
            decode_values(b"{\"a b\":1}")
                .unwrap_err()
                .contains("\"a b\"")
        );
        assert!(decode_values(&[b' '; 4097]).unwrap_err().contains("4097"));
    }

    #[test]
    fn other_things_are_no_values() {
        for (json, told) in [
            ("{\"a\":[1]}", "a text, a number, or true or false"),
            ("{\"a\":null}", "a text, a number, or true or false"),
            ("{\"a\":18446744073709551615}", "write it as a text"),
        ] {
            let refused = serde_json::from_str::<Values>(json).unwrap_err();
            assert!(refused.to_string().contains(told), "{refused}");
        }
        let refused = toml::from_str::<Values>("a = inf").unwrap_err();
        assert!(
            refused.to_string().contains("inf is no number"),
            "{refused}"
        );
    }
}
