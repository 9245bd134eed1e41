//! URLs of steps: a fixed host, and placeholders only after it.

use super::model::{Scenarios, Step};
use super::text::has_placeholders;
use crate::url::shown;

/// Why the URL of a step is rejected. The messages don't repeat credentials and queries.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StepUrlError {
    /// Neither a path nor a URL.
    #[error("{0:?} is not a URL: write a path that starts with /, or http:// or https://")]
    NotUrl(String),
    /// A placeholder in scheme, host or port.
    #[error(
        "{0:?} has a placeholder in its host; only path and query may have placeholders, so that \
         the targets of a test are known in advance"
    )]
    PlaceholderInHost(String),
}

impl Scenarios {
    /// Splits the URL of a step into scheme, host and port, and the rest, which may have
    /// placeholders. A URL that starts with a placeholder is a path on the base URL's host.
    ///
    /// # Errors
    /// It is not such a URL.
    pub fn split<'a>(&'a self, step: &'a Step) -> Result<(&'a str, &'a str), StepUrlError> {
        if step.url.starts_with("{{") {
            return Ok((origin(&self.http.url)?, &step.url));
        }
        let origin = origin(&step.url)?;
        Ok((origin, &step.url[origin.len()..]))
    }
}

/// Scheme, host and port of a URL, without placeholders.
fn origin(url: &str) -> Result<&str, StepUrlError> {
    let Some((_, rest)) = url.split_once("://") else {
        return Err(StepUrlError::NotUrl(shown(url)));
    };
    let start = url.len() - rest.len();
    let end = rest
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| start + at);
    match has_placeholders(&url[..end]) {
        true => Err(StepUrlError::PlaceholderInHost(shown(url))),
        false => Ok(&url[..end]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_repeat_secrets() {
        for url in [
            "user:geheim@h/?token=geheim",
            "http://user:geheim@{{ host }}/?token=geheim",
        ] {
            let error = origin(url).unwrap_err().to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
    }
}
