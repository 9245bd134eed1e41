//! The server: one bounded loop that accepts, and a task for each connection.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::metrics::LastPage;
use super::{ApiOptions, MAX_STREAMS, Shared, reports, routes};
use vajra_runtime::handle::NodeHandle;

/// Most connections at once: every event stream, as many waiting starts, and room for short
/// requests. More wait in the kernel's queue.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// How long a connection may take to send a request's head, the first or the next one; so an
/// idle one gives its place up.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// Pause after an accept that failed for want of descriptors: accepting again at once would
/// fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves for as long as it is polled.
pub async fn serve(listener: TcpListener, node: NodeHandle, options: ApiOptions) {
    let service = TowerToHyperService::new(routes::router(Shared {
        node,
        token: options.token.map(Arc::from),
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        reports: Arc::new(Semaphore::new(reports::AT_ONCE)),
        last_line: Arc::default(),
        metrics: LastPage::default(),
        build: options.build,
    }));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT);
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::debug!("the API could not accept a connection: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = server.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            let _place = place;
            if let Err(e) = connection.await {
                tracing::debug!("a connection to the API broke: {e}");
            }
        });
    }
}
