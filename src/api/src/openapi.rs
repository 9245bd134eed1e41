//! The OpenAPI 3.1 document of the API, generated from the handlers and from the types of their
//! bodies, and an HTML page of it.
//!
//! `routes!(handler)` adds a handler to the router and its `#[utoipa::path(…)]` to the document in one
//! step, so that the two cannot differ.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{self, ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::docs_page;
use super::problem::Problem;
use super::types::PLAN_SCHEMA;
use vajra_plan as plan;
use vajra_results::{Point, Progress, SwarmNow, Timeline};

/// The parts of the document that do not belong to a handler.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vajra",
        description = "The HTTP API of a node. Any node answers for the whole swarm. \
            For details see `docs/api.md` and `docs/result.md`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "tests", description = "Load tests"),
        (name = "nodes", description = "Nodes of the swarm"),
        (name = "data", description = "Data files of plans"),
        (name = "node", description = "The node that serves this API")
    ),
    components(schemas(Problem, Progress, Timeline, Point, SwarmNow)),
    modifiers(&Token)
)]
pub(super) struct Document;

/// The security scheme: a token, which is optional on loopback.
struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The API token of the node; optional on loopback"))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
        api.security = Some(vec![
            openapi::SecurityRequirement::default(),
            openapi::SecurityRequirement::new("token", Vec::<String>::new()),
        ]);
    }
}

/// Errors of any request.
pub(super) struct Problems;
/// Errors of requests that name a test or a node.
pub(super) struct LookupProblems;
/// Errors of requests with a body.
pub(super) struct BodyProblems;
/// Errors of requests for an event stream.
pub(super) struct StreamProblems;

type Responses = BTreeMap<String, RefOr<openapi::Response>>;

impl IntoResponses for Problems {
    fn responses() -> Responses {
        problems(&[
            (400, "A parameter, a header or the body is invalid"),
            (401, "The token is missing or wrong"),
            (
                403,
                "The request comes from a web page of another site, or Host is not loopback",
            ),
            (
                503,
                "The node is shutting down, or its control loop does not respond",
            ),
        ])
    }
}

impl IntoResponses for LookupProblems {
    fn responses() -> Responses {
        problems(&[
            (404, "No test or node matches"),
            (
                409,
                "Several tests or nodes match, or the node refuses the request",
            ),
        ])
    }
}

impl IntoResponses for BodyProblems {
    fn responses() -> Responses {
        problems(&[
            (408, "The body was not received in time"),
            (413, "The body is too large"),
            (415, "The body has the wrong media type"),
            (422, "The plan or the data file is invalid"),
        ])
    }
}

impl IntoResponses for StreamProblems {
    fn responses() -> Responses {
        problems(&[(429, "Too many event streams are open")])
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

/// The serialized document and its HTML page.
#[derive(Clone)]
pub(super) struct Description {
    document: Bytes,
    page: Bytes,
}

impl Description {
    /// Serializes the document of the collected routes.
    pub fn new(api: &openapi::OpenApi) -> Description {
        let document = with_plan_schema(serde_json::to_value(api).unwrap_or_default());
        Description {
            page: docs_page::page(&document).into(),
            document: document.to_string().into(),
        }
    }
}

/// Get this document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "node", operation_id = "openapi",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object), Problems)
)]
pub(super) async fn document(Extension(d): Extension<Description>) -> Response {
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    (media_type, d.document).into_response()
}

/// Get this document as a web page.
#[utoipa::path(
    get, path = "/api/docs", tag = "node", operation_id = "docs",
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), Problems)
)]
pub(super) async fn docs(Extension(d): Extension<Description>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        // The page has no scripts and loads nothing.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    ];
    (headers, d.page).into_response()
}

/// Adds the schema of plans and the definitions that it refers to.
fn with_plan_schema(mut document: Value) -> Value {
    let mut plan = plan::schema();
    rewrite_references(&mut plan);
    let mut schemas = serde_json::Map::new();
    if let Some(object) = plan.as_object_mut() {
        object.remove("$schema");
        if let Some(Value::Object(parts)) = object.remove("$defs") {
            schemas.extend(parts.into_iter().map(|(name, s)| (part_name(&name), s)));
        }
    }
    schemas.insert(PLAN_SCHEMA.into(), plan);
    let known = &mut document["components"]["schemas"];
    match known.as_object_mut() {
        Some(known) => known.extend(schemas),
        None => *known = json!(schemas),
    }
    document
}

/// Name of a definition of the plan's schema, prefixed so that it differs from all other names.
fn part_name(name: &str) -> String {
    format!("{PLAN_SCHEMA}.{name}")
}

/// Rewrites references within the plan's schema to references within the document.
fn rewrite_references(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(to) if key == "$ref" => {
                        if let Some(name) = to.strip_prefix("#/$defs/") {
                            *to = format!("#/components/schemas/{}", part_name(name));
                        }
                    }
                    other => rewrite_references(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(rewrite_references),
        _ => {}
    }
}
