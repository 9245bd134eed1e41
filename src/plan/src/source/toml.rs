//! TOML as a tree.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::node::{Key, Node, Value};
use crate::error::PlanError;
use crate::path::Path;

/// The tree of a TOML document.
///
/// # Errors
/// The text is not TOML; with the place.
pub fn toml(text: &str) -> Result<Node, PlanError> {
    let parsed = DeTable::parse(text).map_err(|e| {
        let at = e.span().unwrap_or(text.len()..text.len());
        PlanError::syntax(text, at, Path::default(), e.message())
    })?;
    let at = parsed.span();
    table(text, parsed.get_ref()).map(|value| Node { at, value })
}

fn node(text: &str, spanned: &Spanned<DeValue<'_>>) -> Result<Node, PlanError> {
    let wrong = |why: String| PlanError::syntax(text, spanned.span(), Path::default(), &why);
    let value = match spanned.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(n) => match i128::from_str_radix(n.as_str(), n.radix()) {
            Ok(whole) => Value::Whole(whole),
            Err(_) => return Err(wrong(format!("{n} is not a whole number in range"))),
        },
        DeValue::Float(n) => match n.as_str().parse() {
            Ok(number) => Value::Number(number),
            Err(_) => return Err(wrong(format!("{n} is not a number"))),
        },
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(nodes) => {
            let nodes = nodes.iter().map(|n| node(text, n));
            Value::List(nodes.collect::<Result<_, _>>()?)
        }
        DeValue::Table(entries) => table(text, entries)?,
    };
    Ok(Node {
        at: spanned.span(),
        value,
    })
}

fn table(text: &str, entries: &DeTable<'_>) -> Result<Value, PlanError> {
    let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, _)| {
        let name = key.get_ref().to_string();
        let at = key.span();
        Ok((Key { at, name }, node(text, value)?))
    };
    let entries = entries.iter().map(entry);
    let mut entries = entries.collect::<Result<Vec<_>, PlanError>>()?;
    entries.sort_by_key(|(key, _)| key.at.start);
    Ok(Value::Table(entries))
}
