//! The schema as a page for people.

use serde_json::Value;

use super::tables::{Key, Table, resolved, tables};

const HEAD: &str = "\
# The plan file: every key

This page is made by `vajra-node schema --markdown` from the types that read a plan; don't edit
it. [Plans](plans.md) explains how they are used, [Configuration](configuration.md#a-test-the-plan)
which option of `start-test` stands for which key. For editors, `vajra-node schema` prints the same
as a JSON Schema.

Keys without a default may be left out, unless they are required. An unknown key is an error.
";

/// The reference of the plan file.
pub fn markdown() -> String {
    let root = super::schema();
    let mut out = HEAD.to_owned();
    for table in tables(&root) {
        section(&mut out, &root, &table);
    }
    out.push_str("\n## Texts\n");
    for (_, text) in texts(&root) {
        let title = text["title"].as_str().unwrap_or_default();
        let about = text["description"].as_str().unwrap_or_default();
        let examples = text["examples"].as_array();
        let examples = examples.into_iter().flatten().map(code);
        let examples: Vec<String> = examples.collect();
        out.push_str(&format!("\n### {title}\n\n{about}\n"));
        if !examples.is_empty() {
            out.push_str(&format!("\nFor example {}.\n", examples.join(", ")));
        }
    }
    out
}

fn section(out: &mut String, root: &Value, table: &Table<'_>) {
    match table.path.is_empty() {
        true => out.push_str("\n## The top of the file\n"),
        false => out.push_str(&format!("\n## `{}`\n", table.written())),
    }
    out.push_str(&format!(
        "\n{}\n\n| key | type | default | range | meaning |\n|---|---|---|---|---|\n",
        table.about
    ));
    for key in &table.keys {
        let definition = resolved(root, key.schema);
        let cells = [
            format!("`{}`", key.name),
            kind(root, key.schema),
            default(key),
            range(key.schema),
            meaning(key.schema, definition),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

/// Definitions of texts, by name.
fn texts(root: &Value) -> Vec<(&String, &Value)> {
    let definitions = root["$defs"].as_object();
    let all = definitions.into_iter().flatten();
    let mut texts: Vec<_> = all.filter(|(_, d)| d["title"].is_string()).collect();
    texts.sort_by_key(|(name, _)| name.as_str());
    texts
}

/// What a heading is linked by.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    let kept = kept.map(|c| if c == ' ' { '-' } else { c });
    kept.flat_map(char::to_lowercase).collect()
}

/// What a value is, in a word or two.
fn kind(root: &Value, schema: &Value) -> String {
    let definition = resolved(root, schema);
    if let Some(title) = definition["title"].as_str()
        && !std::ptr::eq(definition, root)
    {
        return format!("[{title}](#{})", anchor(title));
    }
    if values(definition).is_some() {
        return "one of".into();
    }
    if let Some(choices) = definition["anyOf"].as_array() {
        let kinds: Vec<String> = choices.iter().map(|c| kind(root, c)).collect();
        return kinds.join(" or ");
    }
    match definition["type"].as_str() {
        Some("array") => match kind(root, &definition["items"]) {
            of if of == "table" => "tables".into(),
            of => format!("list of {of}"),
        },
        Some("object") => match &definition["additionalProperties"] {
            of @ Value::Object(_) => match kind(root, of) {
                inner if inner == "table" => "tables by name".into(),
                inner => format!("names and {inner}"),
            },
            _ => "table".into(),
        },
        Some("string") => "text".into(),
        Some("integer") => "whole number".into(),
        Some("number") => "number".into(),
        Some("boolean") => "true or false".into(),
        _ => "anything".into(),
    }
}

/// The words that a value may be, each with what it means.
fn values(definition: &Value) -> Option<Vec<(&str, &str)>> {
    let described = definition["oneOf"].as_array()?;
    let described = described.iter().map(|v| {
        let about = v["description"].as_str().unwrap_or_default();
        Some((v["const"].as_str()?, about))
    });
    described.collect()
}

fn default(key: &Key<'_>) -> String {
    match (key.required, key.schema.get("default")) {
        (true, _) => "required".into(),
        (false, Some(value)) => code(value),
        (false, None) => String::new(),
    }
}

fn range(schema: &Value) -> String {
    if let Some(range) = schema["x-range"].as_str() {
        return range.to_owned();
    }
    let number = |key: &str| schema[key].as_f64();
    let whole = |n: Option<f64>| n.map(thousands);
    let numbers = [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
    ];
    for (least, most, unit) in numbers {
        if let Some(most) = whole(number(most)) {
            let least = whole(number(least)).unwrap_or_else(|| "0".into());
            return format!("{least} to {most}{unit}");
        }
    }
    let most = number("maxItems").or(number("maxProperties"));
    match (whole(most), whole(number("minItems"))) {
        (Some(most), None) => format!("at most {most}"),
        (Some(most), Some(least)) => format!("{least} to {most}"),
        _ => String::new(),
    }
}

/// `1,000,000`; `0.001`.
fn thousands(n: f64) -> String {
    let digits = n.to_string();
    if n.fract() != 0.0 {
        return digits;
    }
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn meaning(schema: &Value, definition: &Value) -> String {
    let own = schema["description"].as_str();
    // A text's own description is in its section.
    let shared = definition["description"].as_str();
    let shared = shared.filter(|_| definition["title"].is_null());
    let mut meaning = own.or(shared).unwrap_or_default().to_owned();
    for (word, about) in values(definition).unwrap_or_default() {
        meaning.push_str(&format!("<br>`{word}`: {about}"));
    }
    meaning
}

/// A value as a plan in TOML has it.
fn code(value: &Value) -> String {
    format!("`{value}`")
}
