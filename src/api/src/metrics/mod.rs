//! `GET /metrics`, in the OpenMetrics 1.0 text format.
//!
//! The prefix of a name gives the scope of a metric, which decides how it may be aggregated:
//! `vajra_test_…` is a test in the whole swarm, and all nodes report the same values;
//! `vajra_worker_…` is this node's part of a test, and can be summed over nodes; `vajra_swarm_…` is the
//! swarm as seen by this node; all others (`vajra_node_…`, `vajra_network_…`, `libp2p_…`, `process_…`)
//! are about this node only. `docs/monitoring.md` lists them.

mod families;
mod histogram;
mod load;
mod node;
mod process;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use super::build_info::BuildInfo;
use super::cache::Lookup;
use super::openapi::Problems;
use super::problem::Problem;
use super::state::Shared;
use vajra_runtime::observe::Observation;

/// Age up to which all scrapers share one page. Rendering decodes two histograms per worker and step.
const PAGE_MAX_AGE: Duration = Duration::from_secs(1);

/// Media type for clients that accept OpenMetrics, such as Prometheus.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Media type for all other clients. The page is valid in the older Prometheus format, too: `# EOF`
/// and `# UNIT` are comments there, and counters are untyped.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Get the metrics, for Prometheus and compatible systems.
///
/// The format is OpenMetrics 1.0. The media type is `application/openmetrics-text` if the client
/// accepts it, otherwise `text/plain`.
#[utoipa::path(
    get, path = "/metrics", tag = "node", operation_id = "metrics",
    responses(
        (status = 200, description = "The metrics", content(
            (String = "application/openmetrics-text"), (String = "text/plain"),
        )),
        Problems,
    )
)]
pub(super) async fn metrics(
    State(s): State<Shared>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = String::from(&*cached_page(&s).await?);
    let media_type = match accepts_open_metrics(&headers) {
        true => OPEN_METRICS,
        false => PROMETHEUS_TEXT,
    };
    let headers = [(header::CONTENT_TYPE, media_type), (header::VARY, "accept")];
    Ok((headers, page).into_response())
}

/// Whether the client names the media type of OpenMetrics. Prometheus does; browsers, which would
/// save the page instead of showing it, do not.
fn accepts_open_metrics(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter();
    let accept = accept.filter_map(|value| value.to_str().ok());
    let mut types = accept.flat_map(|value| value.split(','));
    types.any(|t| {
        let name = t.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("application/openmetrics-text")
    })
}

async fn cached_page(s: &Shared) -> Result<Arc<str>, Problem> {
    let slot = match s.metrics.lookup(PAGE_MAX_AGE).await {
        Lookup::Fresh(text) => return Ok(text),
        Lookup::Stale(slot) => slot,
    };
    let observation = s.node.observe().await?;
    let build = s.build;
    // On a blocking thread, so that other requests are not delayed: with thousands of workers, it
    // takes seconds. It continues if the client closes the connection.
    let rendered = tokio::task::spawn_blocking(move || {
        let text: Arc<str> = page(*observation, build)?.into();
        slot.fill(text.clone());
        Ok::<_, std::fmt::Error>(text)
    });
    match rendered.await {
        Ok(Ok(text)) => Ok(text),
        // Writing to memory does not fail, and no part of it panics.
        Ok(Err(_)) | Err(_) => Err(Problem::internal(
            "the metrics cannot be rendered; see the log of the node",
        )),
    }
}

/// Renders an observation.
fn page(observation: Observation, build: BuildInfo) -> Result<String, std::fmt::Error> {
    let libp2p = observation.libp2p.clone();
    let observation = Arc::new(observation);
    let mut own = Registry::default();
    own.register_collector(Box::new(node::NodeCollector(observation.clone(), build)));
    own.register_collector(Box::new(load::TestCollector::new(observation)));
    own.register_collector(Box::new(process::ProcessCollector::read()));
    let mut text = String::new();
    encode_registry(&mut text, &own)?;
    if let Some(libp2p) = libp2p {
        encode_registry(&mut text, &libp2p)?;
    }
    encode_eof(&mut text)?;
    Ok(text)
}
