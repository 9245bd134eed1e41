//! Paths that need no token. They reveal nothing about the node or its swarm, except whether the
//! node is healthy.

/// Health check.
pub(super) const HEALTH: &str = "/healthz";
/// The OpenAPI document, which is the same on all nodes of a version.
pub(super) const OPENAPI_DOCUMENT: &str = "/api/v1/openapi.json";
/// The OpenAPI document as a web page.
pub(super) const OPENAPI_PAGE: &str = "/api/docs";
