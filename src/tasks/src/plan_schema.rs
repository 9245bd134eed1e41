//! Parts of the plan file's JSON Schema, for tasks that plans describe in tables of their own.

use serde_json::{Map, Value, json};

/// The schema of a top-level table of a plan file, with the definitions that it refers to.
pub fn of_table(name: &str) -> Value {
    let mut root = vajra_plan::schema();
    let table = root["properties"][name].take();
    let definitions = root["$defs"].take();
    let mut used = Map::new();
    let mut schema = table;
    collect(&schema, &definitions, &mut used);
    if let Some(object) = schema.as_object_mut() {
        object.insert("$defs".to_owned(), used.into());
    }
    match schema {
        Value::Null => json!({}),
        schema => schema,
    }
}

/// Adds the definitions that a schema refers to, directly or through others.
fn collect(schema: &Value, definitions: &Value, used: &mut Map<String, Value>) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str)
                && let Some(name) = name.strip_prefix("#/$defs/")
                && !used.contains_key(name)
            {
                let definition = &definitions[name];
                used.insert(name.to_owned(), definition.clone());
                collect(definition, definitions, used);
            }
            fields.values().for_each(|v| collect(v, definitions, used));
        }
        Value::Array(values) => values.iter().for_each(|v| collect(v, definitions, used)),
        _ => {}
    }
}
