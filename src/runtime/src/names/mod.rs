//! Names of nodes.
//!
//! | module | contents |
//! |---|---|
//! | `rename` | other names for nodes with the same default name |
//! | `display` | unique texts for display |

mod display;
mod rename;

pub use display::{DisplayNames, name_of};
pub use rename::Renaming;

use vajra_core::text::floor_char_boundary;
use vajra_wire::limits::MAX_NAME;

/// A name with a suffix. The name is shortened so that both fit [`MAX_NAME`].
fn with_suffix(base: &str, suffix: &str) -> String {
    let end = floor_char_boundary(base, MAX_NAME.saturating_sub(suffix.len()));
    format!("{}{suffix}", &base[..end])
}
