//! What the node shows of itself, the swarm and the tests.
//!
//! | module | contents |
//! |---|---|
//! | `view` | nodes, tests and results, as the API shows them |
//! | [`observe`] | figures for a monitoring system |

pub mod observe;
mod view;

pub use self::view::View;
