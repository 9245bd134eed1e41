//! Renders the OpenAPI document as one HTML page, without scripts and without external resources, so
//! that it works without internet access.

use serde_json::{Map, Value};

use super::paths::OPENAPI_DOCUMENT;

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content='width=device-width'><title>Vajra: the HTTP API</title><style>\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h2{margin-top:2.5rem}h3{margin:1.8rem 0 .3rem;font-size:1rem}code,h3{font-family:ui-monospace,monospace}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #8884}\
td:first-child{white-space:nowrap}b.m{display:inline-block;min-width:4.5rem}a{color:inherit}p{margin:.3rem 0}</style>";

/// The HTML page of a document.
pub(super) fn page(document: &Value) -> String {
    let mut out = HEAD.to_owned();
    let info = &document["info"];
    out += &format!(
        "<h1>{} <small>{}</small></h1><p>{}</p><p>OpenAPI document: <a href='{}'>{}</a></p>",
        text(&info["title"]),
        text(&info["version"]),
        text(&info["description"]),
        OPENAPI_DOCUMENT,
        OPENAPI_DOCUMENT,
    );
    for tag in document["tags"].as_array().into_iter().flatten() {
        out += &format!("<h2>{}</h2>", text(&tag["description"]));
        for (path, method, operation) in operations(document) {
            let tags = operation["tags"].as_array();
            if tags.is_some_and(|tags| tags.contains(&tag["name"])) {
                write_operation(&mut out, path, method, operation);
            }
        }
    }
    out += "<h2>Schemas</h2>";
    for (name, schema) in object(&document["components"]["schemas"]) {
        write_schema(&mut out, name, schema);
    }
    out
}

/// All operations as `(path, method, operation)`, in the order of the document.
pub(super) fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    object(&document["paths"]).flat_map(|(path, item)| {
        let methods = object(item).filter(|(key, _)| {
            matches!(
                key.as_str(),
                "get" | "put" | "post" | "delete" | "head" | "patch"
            )
        });
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn write_operation(out: &mut String, path: &str, method: &str, operation: &Value) {
    *out += &format!(
        "<h3 id='{}'><b class=m>{}</b> {}</h3><p>{} {}</p><table>",
        text(&operation["operationId"]),
        method.to_uppercase(),
        escaped(path),
        text(&operation["summary"]),
        text(&operation["description"]),
    );
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        *out += &format!(
            "<tr><td><code>{}</code> ({})<td>{}<td>{}",
            text(&parameter["name"]),
            text(&parameter["in"]),
            type_of(&parameter["schema"]),
            text(&parameter["description"]),
        );
    }
    for (media, content) in object(&operation["requestBody"]["content"]) {
        *out += &format!(
            "<tr><td>body<td>{}<td><code>{}</code>",
            type_of(&content["schema"]),
            escaped(media)
        );
    }
    for (status, response) in object(&operation["responses"]) {
        let contents = object(&response["content"]);
        let types: Vec<String> = contents.map(|(_, c)| type_of(&c["schema"])).collect();
        *out += &format!(
            "<tr><td>{}<td>{}<td>{}",
            escaped(status),
            types.join(", "),
            text(&response["description"])
        );
    }
    *out += "</table>";
}

fn write_schema(out: &mut String, name: &str, schema: &Value) {
    *out += &format!(
        "<h3 id='schema-{0}'>{0}</h3><p>{1}</p>",
        escaped(name),
        text(&schema["description"])
    );
    let properties = object(&schema["properties"]);
    if properties.clone().next().is_none() {
        *out += &format!("<p>{}</p>", type_of(schema));
        return;
    }
    *out += "<table>";
    for (key, value) in properties {
        *out += &format!(
            "<tr><td><code>{}</code><td>{}<td>{}",
            escaped(key),
            type_of(value),
            text(&value["description"])
        );
    }
    *out += "</table>";
}

/// Short description of a schema's type.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a href='#schema-{name}'>{name}</a>");
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[key].as_array() {
            let choices: Vec<String> = choices.iter().map(type_of).collect();
            return choices.join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(text).collect();
        return words.join(", ");
    }
    if !schema["const"].is_null() {
        return text(&schema["const"]);
    }
    let name = match &schema["type"] {
        Value::String(name) => escaped(name),
        Value::Array(names) => {
            let names: Vec<String> = names.iter().map(text).collect();
            names.join(" or ")
        }
        _ => String::new(),
    };
    if schema["items"].is_object() {
        return format!("{name} of {}", type_of(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        return format!("{name} of {}", type_of(&schema["additionalProperties"]));
    }
    name
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> + Clone {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => escaped(text),
        Value::Null => String::new(),
        other => escaped(&other.to_string()),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_listed_by_tag_and_text_is_escaped() {
        let document = json!({
            "info": {"title": "<T>", "version": "1"},
            "tags": [{"name": "a", "description": "As & Bs"}],
            "paths": {"/x/{id}": {"get": {
                "tags": ["a"], "operationId": "x", "summary": "Do it.",
                "responses": {"200": {"description": "ok", "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/X"}}}}}}}},
            "components": {"schemas": {"X": {"properties": {
                "n": {"type": ["integer", "null"], "description": "how <many>"}}}}},
        });
        let page = page(&document);
        assert!(page.contains("&lt;T&gt;") && !page.contains("<T>"));
        assert!(page.contains("As &amp; Bs"));
        assert!(page.contains("<b class=m>GET</b> /x/{id}"));
        assert!(page.contains("<a href='#schema-X'>X</a>"));
        assert!(page.contains("integer or null<td>how &lt;many&gt;"));
    }
}
