//! A task's parameters: declared once, and from that validated and described as JSON Schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The parameters of a task type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters(Vec<Parameter>);

/// A parameter's declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name in a plan.
    pub name: &'static str,
    /// Type and range.
    pub kind: ParameterKind,
    /// Whether it may be left out.
    pub presence: Presence,
    /// One sentence for the documentation, with the unit.
    pub help: &'static str,
}

/// A parameter's type and range. Bounds are inclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParameterKind {
    /// `true` or `false`.
    Boolean,
    /// An integer.
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A number.
    Number {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// A text.
    Text {
        /// Most characters.
        max_chars: usize,
    },
    /// One of these texts.
    Choice(&'static [&'static str]),
}

/// Whether a parameter may be left out.
#[derive(Debug, Clone, PartialEq)]
pub enum Presence {
    /// It must be given.
    Required,
    /// It may be left out.
    Optional,
    /// It has this value if it is left out.
    Default(ParameterValue),
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterValue {
    /// Of a boolean.
    Boolean(bool),
    /// Of an integer.
    Integer(i64),
    /// Of a number.
    Number(f64),
    /// Of a text or a choice.
    Text(String),
}

/// Why parameters are not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No parameter has this name.
    #[error("unknown parameter {name:?} (expected {expected})")]
    Unknown {
        /// The name.
        name: String,
        /// The declared names.
        expected: String,
    },
    /// A required parameter was left out.
    #[error("the parameter {0:?} is missing")]
    Missing(&'static str),
    /// A value has the wrong type or is out of range.
    #[error("the parameter {name:?} is {value}, expected {expected}")]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// What was given, as JSON.
        value: String,
        /// Type and range.
        expected: String,
    },
}

/// Valid values, with defaults filled in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ParameterValues(BTreeMap<&'static str, ParameterValue>);

impl Parameter {
    /// A parameter that must be given.
    pub fn required(name: &'static str, kind: ParameterKind, help: &'static str) -> Parameter {
        let presence = Presence::Required;
        Parameter {
            name,
            kind,
            presence,
            help,
        }
    }

    /// A parameter that may be left out.
    pub fn optional(name: &'static str, kind: ParameterKind, help: &'static str) -> Parameter {
        Parameter {
            presence: Presence::Optional,
            ..Parameter::required(name, kind, help)
        }
    }

    /// A parameter that has a value if it is left out.
    pub fn with_default(
        name: &'static str,
        kind: ParameterKind,
        default: ParameterValue,
        help: &'static str,
    ) -> Parameter {
        Parameter {
            presence: Presence::Default(default),
            ..Parameter::required(name, kind, help)
        }
    }

    fn schema(&self) -> Value {
        let mut schema = match self.kind {
            ParameterKind::Boolean => json!({ "type": "boolean" }),
            ParameterKind::Integer { min, max } => {
                json!({ "type": "integer", "minimum": min, "maximum": max })
            }
            ParameterKind::Number { min, max } => {
                json!({ "type": "number", "minimum": min, "maximum": max })
            }
            ParameterKind::Text { max_chars } => {
                json!({ "type": "string", "maxLength": max_chars })
            }
            ParameterKind::Choice(choices) => json!({ "type": "string", "enum": choices }),
        };
        schema["description"] = self.help.into();
        if let Presence::Default(value) = &self.presence {
            schema["default"] = value.to_json();
        }
        schema
    }

    fn read(&self, value: &Value) -> Result<ParameterValue, ParameterError> {
        self.kind
            .read(value)
            .ok_or_else(|| ParameterError::Invalid {
                name: self.name,
                value: value.to_string(),
                expected: self.kind.expected(),
            })
    }
}

impl ParameterKind {
    fn read(self, value: &Value) -> Option<ParameterValue> {
        match self {
            ParameterKind::Boolean => value.as_bool().map(ParameterValue::Boolean),
            ParameterKind::Integer { min, max } => integer(value)
                .filter(|n| (min..=max).contains(n))
                .map(ParameterValue::Integer),
            ParameterKind::Number { min, max } => value
                .as_f64()
                .filter(|n| (min..=max).contains(n))
                .map(ParameterValue::Number),
            ParameterKind::Text { max_chars } => value
                .as_str()
                .filter(|text| text.chars().count() <= max_chars)
                .map(|text| ParameterValue::Text(text.to_owned())),
            ParameterKind::Choice(choices) => value
                .as_str()
                .filter(|text| choices.contains(text))
                .map(|text| ParameterValue::Text(text.to_owned())),
        }
    }

    fn expected(self) -> String {
        match self {
            ParameterKind::Boolean => "true or false".to_owned(),
            ParameterKind::Integer { min, max } => format!("an integer from {min} to {max}"),
            ParameterKind::Number { min, max } => format!("a number from {min} to {max}"),
            ParameterKind::Text { max_chars } => {
                format!("a text of at most {max_chars} characters")
            }
            ParameterKind::Choice(choices) => format!("one of {}", choices.join(", ")),
        }
    }
}

/// JSON Schema counts a number without a fraction as an integer, however it is written.
fn integer(value: &Value) -> Option<i64> {
    let float = || {
        let float = value.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 2f64.powi(53)).then_some(float as i64)
    };
    value.as_i64().or_else(float)
}

