//! Names that templates can use.

/// Whether a text is a name: ASCII letters, digits and `_`, not starting with a digit.
pub fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(legal) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}
