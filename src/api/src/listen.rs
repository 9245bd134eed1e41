//! The API's listener, and the thread that serves it.
//!
//! The API has a thread and a runtime of its own: no request, however expensive, delays the
//! control plane's lease handling.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::sync::oneshot;

use super::options::ApiOptions;
use super::serve::serve;
use vajra_runtime::handle::NodeHandle;

/// Maximum number of threads for blocking work, such as rendering a report or writing a data file.
const BLOCKING_THREADS: usize = 8;

/// Length of the accept queue; the standard library uses 128. When the queue is full, the kernel
/// drops connection attempts, and clients repeat them only after a second.
const BACKLOG: i32 = 1024;

/// The address that the API listens on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiListen {
    /// Address and port; port 0 selects a free port.
    pub address: SocketAddr,
    /// Whether the user set it. If so, a port in use is an error; otherwise a free port is used
    /// instead, with a warning.
    pub explicit: bool,
}

/// The API cannot listen on its address.
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
/// The address cannot be bound.
pub fn bind(listen: ApiListen, warnings: &mut Vec<String>) -> Result<TcpListener, BindError> {
    let ApiListen { address, explicit } = listen;
    let at = |address| listen_at(address).map_err(|source| BindError { address, source });
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

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // A second call only changes the length of the queue.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
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
        // Dropping the sender stops the server.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves a node's API on a thread of its own.
///
/// # Errors
/// The address is not a loopback address and no token is set, or the thread, its runtime or the
/// listener cannot be set up.
pub fn start(
    listener: TcpListener,
    node: NodeHandle,
    options: ApiOptions,
) -> io::Result<RunningApi> {
    let address = listener.local_addr()?;
    let allowed = options.check(address.ip());
    allowed.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    const FREE: ApiListen = ApiListen {
        address: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        explicit: true,
    };

    #[test]
    fn a_default_port_in_use_is_replaced_by_a_free_one_with_a_warning() {
        let mut warnings = Vec::new();
        let occupied = bind(FREE, &mut warnings).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let default = ApiListen {
            address: occupied.local_addr().unwrap(),
            explicit: false,
        };
        let listener = bind(default, &mut warnings).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(address.ip(), default.address.ip());
        assert_ne!(address.port(), default.address.port());
        let [warning] = warnings.as_slice() else {
            panic!("{warnings:?}");
        };
        assert!(
            warning.contains(&format!("{} is in use", default.address)),
            "{warning}"
        );
    }

    #[test]
    fn an_explicit_port_in_use_is_an_error() {
        let mut warnings = Vec::new();
        let occupied = bind(FREE, &mut warnings).unwrap();
        let address = occupied.local_addr().unwrap();
        let explicit = ApiListen { address, ..FREE };
        let e = bind(explicit, &mut warnings).unwrap_err();
        assert_eq!(e.source.kind(), io::ErrorKind::AddrInUse);
        assert!(e.to_string().contains("--api"), "{e}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn more_connections_than_the_standard_librarys_limit_can_wait_to_be_accepted() {
        let listener = bind(FREE, &mut Vec::new()).unwrap();
        let address = listener.local_addr().unwrap();
        let timeout = std::time::Duration::from_secs(5);
        let connect = |_| TcpStream::connect_timeout(&address, timeout).unwrap();
        let waiting: Vec<TcpStream> = (0..200).map(connect).collect();
        assert_eq!(waiting.len(), 200);
    }

    #[test]
    fn dropping_a_running_api_ends_the_server_and_closes_its_connections() {
        use std::io::{Read as _, Write as _};
        let listener = bind(FREE, &mut Vec::new()).unwrap();
        let (node, _inbox) = NodeHandle::new();
        let api = start(listener, node, ApiOptions::default()).unwrap();
        let address = api.address;
        // A request that needs nothing of the node.
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("GET /api/v1/version HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut status = [0; 15];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 OK");
        drop(api);
        // The open connection ends, and a new one is refused.
        stream.read_to_end(&mut Vec::new()).unwrap();
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
