//! The ports and the data directory of a node.

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

/// Disk space for the results of a node, with the number of results that is kept.
const MIN_DISK_SPACE: u64 = 1 << 30;

pub(super) async fn all(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    // A node that already runs here is expected to use the ports.
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

/// Whether a node answers at an address.
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
            let text = format!("{address} is in use by a node that already runs on this machine");
            Check::new(name, Finding::Pass, text)
        }
        (Err(e), _) => {
            // A node replaces a default port by a free one, which other nodes then need to know.
            let finding = match explicit || e.kind() != io::ErrorKind::AddrInUse {
                true => Finding::Fail,
                false => Finding::Warn,
            };
            let text = format!("cannot listen on {address}: {e}");
            let hint = format!(
                "find the process: ss -ltnp 'sport = :{}'; or choose another port: {option}",
                address.port()
            );
            Check::new(name, finding, text).hint(hint)
        }
    }
}

fn directory(place: &DataPlace) -> Check {
    let DataPlace::Directory { path, .. } = place else {
        return Check::new("data_dir", Finding::Skip, "nothing is stored on disk");
    };
    // The node creates the directory, so its first existing ancestor is checked.
    let existing = path
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("/"));
    let shown = path.display();
    let probe = existing.join(format!(".vajra-doctor-{}", std::process::id()));
    if let Err(e) = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)) {
        let text = format!("{shown} is not writable: {e}");
        return Check::new("data_dir", Finding::Fail, text).hint(format!(
            "as root: install -d -o \"$USER\" -m 700 {shown}; or choose another directory with --data-dir, or --ephemeral"
        ));
    }
    let free = rustix::fs::statvfs(existing);
    let free = free.map(|s| s.f_bavail.saturating_mul(s.f_frsize));
    let Ok(free) = free else {
        return Check::new("data_dir", Finding::Pass, format!("{shown} is writable"));
    };
    let finding = match free < MIN_DISK_SPACE {
        true => Finding::Warn,
        false => Finding::Pass,
    };
    let text = format!("{shown} is writable, with {} free", bytes(free as f64));
    Check::new("data_dir", finding, text)
        .figures(MIN_DISK_SPACE, Some(free))
        .hint(match finding {
            Finding::Warn => format!(
                "free some space; find large files with: du -xsh {}/*",
                existing.display()
            ),
            _ => String::new(),
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_fails_if_configured_and_passes_if_a_node_uses_it() {
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
    fn a_missing_directory_is_checked_by_its_existing_ancestor() {
        let dir = tempfile::tempdir().unwrap();
        let of = |path: &Path| {
            directory(&DataPlace::Directory {
                path: path.to_owned(),
                explicit: true,
            })
        };
        assert_ne!(of(&dir.path().join("a/b")).finding, Finding::Fail);
        assert!(
            !dir.path().join("a").exists(),
            "the check must not create it"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        // A file is not a writable directory.
        let file = dir.path().join("file");
        fs::write(&file, b"x").unwrap();
        assert_eq!(of(&file).finding, Finding::Fail);
        assert_eq!(directory(&DataPlace::Ephemeral).finding, Finding::Skip);
    }

    #[test]
    fn a_multiaddress_is_converted_to_a_socket_address() {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/7400".parse().unwrap();
        assert_eq!(socket(&address), Some("127.0.0.1:7400".parse().unwrap()));
        assert_eq!(socket(&"/dns/x/tcp/1".parse().unwrap()), None);
    }
}
