//! The JSON Schema (draft 2020-12) of plan files, generated from the types that read them, with their
//! keys, doc comments, defaults and limits. A new key of such a type is automatically in the schema
//! and, through [`markdown`], in `docs/plan-reference.md`.

mod markdown;
mod tables;

#[cfg(test)]
mod tests;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::raw::RawFile;

pub use markdown::markdown;

/// The schema of a plan file.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(tidy));
    let generator = settings.into_generator();
    generator.into_root_schema_for::<RawFile>().to_value()
}

/// Tables of a plan file that have a key: `in [load]`.
pub fn places_of(key: &str) -> Vec<String> {
    let schema = schema();
    let tables = tables::tables(&schema).into_iter();
    let matching = tables.filter(|table| table.keys.iter().any(|k| k.name == key));
    let place = |table: tables::Table<'_>| match table.path.is_empty() {
        true => "at the top of the file".to_owned(),
        false => format!("in {}", table.written()),
    };
    matching.map(place).collect()
}

/// Removes what is specific to Rust: null for an absent key, bit sizes of numbers, and line breaks in
/// comments.
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
    let null = serde_json::json!({"type": "null"});
    if let Some(Value::Array(choices)) = object.get_mut("anyOf")
        && choices.contains(&null)
    {
        choices.retain(|choice| *choice != null);
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}