impl ParameterValue {
    fn to_json(&self) -> Value {
        match self {
            ParameterValue::Boolean(value) => (*value).into(),
            ParameterValue::Integer(value) => (*value).into(),
            ParameterValue::Number(value) => (*value).into(),
            ParameterValue::Text(value) => value.as_str().into(),
        }
    }
}

impl Parameters {
    /// A declaration of these parameters.
    pub fn new(parameters: impl IntoIterator<Item = Parameter>) -> Parameters {
        Parameters(parameters.into_iter().collect())
    }

    /// The declarations in order.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter()
    }

    /// JSON Schema (draft 2020-12) of an object that [`Self::validate`] accepts.
    pub fn schema(&self) -> Value {
        let properties: Map<String, Value> = self
            .iter()
            .map(|p| (p.name.to_owned(), p.schema()))
            .collect();
        let required: Vec<&str> = self
            .iter()
            .filter(|p| p.presence == Presence::Required)
            .map(|p| p.name)
            .collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// Checks a JSON object and fills in defaults.
    ///
    /// # Errors
    /// The first fault, see [`ParameterError`].
    pub fn validate(&self, given: &Map<String, Value>) -> Result<ParameterValues, ParameterError> {
        if let Some(name) = given.keys().find(|k| self.iter().all(|p| p.name != *k)) {
            let names: Vec<&str> = self.iter().map(|p| p.name).collect();
            return Err(ParameterError::Unknown {
                name: name.clone(),
                expected: match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.join(", "),
                },
            });
        }
        let mut values = BTreeMap::new();
        for parameter in self.iter() {
            let value = match (given.get(parameter.name), &parameter.presence) {
                (Some(value), _) => parameter.read(value)?,
                (None, Presence::Default(value)) => value.clone(),
                (None, Presence::Optional) => continue,
                (None, Presence::Required) => {
                    return Err(ParameterError::Missing(parameter.name));
                }
            };
            values.insert(parameter.name, value);
        }
        Ok(ParameterValues(values))
    }
}

impl ParameterValues {
    /// A value, if it was given or has a default.
    pub fn get(&self, name: &str) -> Option<&ParameterValue> {
        self.0.get(name)
    }

    /// A boolean's value.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            ParameterValue::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer's value.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            ParameterValue::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// A number's value.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            ParameterValue::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of a text or a choice.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            ParameterValue::Text(value) => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        Parameters::new([
            Parameter::required(
                "ms",
                ParameterKind::Integer { min: 0, max: 1000 },
                "Duration, in milliseconds.",
            ),
            Parameter::optional(
                "ratio",
                ParameterKind::Number { min: 0.0, max: 1.0 },
                "Ratio of hits.",
            ),
            Parameter::with_default(
                "mode",
                ParameterKind::Choice(&["get", "set"]),
                ParameterValue::Text("get".into()),
                "Operation.",
            ),
            Parameter::optional("key", ParameterKind::Text { max_chars: 3 }, "Key."),
            Parameter::optional("quiet", ParameterKind::Boolean, "Without output."),
        ])
    }

    fn validate(given: Value) -> Result<ParameterValues, ParameterError> {
        parameters().validate(given.as_object().unwrap())
    }

    #[test]
    fn validation_and_schema_accept_the_same_objects() {
        let schema = jsonschema::validator_for(&parameters().schema()).unwrap();
        for (given, valid) in [
            (json!({ "ms": 5 }), true),
            (json!({ "ms": 5.0 }), true),
            (json!({ "ms": 5.5 }), false),
            (json!({ "ms": -1 }), false),
            (json!({ "ms": 1001 }), false),
            (json!({ "ms": u64::MAX }), false),
            (json!({ "ms": "5" }), false),
            (json!({}), false),
            (json!({ "ms": 5, "other": 1 }), false),
            (json!({ "ms": 5, "ratio": 1 }), true),
            (json!({ "ms": 5, "ratio": 1.1 }), false),
            (json!({ "ms": 5, "mode": "set" }), true),
            (json!({ "ms": 5, "mode": "del" }), false),
            (json!({ "ms": 5, "key": "äöü" }), true),
            (json!({ "ms": 5, "key": "long" }), false),
            (json!({ "ms": 5, "quiet": true }), true),
            (json!({ "ms": 5, "quiet": null }), false),
        ] {
            assert_eq!(validate(given.clone()).is_ok(), valid, "{given}");
            assert_eq!(schema.is_valid(&given), valid, "{given}");
        }
    }

    #[test]
    fn defaults_are_filled_in() {
        let values = validate(json!({ "ms": 7 })).unwrap();
        assert_eq!(values.integer("ms"), Some(7));
        assert_eq!(values.text("mode"), Some("get"));
        assert_eq!(values.get("ratio"), None);
        assert_eq!(
            parameters().schema()["properties"]["mode"]["default"],
            "get"
        );
    }

    #[test]
    fn errors_name_the_parameter_and_what_is_expected() {
        for (given, expected) in [
            (json!({}), "the parameter \"ms\" is missing"),
            (
                json!({ "ms": 2000 }),
                "the parameter \"ms\" is 2000, expected an integer from 0 to 1000",
            ),
            (
                json!({ "ms": 1, "mode": "del" }),
                "the parameter \"mode\" is \"del\", expected one of get, set",
            ),
            (
                json!({ "ms": 1, "mss": 1 }),
                "unknown parameter \"mss\" (expected ms, ratio, mode, key, quiet)",
            ),
        ] {
            assert_eq!(validate(given).unwrap_err().to_string(), expected);
        }
    }
}
