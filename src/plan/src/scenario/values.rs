//! Named values: a plan's `[vars]`, and the values that its setup extracts.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::PlanError;
use crate::limits::{MAX_VALUES_BYTES, MAX_VAR, MAX_VARS};
use crate::names::is_name;
use crate::path::Path;
use crate::text_schema::schema_of_text;

/// Values by name.
pub type Values = BTreeMap<String, Scalar>;

/// A text, a number, true or false.
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
    "title": "value",
    "description": "A text, a number, true or false.",
    "type": ["string", "number", "boolean"],
});

impl Scalar {
    /// A value from the command line: a number, true or false only if it is formatted exactly as it
    /// was typed (`5` is a number, `007` a text).
    pub fn typed(text: &str) -> Scalar {
        let read = serde_json::from_str::<Scalar>(text);
        match read {
            Ok(Scalar::Text(_)) | Err(_) => Scalar::Text(text.to_owned()),
            Ok(other) if other.to_string() == text => other,
            Ok(_) => Scalar::Text(text.to_owned()),
        }
    }

    /// As a value of a template.
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
            // With its decimal point, as in templates.
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
                    false => Err(E::custom(format!("{n} is not a number"))),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
        }
        d.deserialize_any(Visitor)
    }
}

/// Values as an object of templates: `vars` or `setup`.
pub fn value_of(values: &Values) -> Value {
    Value::from_pairs(values.iter().map(|(name, v)| (name.as_str(), v.value())))
}

/// Why values can't be encoded or decoded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValuesError {
    /// The values of a setup are larger than [`MAX_VALUES_BYTES`].
    #[error(
        "the values for all scenarios have {bytes} bytes together, and at most {MAX_VALUES_BYTES} \
         are allowed; {largest} alone has {length}"
    )]
    TooLarge {
        /// Encoded length of all values.
        bytes: usize,
        /// Name of the largest value.
        largest: String,
        /// Its length in bytes.
        length: usize,
    },
    /// More bytes than an encoding can have.
    #[error("{0} bytes of values are more than {MAX_VALUES_BYTES}")]
    TooManyBytes(usize),
    /// Not a JSON object of values.
    #[error("{0}")]
    Json(String),
    /// A name that placeholders can't use.
    #[error("{0:?} is not a name for a value")]
    Name(String),
}

/// Encodes the values of a setup for other nodes: a JSON object.
///
/// # Errors
/// They are larger than [`MAX_VALUES_BYTES`].
pub fn encode_values(values: &Values) -> Result<Vec<u8>, ValuesError> {
    let Ok(bytes) = serde_json::to_vec(values) else {
        unreachable!("all keys are text and every value can be serialised");
    };
    if bytes.len() <= MAX_VALUES_BYTES {
        return Ok(bytes);
    }
    let lengths = values.iter().map(|(name, v)| (v.to_string().len(), name));
    let (length, largest) = match lengths.max() {
        Some((length, name)) => (length, name.clone()),
        None => (0, String::new()),
    };
    Err(ValuesError::TooLarge {
        bytes: bytes.len(),
        largest,
        length,
    })
}

/// Decodes the output of [`encode_values`].
///
/// # Errors
/// It is something else, or too large.
pub fn decode_values(bytes: &[u8]) -> Result<Values, ValuesError> {
    if bytes.len() > MAX_VALUES_BYTES {
        return Err(ValuesError::TooManyBytes(bytes.len()));
    }
    let values: Values =
        serde_json::from_slice(bytes).map_err(|e| ValuesError::Json(e.to_string()))?;
    match values.keys().find(|name| !is_name(name)) {
        Some(name) => Err(ValuesError::Name(name.clone())),
        None => Ok(values),
    }
}

/// Checks `[vars]`.
///
/// # Errors
/// The one that is not allowed.
pub fn validate_vars(vars: &Values) -> Result<(), PlanError> {
    if vars.len() > MAX_VARS {
        let problem = format!("has {} entries; at most {MAX_VARS} are allowed", vars.len());
        return Err(PlanError::field("vars", problem));
    }
    for (name, value) in vars {
        let path = Path::dotted("vars").then(name.as_str());
        if !is_name(name) {
            let problem = "is not a name; use letters, digits and _";
            return Err(PlanError::at(path, problem));
        }
        let length = value.to_string().len();
        if length > MAX_VAR {
            let problem = format!("has {length} bytes; at most {MAX_VAR} are allowed");
            return Err(PlanError::at(path, problem));
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
    fn typed_text_is_a_number_only_if_it_is_formatted_the_same() {
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
        let error = encode_values(&values).unwrap_err().to_string();
        assert!(error.contains("big alone has 5000"), "{error}");
        let error = decode_values(b"{\"a b\":1}").unwrap_err().to_string();
        assert!(error.contains("\"a b\""), "{error}");
        let error = decode_values(&[b' '; 4097]).unwrap_err().to_string();
        assert!(error.contains("4097"), "{error}");
    }

    #[test]
    fn other_types_are_rejected() {
        for (json, expected) in [
            ("{\"a\":[1]}", "a text, a number, or true or false"),
            ("{\"a\":null}", "a text, a number, or true or false"),
            ("{\"a\":18446744073709551615}", "write it as a text"),
        ] {
            let refused = serde_json::from_str::<Values>(json).unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        }
        let refused = toml::from_str::<Values>("a = inf").unwrap_err();
        assert!(
            refused.to_string().contains("inf is not a number"),
            "{refused}"
        );
    }
}
