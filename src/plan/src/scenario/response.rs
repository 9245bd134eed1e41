//! The response of a step, for checks and extractions.

use std::cell::OnceCell;
use std::time::Duration;

/// A response.
#[derive(Debug, Default)]
pub struct Received {
    /// HTTP status code.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, as far as it was kept.
    pub body: Vec<u8>,
    /// Time from the send to the end of the response.
    pub time: Duration,
    json: OnceCell<Option<serde_json::Value>>,
}

impl Received {
    /// Clears the response, keeping its allocations.
    pub fn clear(&mut self) {
        self.status = 0;
        self.headers.clear();
        self.body.clear();
        self.time = Duration::ZERO;
        self.json = OnceCell::new();
    }

    /// The body as text.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON, parsed once.
    pub fn json(&self) -> Option<&serde_json::Value> {
        let parse = || serde_json::from_slice(&self.body).ok();
        self.json.get_or_init(parse).as_ref()
    }
}

/// A JSON value as text; a string without its quotes.
pub fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
