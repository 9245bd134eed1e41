//! The nodes of the swarm.

use axum::Json;
use axum::extract::State;

use super::extract::{PathParams, QueryParams};
use super::find;
use super::openapi::{BodyProblems, LookupProblems, Problems};
use super::problem::Problem;
use super::state::Shared;
use super::types::{EmptyBody, NodePath, NodesQuery};
use vajra_results::{NodeEntry, NodeList, Pool};

/// List the nodes of the swarm.
#[utoipa::path(
    get, path = "/nodes", tag = "nodes", params(NodesQuery),
    responses((status = 200, description = "The nodes as seen by this node", body = NodeList), Problems)
)]
pub(super) async fn nodes(
    State(s): State<Shared>,
    QueryParams(q): QueryParams<NodesQuery>,
) -> Result<Json<NodeList>, Problem> {
    let mut list = s.node.nodes().await?;
    if let Some(task_type) = q.task_type {
        list.nodes.retain(|n| n.task_types.contains(&task_type));
        list.pool = Pool::of(&list.nodes);
    }
    Ok(Json(list))
}

/// Get one node.
#[utoipa::path(
    get, path = "/nodes/{peer}", tag = "nodes", params(NodePath),
    responses((status = 200, description = "The node", body = NodeEntry), Problems, LookupProblems)
)]
pub(super) async fn node(
    State(s): State<Shared>,
    PathParams(NodePath { peer }): PathParams<NodePath>,
) -> Result<Json<NodeEntry>, Problem> {
    Ok(Json(find::node(&s, &peer).await?))
}

/// Drain a node.
///
/// The node hands its shares of running tests to other nodes and takes no new share until it is
/// restarted.
#[utoipa::path(
    post, path = "/nodes/{peer}/drain", tag = "nodes", params(NodePath), request_body = EmptyBody,
    responses(
        (status = 200, description = "The node", body = NodeEntry),
        Problems, LookupProblems, BodyProblems,
    )
)]
pub(super) async fn drain(
    State(s): State<Shared>,
    PathParams(NodePath { peer }): PathParams<NodePath>,
) -> Result<Json<NodeEntry>, Problem> {
    let node = find::node(&s, &peer).await?;
    let peer = vajra_network::parse_peer(&node.peer)
        .ok_or_else(|| Problem::internal(format!("invalid peer id {:?}", node.peer)))?;
    s.node.drain((!node.is_self).then_some(peer)).await?;
    Ok(Json(node))
}
