//! Why bytes from outside were refused.

/// Why bytes from outside were refused. Nothing of the message is used then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The whole message is longer than its channel allows; it was not looked at.
    #[error("a message of {len} bytes, where at most {max} are allowed")]
    Oversize {
        /// Its length.
        len: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The bytes are no protobuf message of this kind.
    #[error("no message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A message of another topic.
    #[error("a message that does not belong to this topic")]
    WrongTopic,
    /// A kind that this version does not know: presumably its author is newer. Not a fault.
    #[error("`{0}` is of a kind that this version does not know")]
    Unknown(&'static str),
    /// A field that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A text or byte string is too long.
    #[error("`{field}` has {len} bytes, at most {max} are allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its length.
        len: usize,
        /// The longest allowed.
        max: usize,
    },
    /// A list or map has too many elements.
    #[error("`{field}` has {count} elements, at most {max} are allowed")]
    TooMany {
        /// Which field.
        field: &'static str,
        /// How many it has.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A number is too large; of a signed one the magnitude is given.
    #[error("`{field}` is {value}, at most {max} is allowed")]
    TooLarge {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The largest allowed.
        max: u64,
    },
    /// A field breaks a rule of its own.
    #[error("`{field}` {why}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl WireError {
    /// The message is presumably of a newer version: its author did nothing wrong, and who
    /// forwarded it neither.
    pub fn is_newer(&self) -> bool {
        matches!(self, WireError::Unknown(_))
    }
}
