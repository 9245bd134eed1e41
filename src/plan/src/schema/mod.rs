//! The plan file as a JSON Schema (draft 2020-12), made from the types that read it: their
//! keys, comments, defaults and limits are the schema's. A key that is added to one of them is
//! thereby in the schema and, through [`markdown`], in `docs/plan-reference.md`.

mod markdown;
mod tables;

#[cfg(test)]
mod tests;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::parse::RawFile;

pub use markdown::markdown;

/// Gives a type that is written as text the part of the schema that describes it. A `title`
/// marks it as a text of its own in the reference.
macro_rules! schema_of_text {
    ($type:ty, $name:literal, $schema:tt) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

pub(crate) use schema_of_text;

/// The schema of a plan file.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(tidy));
    let generator = settings.into_generator();
    generator.into_root_schema_for::<RawFile>().to_value()
}

/// Where in a plan file a key belongs: `in [load]`.
pub fn places_of(key: &str) -> Vec<String> {
    let schema = schema();
    let tables = tables::tables(&schema).into_iter();
    let having = tables.filter(|table| table.keys.iter().any(|k| k.name == key));
    let place = |table: tables::Table<'_>| match table.path.is_empty() {
        true => "at the top of the file".to_owned(),
        false => format!("in {}", table.written()),
    };
    having.map(place).collect()
}

/// What Rust says and plan files don't: absence is a key left out, not null; numbers have no
/// sizes in bits; comments are lines.
fn tidy(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    let empty = |v: &Value| match v {
        Value::Null | Value::Object(_) => true,
        Value::Array(values) => values.is_empty(),
        _ => false,
    };
    if object.get("default").is_some_and(empty) {
        object.remove("default");
    }
    if let Some(Value::String(format)) = object.get("format")
        && (format.starts_with("uint") || format == "double")
    {
        object.remove("format");
    }
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    let nothing = serde_json::json!({"type": "null"});
    if let Some(Value::Array(choices)) = object.get_mut("anyOf")
        && choices.contains(&nothing)
    {
        choices.retain(|choice| *choice != nothing);
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}
