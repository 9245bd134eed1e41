//! The server: an accept loop with a limit of connections, and a task per connection.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::options::ApiOptions;
use super::routes;
use super::state::Shared;
use vajra_runtime::handle::NodeHandle;

/// Maximum number of connections: all event streams, as many waiting starts, and twice as many short
/// requests. Further connections wait in the kernel's queue.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// Time limit for receiving the head of a request. It also closes idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept. The usual cause is a lack of file descriptors, so that an immediate
/// retry would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves the API of a node until it is dropped.
pub async fn serve(listener: TcpListener, node: NodeHandle, options: ApiOptions) {
    let router = routes::router(Shared::new(node, options));
    let service = TowerToHyperService::new(router);
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    loop {
        // The semaphore is never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::debug!("the API cannot accept a connection: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = server.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(e) = connection.await {
                tracing::debug!("a connection to the API failed: {e}");
            }
        });
    }
}
