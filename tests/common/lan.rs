//! A LAN of hosts in network namespaces, created and removed by a test. Needs root (or a user
//! namespace that may create network namespaces) and iproute2.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Node, Process, RunCommand, VAJRA, eventually};

/// Requirement to pass to [`super::require`] in tests that use a [`Lan`].
pub const NEEDS: &str = "root and iproute2, to create network namespaces";

/// A node on a host of a LAN.
pub struct Host<'a> {
    lan: &'a Lan,
    pub at: usize,
    pub node: Node,
}

impl RunCommand for Host<'_> {
    fn try_run(&self, args: &[&str]) -> Result<Value, String> {
        self.lan.try_json(self.at, &[args, &["--json"]].concat())
    }
}

/// Bridges and their hosts, removed on drop.
pub struct Lan {
    tag: String,
    hosts: usize,
}

fn ip(args: &[&str]) -> bool {
    let out = Command::new("ip").args(args).output();
    out.is_ok_and(|o| o.status.success())
}

fn must(args: &[&str]) {
    assert!(ip(args), "ip {args:?}");
}

impl Lan {
    /// The name of a host's namespace.
    pub fn host(&self, i: usize) -> String {
        format!("{}h{i}", self.tag)
    }

    fn switch(&self) -> String {
        format!("{}sw", self.tag)
    }

    /// A LAN of `hosts` hosts with the addresses 10.77.0.1, 10.77.0.2, …; `None` if
    /// namespaces cannot be created.
    pub fn new(tag: &str, hosts: usize) -> Option<Lan> {
        let lan = Lan {
            tag: format!("vj{tag}{}", std::process::id() % 10_000),
            hosts,
        };
        if !ip(&["netns", "add", &lan.switch()]) {
            return None;
        }
        for i in 0..hosts {
            must(&["netns", "add", &lan.host(i)]);
            must(&["-n", &lan.host(i), "link", "set", "lo", "up"]);
        }
        lan.wire("br0", "p", "e0", "10.77.0");
        for i in 0..hosts {
            must(&[
                "-n",
                &lan.host(i),
                "route",
                "add",
                "224.0.0.0/4",
                "dev",
                "e0",
            ]);
        }
        Some(lan)
    }

    /// Adds a second network on which no node listens: 10.78.0.1, 10.78.0.2, … It stays connected
    /// when the first one is partitioned.
    pub fn add_second(&self) {
        self.wire("br1", "q", "e1", "10.78.0");
    }

    fn wire(&self, bridge: &str, port: &str, device: &str, net: &str) {
        let switch = self.switch();
        must(&["-n", &switch, "link", "add", bridge, "type", "bridge"]);
        must(&["-n", &switch, "link", "set", bridge, "up"]);
        for i in 0..self.hosts {
            let (host, port) = (self.host(i), format!("{port}{i}"));
            must(&[
                "-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", device,
                "netns", &host,
            ]);
            must(&["-n", &switch, "link", "set", &port, "master", bridge, "up"]);
            let address = format!("{net}.{}/24", i + 1);
            must(&["-n", &host, "addr", "add", &address, "dev", device]);
            must(&["-n", &host, "link", "set", device, "up"]);
        }
    }

    /// Disconnects a host from the first network, or reconnects it.
    pub fn set_link(&self, host: usize, up: bool) {
        let state = if up { "up" } else { "down" };
        must(&[
            "-n",
            &self.switch(),
            "link",
            "set",
            &format!("p{host}"),
            state,
        ]);
    }

    /// A listener of this process on the second network of a host.
    pub fn listen(&self, host: usize, port: u16) -> TcpListener {
        let space = File::open(format!("/run/netns/{}", self.host(host))).unwrap();
        let address = format!("10.78.0.{}:{port}", host + 1);
        // A namespace applies to a thread; a socket stays in the namespace that created it.
        let thread = std::thread::spawn(move || {
            use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            TcpListener::bind(address).unwrap()
        });
        thread.join().unwrap()
    }

    /// Command that runs `vajra-node` on a host.
    pub fn command(&self, host: usize, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.host(host), VAJRA])
            .args(args);
        command
    }

    /// Nodes on the first `count` hosts, named `n0`, `n1`, …, which know each other.
    pub fn swarm(&self, dir: &Path, count: usize) -> Vec<Host<'_>> {
        let mut hosts: Vec<Host<'_>> = Vec::new();
        for at in 0..count {
            let data = dir.join(format!("n{at}"));
            let listen = format!("/ip4/10.77.0.{}/tcp/7400", at + 1);
            let (name, data) = (format!("n{at}"), data.to_str().unwrap().to_owned());
            let mut args = vec!["--no-mdns", "--listen", &listen, "--name", &name];
            args.extend(["--data-dir", &data]);
            let hub = hosts.first().map(|h| h.node.listening.clone());
            if let Some(hub) = &hub {
                args.extend(["--bootstrap", hub]);
            }
            let log = dir.join(format!("n{at}.log"));
            let process = Process::spawn(self.command(at, &args), log);
            let node = Node::from_process(process);
            hosts.push(Host {
                lan: self,
                at,
                node,
            });
        }
        for host in &hosts {
            eventually(|| match host.run(&["nodes"])["pool"]["healthy"].as_u64() {
                Some(n) if n == count as u64 => Ok(()),
                n => Err(format!("{n:?} healthy nodes")),
            });
        }
        hosts
    }

    /// Runs a subcommand on a host; returns its JSON output, or the error.
    pub fn try_json(&self, host: usize, args: &[&str]) -> Result<Value, String> {
        super::finish(&mut self.command(host, args)).parsed()
    }

    /// Like [`Lan::try_json`]; panics on an error.
    pub fn json(&self, host: usize, args: &[&str]) -> Value {
        self.try_json(host, args)
            .unwrap_or_else(|e| panic!("{args:?}: {e}"))
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for i in 0..self.hosts {
            ip(&["netns", "del", &self.host(i)]);
        }
        ip(&["netns", "del", &self.switch()]);
    }
}
