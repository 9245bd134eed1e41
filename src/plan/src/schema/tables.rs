//! The tables of a plan file, from its schema.

use serde_json::{Map, Value};

/// A table of a plan file.
pub struct Table<'a> {
    /// Keys on the path; empty for the file itself. `NAME` stands for any name.
    pub path: Vec<String>,
    /// Whether it is a list of tables: `[[scenario]]`.
    pub many: bool,
    /// Description.
    pub about: &'a str,
    /// Keys in the order of the type.
    pub keys: Vec<Key<'a>>,
}

/// A key of a table.
pub struct Key<'a> {
    /// Name.
    pub name: &'a str,
    /// Whether it is required.
    pub required: bool,
    /// Its schema.
    pub schema: &'a Value,
}

impl Table<'_> {
    /// Its header in a file: `[load]`, `[[scenario.step]]`.
    pub fn written(&self) -> String {
        match self.many {
            true => format!("[[{}]]", self.path.join(".")),
            false => format!("[{}]", self.path.join(".")),
        }
    }
}

/// The definition that a schema refers to, or the schema itself.
pub fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str);
    let name = name.and_then(|r| r.strip_prefix("#/$defs/"));
    name.and_then(|name| root["$defs"].get(name))
        .unwrap_or(schema)
}

/// Every table of the schema, each once, in depth-first order.
pub fn tables(root: &Value) -> Vec<Table<'_>> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    walk(root, root, Vec::new(), false, &mut found, &mut seen);
    found
}

fn walk<'a>(
    root: &'a Value,
    schema: &'a Value,
    path: Vec<String>,
    many: bool,
    found: &mut Vec<Table<'a>>,
    seen: &mut Vec<&'a Map<String, Value>>,
) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    if seen.iter().any(|s| std::ptr::eq(*s, properties)) {
        return;
    }
    seen.push(properties);
    let required = |name: &str| {
        let required = schema["required"].as_array();
        required.is_some_and(|all| all.iter().any(|n| n == name))
    };
    found.push(Table {
        path: path.clone(),
        many,
        about: schema["description"].as_str().unwrap_or_default(),
        keys: properties
            .iter()
            .map(|(name, schema)| Key {
                name,
                required: required(name),
                schema,
            })
            .collect(),
    });
    for (name, schema) in properties {
        let mut path = path.clone();
        path.push(name.clone());
        let schema = resolved(root, schema);
        let below = [(schema, false), (&schema["items"], true)];
        for (schema, many) in below {
            for choice in choices(root, schema) {
                walk(root, choice, path.clone(), many, found, seen);
            }
        }
        path.push("NAME".into());
        let any = resolved(root, &schema["additionalProperties"]);
        walk(root, any, path, false, found, seen);
    }
}

/// The alternatives of a schema, or the schema itself.
fn choices<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let schema = resolved(root, schema);
    match schema["anyOf"].as_array() {
        Some(choices) => choices.iter().map(|c| resolved(root, c)).collect(),
        None => vec![schema],
    }
}
