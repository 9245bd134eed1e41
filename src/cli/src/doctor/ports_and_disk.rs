//! What a node needs for itself: its ports, and its directory.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::resolve::Settings;
use vajra_api::ApiClient;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_results::units::bytes;
use vajra_runtime::config::DataPlace;

/// Room for the results of a node: as many as are kept of common ones.
const LEAST_ROOM: u64 = 1 << 30;

pub(super) async fn all(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    // A node that runs here already holds the ports; then it is that one that is asked for.
    let (config, api) = (&settings.node, settings.api);
    let running = answers(api.address, settings.api_token.clone()).await;
    for address in config.listen.addresses.iter().filter_map(socket) {
        checks.push(port(
            "swarm_port",
            address,
            running,
            config.listen.explicit,
            "--listen /ip4/0.0.0.0/tcp/PORT",
        ));
    }
    checks.push(port(
        "api_port",
        api.address,
        running,
        api.explicit,
        "--api 127.0.0.1:PORT",
    ));
    checks.push(directory(&config.data));
    checks
}

/// Whether a node answers there.
async fn answers(address: SocketAddr, token: Option<String>) -> bool {
    ApiClient::new(address, token).health().await.is_ok()
}

fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

fn port(name: &str, address: SocketAddr, running: bool, explicit: bool, option: &str) -> Check {
    match (TcpListener::bind(address), running) {
        (Ok(_), _) => Check::new(name, Finding::Pass, format!("{address} is free")),
        (Err(e), true) if e.kind() == io::ErrorKind::AddrInUse => {
            let text = format!("{address} is taken, and a node runs here already");
            Check::new(name, Finding::Pass, text)
        }
        (Err(e), _) => {
            // A default port gives way to a free one; others then have to be told of it.
            let finding = match explicit || e.kind() != io::ErrorKind::AddrInUse {
                true => Finding::Fail,
                false => Finding::Warn,
            };
            let text = format!("{address} cannot be listened on: {e}");
            let hint = format!(
                "see who has it: ss -ltnp 'sport = :{}'; or choose another: {option}",
                address.port()
            );
            Check::new(name, finding, text).hint(hint)
        }
    }
}

fn directory(place: &DataPlace) -> Check {
    let DataPlace::Directory { path, .. } = place else {
        return Check::new("data_dir", Finding::Skip, "nothing is kept on disk");
    };
    // The directory itself is made by the node; until then that above it counts.
    let there = path
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("/"));
    let shown = path.display();
    let probe = there.join(format!(".vajra-doctor-{}", std::process::id()));
    if let Err(e) = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)) {
        let text = format!("{shown} cannot be written: {e}");
        return Check::new("data_dir", Finding::Fail, text).hint(format!(
            "as root: install -d -o \"$USER\" -m 700 {shown}; or choose another: --data-dir DIR, or --ephemeral"
        ));
    }
    let room = rustix::fs::statvfs(there);
    let room = room.map(|s| s.f_bavail.saturating_mul(s.f_frsize));
    let Ok(room) = room else {
        return Check::new("data_dir", Finding::Pass, format!("{shown} can be written"));
    };
    let finding = match room < LEAST_ROOM {
        true => Finding::Warn,
        false => Finding::Pass,
    };
    let text = format!(
        "{shown} can be written, and has {} of room",
        bytes(room as f64)
    );
    Check::new("data_dir", finding, text)
        .figures(LEAST_ROOM, Some(room))
        .hint(match finding {
            Finding::Warn => format!("make room: du -xsh {}/*", there.display()),
            _ => String::new(),
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_fails_where_it_was_asked_for_and_passes_where_a_node_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let of = |running, explicit| port("api_port", address, running, explicit, "--api").finding;
        assert_eq!(of(false, true), Finding::Fail);
        assert_eq!(of(false, false), Finding::Warn);
        assert_eq!(of(true, true), Finding::Pass);
        drop(taken);
        assert_eq!(of(false, true), Finding::Pass);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_judged_by_the_one_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let of = |path: &Path| {
            directory(&DataPlace::Directory {
                path: path.to_owned(),
                explicit: true,
            })
        };
        assert_ne!(of(&dir.path().join("a/b")).finding, Finding::Fail);
        assert!(!dir.path().join("a").exists(), "it is left as it was");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        // A file is no directory that anything can be written into.
        let file = dir.path().join("file");
        fs::write(&file, b"x").unwrap();
        assert_eq!(of(&file).finding, Finding::Fail);
        assert_eq!(directory(&DataPlace::Ephemeral).finding, Finding::Skip);
    }

    #[test]
    fn a_multiaddress_is_read_as_what_it_listens_on() {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/7400".parse().unwrap();
        assert_eq!(socket(&address), Some("127.0.0.1:7400".parse().unwrap()));
        assert_eq!(socket(&"/dns/x/tcp/1".parse().unwrap()), None);
    }
}
