//! Listening on a TCP port that may be in use.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::exit::Failure;

/// Length of the accept queue (the kernel's default limit). The standard library's 128 fills up
/// when a target stalls; the kernel then drops SYNs, which are resent only a second later.
const BACKLOG: i32 = 4096;

/// Listens on `address`. If its port is in use and was not configured (`explicit`), a free one is
/// taken, with a warning.
///
/// # Errors
/// It cannot listen; names the option to change.
pub fn listen(
    address: SocketAddr,
    explicit: bool,
    option: &str,
    warn: impl FnOnce(&str),
) -> Result<TcpListener, Failure> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AddrInUse => Failure::run(format_args!(
            "cannot listen on {address}: the port is in use; choose another with {option}, or \
             :0 for any free port"
        )),
        _ => Failure::run(format_args!(
            "cannot listen on {address}: {e}; change it with {option}"
        )),
    };
    let listener = match TcpListener::bind(address) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && !explicit => {
            let listener = TcpListener::bind(SocketAddr::new(address.ip(), 0)).map_err(failed)?;
            let free = listener.local_addr().map_err(failed)?;
            warn(&format!(
                "port {} is in use; using {} instead",
                address.port(),
                free.port()
            ));
            listener
        }
        other => other.map_err(failed)?,
    };
    // A second call only changes the length of the queue.
    rustix::net::listen(&listener, BACKLOG).map_err(|e| failed(e.into()))?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_port_in_use_is_replaced_only_if_it_is_the_default() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut warning = String::new();
        let other = listen(address, false, "--api", |text| warning = text.into()).unwrap();
        assert_ne!(other.local_addr().unwrap().port(), address.port());
        assert!(
            warning.contains(&format!("port {} is in use", address.port())),
            "{warning}"
        );
        let failure = listen(address, true, "--api", |_| panic!("no warning")).unwrap_err();
        assert_eq!(failure.exit, Exit::CouldNotRun);
        assert!(
            failure.message.contains("choose another with --api"),
            "{failure}"
        );
    }
}
