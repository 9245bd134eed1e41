//! The API described by itself: an OpenAPI 3.1 document made from the handlers and from the
//! types that they take and answer with, and a page to read it.
//!
//! A handler gets into the document by its `#[utoipa::path(…)]` and into the router by
//! `routes!(handler)`, which is one step, so neither is there without the other.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{self, ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::page;
use super::problem::Problem;
use vajra_plan as plan;
use vajra_results::{Point, Progress, SwarmNow, Timeline};

/// Where the document is; needs no token, as it is the same on every node of a version.
pub(super) const DOCUMENT: &str = "/api/v1/openapi.json";
/// Where people read it; needs no token either.
pub(super) const PAGE: &str = "/api/docs";
/// The name of the plan's schema in the document.
pub(super) const PLAN: &str = "Plan";

/// What is not said at the handlers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vajra",
        description = "The HTTP API of a node. Any node answers for the whole swarm. \
            `docs/api.md` and `docs/result.md` tell more.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "tests", description = "Load tests: start, follow, change, stop"),
        (name = "nodes", description = "The nodes of the swarm"),
        (name = "data", description = "Data files that plans name"),
        (name = "node", description = "The answering node itself")
    ),
    components(schemas(Problem, Progress, Timeline, Point, SwarmNow)),
    modifiers(&Token)
)]
pub(super) struct Document;

/// Who may ask: everybody on loopback, unless a token is set.
struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The node's API token; on loopback there may be none."))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
        api.security = Some(vec![
            openapi::SecurityRequirement::default(),
            openapi::SecurityRequirement::new("token", Vec::<String>::new()),
        ]);
    }
}

/// What can go wrong with any request.
pub(super) struct Problems;
/// What can go wrong where a test or a node is named.
pub(super) struct NamedProblems;
/// What can go wrong where there is a body.
pub(super) struct BodyProblems;

type Responses = BTreeMap<String, RefOr<openapi::Response>>;

impl IntoResponses for Problems {
    fn responses() -> Responses {
        problems(&[
            (400, "The request makes no sense"),
            (401, "The token is missing or wrong"),
            (403, "The caller is no program of this machine"),
            (503, "The node is shutting down"),
        ])
    }
}

impl IntoResponses for NamedProblems {
    fn responses() -> Responses {
        problems(&[
            (404, "There is none"),
            (409, "There are several, or the node refuses"),
        ])
    }
}

impl IntoResponses for BodyProblems {
    fn responses() -> Responses {
        problems(&[
            (408, "The body did not come in time"),
            (413, "The body is too large"),
            (415, "The body is of another media type"),
            (422, "What it says is not valid"),
        ])
    }
}

fn problems(of: &[(u16, &str)]) -> Responses {
    let schema = || Ref::from_schema_name("Problem");
    let each = of.iter().map(|(status, description)| {
        let content = ContentBuilder::new().schema(Some(schema())).build();
        let response = ResponseBuilder::new()
            .description(*description)
            .content("application/problem+json", content)
            .build();
        (status.to_string(), RefOr::T(response))
    });
    each.collect()
}

/// The document and its page, as they are sent.
#[derive(Clone)]
pub(super) struct Described {
    document: Bytes,
    page: Bytes,
}

impl Described {
    /// Of the routes as they were collected.
    pub fn new(api: &openapi::OpenApi) -> Described {
        let document = with_plans(serde_json::to_value(api).unwrap_or_default());
        Described {
            page: page::page(&document).into(),
            document: document.to_string().into(),
        }
    }
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "node", operation_id = "openapi",
    responses((status = 200, description = "The document", body = Object), Problems)
)]
pub(super) async fn document(Extension(of): Extension<Described>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::OK, kind, of.document).into_response()
}

/// The document as a page for people.
#[utoipa::path(
    get, path = "/api/docs", tag = "node", operation_id = "docs",
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), Problems)
)]
pub(super) async fn docs(Extension(of): Extension<Described>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        // It has no script, and loads nothing.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    ];
    (StatusCode::OK, headers, of.page).into_response()
}

/// Puts the schema of plans, with everything that it refers to, beside the others.
fn with_plans(mut document: Value) -> Value {
    let mut plan = plan::schema();
    point_elsewhere(&mut plan);
    let mut schemas = serde_json::Map::new();
    if let Some(object) = plan.as_object_mut() {
        object.remove("$schema");
        if let Some(Value::Object(parts)) = object.remove("$defs") {
            schemas.extend(parts.into_iter().map(|(name, s)| (part_name(&name), s)));
        }
    }
    schemas.insert(PLAN.into(), plan);
    let known = &mut document["components"]["schemas"];
    match known.as_object_mut() {
        Some(known) => known.extend(schemas),
        None => *known = json!(schemas),
    }
    document
}

/// Parts of a plan are named apart from everything else.
fn part_name(name: &str) -> String {
    format!("{PLAN}.{name}")
}

/// References within the plan's own schema become references within the document.
fn point_elsewhere(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(to) if key == "$ref" => {
                        if let Some(name) = to.strip_prefix("#/$defs/") {
                            *to = format!("#/components/schemas/{}", part_name(name));
                        }
                    }
                    other => point_elsewhere(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(point_elsewhere),
        _ => {}
    }
}
