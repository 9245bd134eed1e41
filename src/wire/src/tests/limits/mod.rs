//! Each limit, exceeded by one. Every case starts from a message that is accepted.

mod gossip;
mod replies;
mod worker_service;

use std::collections::BTreeMap;

use crate::limits::MAX_SPAN;
use crate::{Wire, WireError};

/// Changes an accepted message in one place, and checks the field that the error names.
#[track_caller]
fn refused<T: Wire + std::fmt::Debug>(good: &T, field: &str, spoil: impl FnOnce(&mut T::Message)) {
    let mut m = good.to_wire();
    assert!(T::from_wire(good.to_wire()).is_ok());
    spoil(&mut m);
    let error = T::from_wire(m).expect_err(field);
    let named = match error {
        WireError::Missing(field)
        | WireError::Unknown(field)
        | WireError::TooLong { field, .. }
        | WireError::TooMany { field, .. }
        | WireError::TooLarge { field, .. }
        | WireError::Invalid { field, .. } => field,
        WireError::Oversize { .. } | WireError::Malformed(_) | WireError::WrongTopic => "",
    };
    assert_eq!(named, field, "{error}");
}

fn many(n: usize) -> BTreeMap<String, String> {
    (0..n).map(|i| (i.to_string(), String::new())).collect()
}

fn long(n: usize) -> String {
    "x".repeat(n)
}

fn span() -> u64 {
    MAX_SPAN.as_nanos() as u64
}
