//! Listening on a port that may be taken.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::exit::Failure;

/// Connections that may wait to be accepted (the kernel allows 4,096 by default). The
/// standard library's 128 are soon full when a target stalls; the kernel then drops
/// connection requests, which come again only a second later.
const BACKLOG: i32 = 4096;

/// Listens on `wanted`. Where the port was not asked for explicitly and is taken, a free one
/// takes its place, with a warning.
///
/// # Errors
/// If nothing can be listened on; names the option to change.
pub fn listen(
    wanted: SocketAddr,
    explicit: bool,
    option: &str,
    warn: impl FnOnce(&str),
) -> Result<TcpListener, Failure> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AddrInUse => Failure::run(format_args!(
            "cannot listen on {wanted}: the port is in use; choose another with {option}, or \
             :0 for any"
        )),
        _ => Failure::run(format_args!("cannot listen on {wanted}: {e}; see {option}")),
    };
    let listener = match TcpListener::bind(wanted) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && !explicit => {
            let listener = TcpListener::bind(SocketAddr::new(wanted.ip(), 0)).map_err(failed)?;
            let got = listener.local_addr().map_err(failed)?;
            warn(&format!(
                "port {} is in use; using {} instead",
                wanted.port(),
                got.port()
            ));
            listener
        }
        other => other.map_err(failed)?,
    };
    // Listening again only changes the length of the queue.
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
    fn a_taken_port_gives_way_only_if_it_was_not_asked_for() {
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
