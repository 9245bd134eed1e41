//! Resolves the test or node in a request.

use axum::http::StatusCode;

use super::problem::Problem;
use super::state::Shared;
use vajra_core::protocol::TestId;
use vajra_results::{FindNodeError, NodeEntry, find_node};

/// Shortest accepted prefix. A shorter one is more likely a mistake.
const MIN_DIGITS: usize = 4;

/// The test with this id: a full id, a unique prefix, or `latest`.
///
/// # Errors
/// 404 if no test matches, 409 if several do. A full id is not looked up here.
pub(super) async fn test(s: &Shared, wanted: &str) -> Result<TestId, Problem> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    let list = s.node.tests().await?;
    let digits = |id: &str| id.replace('-', "").to_ascii_lowercase();
    let prefix = digits(wanted);
    let matches = |id: &str| prefix.len() >= MIN_DIGITS && digits(id).starts_with(&prefix);
    let ids = list.tests.iter().map(|t| t.test_id.as_str());
    let found: Vec<&str> = match wanted {
        "latest" => ids.take(1).collect(),
        _ => ids.filter(|id| matches(id)).collect(),
    };
    match (found.as_slice(), wanted) {
        ([id], _) => id
            .parse()
            .map_err(|_| Problem::internal(format!("invalid test id {id:?} in the list of tests"))),
        ([first, second, ..], _) => Err(Problem::new(
            StatusCode::CONFLICT,
            format!(
                "{} tests start with {wanted:?}, for example {first} and {second}; give more digits",
                found.len()
            ),
        )),
        ([], "latest") => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "there is no test yet; start one with `vajra-node start-test`",
        )),
        ([], _) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!(
                "no test {wanted:?} on this node; give an id, at least its first {MIN_DIGITS} \
                 digits, or `latest`; `vajra-node tests` lists the tests"
            ),
        )),
    }
}

/// The node with this peer id or name; see [`find_node`].
///
/// # Errors
/// 404 if no node matches, 409 if several do.
pub(super) async fn node(s: &Shared, wanted: &str) -> Result<NodeEntry, Problem> {
    let list = s.node.nodes().await?;
    find_node(&list.nodes, wanted).cloned().map_err(|e| {
        let status = match e {
            FindNodeError::None(_) => StatusCode::NOT_FOUND,
            FindNodeError::Several { .. } => StatusCode::CONFLICT,
        };
        Problem::new(status, e.to_string())
    })
}
