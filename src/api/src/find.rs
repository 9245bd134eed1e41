//! Which test or node a path means.

use axum::http::StatusCode;

use super::Shared;
use super::problem::Problem;
use vajra_core::protocol::TestId;
use vajra_results::NodeEntry;

/// Fewest digits of a prefix; fewer are rather a mistake than a choice.
const MIN_DIGITS: usize = 4;

/// The test that an id means: a whole one, a unique prefix, or `latest`.
pub(super) async fn test(s: &Shared, wanted: &str) -> Result<TestId, Problem> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    let list = s.node.tests().await?;
    let digits = |id: &str| id.replace('-', "").to_ascii_lowercase();
    let prefix = digits(wanted);
    let fits = |id: &str| prefix.len() >= MIN_DIGITS && digits(id).starts_with(&prefix);
    let ids = list.tests.iter().map(|t| t.test_id.as_str());
    let found: Vec<&str> = match wanted {
        "latest" => ids.take(1).collect(),
        _ => ids.filter(|id| fits(id)).collect(),
    };
    match (found.as_slice(), wanted) {
        ([id], _) => id.parse().map_err(|_| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("test id {id:?} does not read back"),
            )
        }),
        ([first, second, ..], _) => Err(Problem::new(
            StatusCode::CONFLICT,
            format!(
                "{} tests begin with {wanted:?}, {first} and {second} among them; give more digits",
                found.len()
            ),
        )),
        ([], "latest") => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no test has been run yet; `vajra-node start-test` runs one",
        )),
        ([], _) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!(
                "no test {wanted:?} is known here; give an id, {MIN_DIGITS} digits of its beginning \
                 or more, or `latest`; `vajra-node tests` lists them"
            ),
        )),
    }
}

/// The node that is meant: by its peer id, the unique beginning or end of one, its name, or
/// `self`. A whole peer id or name goes before parts of others.
pub(super) async fn node(s: &Shared, wanted: &str) -> Result<NodeEntry, Problem> {
    let nodes = s.node.nodes().await?.nodes;
    let whole = |n: &NodeEntry| match wanted {
        "self" => n.is_self,
        _ => n.peer == wanted || n.name == wanted,
    };
    let part = |n: &NodeEntry| {
        wanted.len() >= MIN_DIGITS && (n.peer.starts_with(wanted) || n.peer.ends_with(wanted))
    };
    let mut found: Vec<&NodeEntry> = nodes.iter().filter(|n| whole(n)).collect();
    if found.is_empty() {
        found = nodes.iter().filter(|n| part(n)).collect();
    }
    match found.as_slice() {
        [node] => Ok((*node).clone()),
        [] => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("no node {wanted:?} is known here; `vajra-node nodes` lists them"),
        )),
        _ => Err(Problem::new(
            StatusCode::CONFLICT,
            format!(
                "{} nodes fit {wanted:?}; use the whole peer id",
                found.len()
            ),
        )),
    }
}
