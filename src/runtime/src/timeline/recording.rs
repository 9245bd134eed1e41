//! A recording that background tasks share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vajra_results::Recording;

/// A recording that background tasks share.
pub type SharedRecording = Arc<Mutex<Recording>>;

/// Locks a shared recording.
pub fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}
