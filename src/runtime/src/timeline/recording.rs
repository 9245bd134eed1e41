//! A recording that background tasks share.

use std::sync::{Arc, Mutex};

use vajra_results::Recording;

/// A recording that background tasks share.
pub type SharedRecording = Arc<Mutex<Recording>>;
