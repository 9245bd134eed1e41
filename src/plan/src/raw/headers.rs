//! Headers and form fields.

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};

use crate::text_schema::schema_of_text;

/// Names and values, as a table or as a list of pairs; only the list can repeat a name.
#[derive(Clone, Debug)]
pub struct RawHeaders(pub Vec<(String, String)>);

schema_of_text!(RawHeaders, "Headers", {
    "title": "names and values",
    "description": "A table, `{ accept = \"*/*\" }`, or a list of pairs, in which a name can be repeated: \
                    `[[\"cookie\", \"a=1\"], [\"cookie\", \"b=2\"]]`.",
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array", "items": {
            "type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2,
        }},
    ],
});

impl<'de> Deserialize<'de> for RawHeaders {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<RawHeaders, D::Error> {
        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = RawHeaders;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("headers as a table, or as a list of [\"name\", \"value\"]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawHeaders, A::Error> {
                let mut all = Vec::new();
                while let Some(pair) = seq.next_element()? {
                    all.push(pair);
                }
                Ok(RawHeaders(all))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeaders, A::Error> {
                let mut all = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    all.push(pair);
                }
                Ok(RawHeaders(all))
            }
        }
        d.deserialize_any(HeadersVisitor)
    }
}
