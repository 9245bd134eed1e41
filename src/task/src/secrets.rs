//! Credentials never travel between nodes: a plan refers to them, and each worker reads its own.
//!
//! A header value `env:NAME` or `file:PATH` is a reference. A worker resolves it only if its
//! operator listed it (`--allow-secret`); otherwise any member of a swarm could make it send its
//! environment elsewhere. Values appear in no log, error or debug output.

use std::collections::BTreeSet;
use std::fmt;

/// Largest secret, in bytes.
const MAX_SECRET: usize = 16 * 1024;

/// The references that a node resolves.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Secrets {
    allowed: BTreeSet<String>,
}

/// Why a reference can't be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The operator has not allowed it.
    #[error(
        "the plan uses the secret {0:?}, which this node does not allow; allow it with \
         --allow-secret {0}"
    )]
    NotAllowed(String),
    /// It is missing or can't be read.
    #[error("the secret {0:?} can't be read: {1}")]
    Unreadable(String, String),
}

/// A header's value, literal or secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderText {
    /// The value.
    pub text: String,
    /// It is a secret and must not appear in any output.
    pub secret: bool,
}

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secret { "(secret)" } else { &self.text })
    }
}

impl Secrets {
    /// Allows `env:NAME`, `file:PATH`, or a bare `NAME`, which means `env:NAME`.
    pub fn new<I: IntoIterator<Item = S>, S: AsRef<str>>(allowed: I) -> Secrets {
        let full = |entry: &str| match entry.starts_with("env:") || entry.starts_with("file:") {
            true => entry.to_owned(),
            false => format!("env:{entry}"),
        };
        Secrets {
            allowed: allowed.into_iter().map(|e| full(e.as_ref())).collect(),
        }
    }

    /// A header's value; a reference is resolved. May block.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn resolve(&self, value: &str) -> Result<HeaderText, SecretError> {
        let unreadable = |why: String| SecretError::Unreadable(value.to_owned(), why);
        let is_reference = value.starts_with("env:") || value.starts_with("file:");
        if is_reference && !self.allowed.contains(value) {
            return Err(SecretError::NotAllowed(value.to_owned()));
        }
        let text = if let Some(name) = value.strip_prefix("env:") {
            std::env::var(name)
                .map_err(|_| unreadable("the environment variable is not set".into()))?
        } else if let Some(path) = value.strip_prefix("file:") {
            let text =
                std::fs::read_to_string(path).map_err(|e| unreadable(e.kind().to_string()))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            value.to_owned()
        };
        match text.len() > MAX_SECRET && is_reference {
            true => Err(unreadable(format!("more than {MAX_SECRET} bytes"))),
            false => Ok(HeaderText {
                text,
                secret: is_reference,
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_references_are_resolved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        let reference = format!("file:{}", path.display());
        let refused = Secrets::default().resolve(&reference).unwrap_err();
        assert!(refused.to_string().contains("--allow-secret"));
        let value = Secrets::new([&reference]).resolve(&reference).unwrap();
        assert_eq!((value.text.as_str(), value.secret), ("s3cret", true));
        assert!(!format!("{value:?}").contains("s3cret"));
    }

    #[test]
    fn a_bare_name_means_the_environment() {
        let secrets = Secrets::new(["PATH"]);
        assert!(secrets.resolve("env:PATH").unwrap().secret);
        assert!(secrets.resolve("env:HOME").is_err());
        assert_eq!(secrets.resolve("text/plain").unwrap().text, "text/plain");
    }
}
