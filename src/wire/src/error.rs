//! Why a message was refused.

/// Why a message was refused. No part of the message is used then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message exceeds the size limit of its protocol. It was not parsed.
    #[error("the message has {len} bytes, at most {max} are allowed")]
    Oversize {
        /// Length in bytes.
        len: usize,
        /// Limit in bytes.
        max: usize,
    },
    /// The bytes are not a protobuf message of this type.
    #[error("not a valid message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The message belongs to another topic.
    #[error("the message belongs to another topic")]
    WrongTopic,
    /// A kind that this version does not know, presumably because the author's version is newer.
    #[error("the kind of `{0}` is unknown to this version")]
    Unknown(&'static str),
    /// A required field is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A text or byte string is too long.
    #[error("`{field}` has {len} bytes, at most {max} are allowed")]
    TooLong {
        /// Name of the field.
        field: &'static str,
        /// Length in bytes.
        len: usize,
        /// Limit in bytes.
        max: usize,
    },
    /// A list or map has too many elements.
    #[error("`{field}` has {count} elements, at most {max} are allowed")]
    TooMany {
        /// Name of the field.
        field: &'static str,
        /// Number of elements.
        count: usize,
        /// Limit.
        max: usize,
    },
    /// A number, or the magnitude of a signed one, is too large.
    #[error("`{field}` is {value}, at most {max} is allowed")]
    TooLarge {
        /// Name of the field.
        field: &'static str,
        /// Value, or its magnitude.
        value: u64,
        /// Limit.
        max: u64,
    },
    /// A field breaks another rule.
    #[error("`{field}` {reason}")]
    Invalid {
        /// Name of the field.
        field: &'static str,
        /// The rest of a sentence about the field.
        reason: &'static str,
    },
}

impl WireError {
    /// Whether the message is presumably of a newer version. Then it must not count against its author
    /// or forwarder.
    pub fn is_newer(&self) -> bool {
        matches!(self, WireError::Unknown(_))
    }
}
