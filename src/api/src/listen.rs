//! The API's listener, and the thread that serves it.
//!
//! The API has a thread and a runtime of its own: no request, however expensive, delays the
//! control plane's lease handling.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::sync::oneshot;

use super::{ApiOptions, serve};
use vajra_runtime::handle::NodeHandle;

/// Threads that a request may use for blocking work, such as rendering a report.
const BLOCKING_THREADS: usize = 8;

/// The address that the API listens on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiListen {
    /// Port 0 picks a free one.
    pub address: SocketAddr,
    /// Set by the user: a port in use is an error. Otherwise a free port is used instead, with
    /// a warning.
    pub explicit: bool,
}

/// The API's address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve the API on {address}: {source}; choose another address with --api")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The system's error.
    pub source: io::Error,
}

/// Binds the API's address. If the default port is in use, binds a free one and adds a warning.
///
/// # Errors
/// The address cannot be listened on.
pub fn bind(listen: ApiListen, warnings: &mut Vec<String>) -> Result<TcpListener, BindError> {
    let ApiListen { address, explicit } = listen;
    let at = |address| TcpListener::bind(address).map_err(|source| BindError { address, source });
    match at(address) {
        Err(e) if e.source.kind() == io::ErrorKind::AddrInUse && !explicit => {
            let listener = at(SocketAddr::new(address.ip(), 0))?;
            warnings.push(format!(
                "{address} is in use; serving the API on a free port instead (--api chooses one)"
            ));
            Ok(listener)
        }
        other => other,
    }
}

/// A served API. Dropping it ends the server and waits for its thread.
#[derive(Debug)]
pub struct RunningApi {
    /// The address that it listens on.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for RunningApi {
    fn drop(&mut self) {
        // The thread may have ended already; then there is nobody to stop.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves a node's API on a thread of its own.
///
/// # Errors
/// The thread, its runtime or the listener cannot be set up.
pub fn start(
    listener: TcpListener,
    node: NodeHandle,
    options: ApiOptions,
) -> io::Result<RunningApi> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new()
        .name("api".into())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, node, options) => {}
                    _ = stopped => {}
                }
            });
            // A report that is still being rendered does not delay the end.
            runtime.shutdown_background();
        })?;
    Ok(RunningApi {
        address,
        stop: Some(stop),
        thread: Some(thread),
    })
}
