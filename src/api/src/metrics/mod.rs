//! `GET /metrics`: what a monitoring system reads, in Prometheus' text format 0.0.4.
//!
//! Three kinds of series, told apart by their names, because sums mean different things:
//! `vajra_test_…` is a test over the whole swarm, and every node tells the same; `vajra_worker_…`
//! is this node's part of a test, and adds up over nodes; all others (`vajra_node_…`,
//! `vajra_network_…`, `libp2p_…`, `process_…`) are this node's own, but for `vajra_swarm_…`,
//! which is the swarm as this node sees it. `docs/monitoring.md` lists them.

mod classic;
mod families;
mod histogram;
mod load;
mod node;
mod process;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use super::problem::Problem;
use super::{BuildInfo, Shared};
use vajra_runtime::observe::Observation;

/// How long a page is good for. Making one decodes two histograms of every worker and step, so
/// several scrapers at once do not make it several times.
const FRESH: Duration = Duration::from_secs(1);

/// The media type of the format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The last page, and when it was made. Whoever wants one while it is being made waits for it.
#[derive(Clone, Default)]
pub(super) struct LastPage(Arc<Mutex<Option<Page>>>);

struct Page {
    made: Instant,
    text: Arc<str>,
}

/// The metrics, for Prometheus and what understands its text format.
#[utoipa::path(
    get, path = "/metrics", tag = "node", operation_id = "metrics",
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        super::openapi::Problems,
    )
)]
pub(super) async fn metrics(State(s): State<Shared>) -> Result<Response, Problem> {
    let page = s.metrics.get(&s).await?;
    let page = String::from(&*page);
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], page).into_response())
}

impl LastPage {
    async fn get(&self, s: &Shared) -> Result<Arc<str>, Problem> {
        // Taken along to where the page is made, which goes on if whoever asked hangs up.
        let mut last = self.0.clone().lock_owned().await;
        if let Some(page) = &*last
            && page.made.elapsed() < FRESH
        {
            return Ok(page.text.clone());
        }
        let observed = s.node.observe().await?;
        let build = s.build;
        let made = tokio::task::spawn_blocking(move || {
            let text: Arc<str> = page(*observed, build)?.into();
            *last = Some(Page {
                made: Instant::now(),
                text: text.clone(),
            });
            Ok::<_, std::fmt::Error>(text)
        });
        match made.await {
            Ok(Ok(page)) => Ok(page),
            // Writing to memory does not fail, and nothing in it panics.
            Ok(Err(_)) | Err(_) => Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the metrics could not be written; the node's log may say why",
            )),
        }
    }
}

/// The page of an observation.
fn page(observed: Observation, build: BuildInfo) -> Result<String, std::fmt::Error> {
    let libp2p = observed.libp2p.clone();
    let observed = Arc::new(observed);
    let mut ours = Registry::default();
    ours.register_collector(Box::new(node::OfNode(observed.clone(), build)));
    ours.register_collector(Box::new(load::OfTests::new(observed)));
    ours.register_collector(Box::new(process::ProcessCollector::read()));
    let mut text = String::new();
    encode_registry(&mut text, &ours)?;
    if let Some(libp2p) = libp2p {
        encode_registry(&mut text, &libp2p)?;
    }
    Ok(classic::from_open_metrics(&text))
}
