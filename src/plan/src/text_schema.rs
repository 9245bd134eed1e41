//! The JSON Schema of types that are written as text.

/// Gives a type that is written as text its JSON Schema. A `title` gives it a section of its own
/// in the reference page.
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
