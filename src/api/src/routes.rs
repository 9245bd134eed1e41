//! Which handler serves which path.

use axum::http::StatusCode;
use axum::{Extension, Router, middleware};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::openapi::{self, Description, Document};
use super::problem::Problem;
use super::state::Shared;
use super::{
    access, blobs, dashboard, health, load, metrics, nodes, plans, reports, swarm, test_events,
    test_runs,
};

pub(super) fn router(shared: Shared) -> Router {
    let (router, api) = routes().split_for_parts();
    router
        .merge(dashboard::routes())
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "no such resource; see docs/api.md")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this resource does not support the method; see docs/api.md",
            )
        })
        .layer(Extension(Description::new(&api)))
        .layer(middleware::from_fn_with_state(
            shared.clone(),
            access::check_access,
        ))
        .with_state(shared)
}

/// All described routes. The order is that of the OpenAPI document.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    let v1 = OpenApiRouter::new()
        .routes(routes!(nodes::nodes))
        .routes(routes!(nodes::node))
        .routes(routes!(nodes::drain))
        .routes(routes!(test_runs::tests, test_runs::start))
        .routes(routes!(test_runs::status, test_runs::stop))
        .routes(routes!(test_events::events))
        .routes(routes!(test_runs::timeline))
        .routes(routes!(reports::report))
        .routes(routes!(reports::compare))
        .routes(routes!(load::scale))
        .routes(routes!(load::pause))
        .routes(routes!(load::resume))
        .routes(routes!(test_runs::preflight))
        .routes(routes!(plans::preview))
        .routes(routes!(plans::schema))
        .routes(routes!(swarm::events))
        .routes(routes!(swarm::links))
        .routes(routes!(swarm::stream))
        .routes(routes!(blobs::get, blobs::put))
        .routes(routes!(health::version))
        .routes(routes!(openapi::document));
    OpenApiRouter::with_openapi(Document::openapi())
        .nest("/api/v1", v1)
        .routes(routes!(openapi::docs))
        .routes(routes!(metrics::metrics))
        .routes(routes!(health::health))
}
