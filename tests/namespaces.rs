//! Nodes on a LAN of their own: three network namespaces on a bridge, made and removed here.
//! Needs root (or a user namespace that may make them) and iproute2; elsewhere these tests
//! report themselves ignored.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Node, Process, VAJRA, require, within};
use serde_json::Value;

/// A bridge with hosts behind it; all of it goes when this goes.
struct Lan {
    tag: String,
    hosts: usize,
}

fn ip(args: &[&str]) -> bool {
    let out = Command::new("ip").args(args).output();
    out.is_ok_and(|o| o.status.success())
}

impl Lan {
    fn host(&self, i: usize) -> String {
        format!("{}h{i}", self.tag)
    }

    /// A LAN of `hosts` hosts with the addresses 10.77.0.1, 10.77.0.2, …; `None` where
    /// namespaces cannot be made.
    fn new(tag: &str, hosts: usize) -> Option<Lan> {
        let lan = Lan {
            tag: format!("vj{tag}{}", std::process::id() % 10_000),
            hosts,
        };
        let switch = format!("{}sw", lan.tag);
        if !ip(&["netns", "add", &switch]) {
            return None;
        }
        let must = |args: &[&str]| assert!(ip(args), "ip {args:?}");
        must(&["-n", &switch, "link", "add", "br0", "type", "bridge"]);
        must(&["-n", &switch, "link", "set", "br0", "up"]);
        for i in 0..hosts {
            let host = lan.host(i);
            let port = format!("p{i}");
            must(&["netns", "add", &host]);
            must(&[
                "-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "e0", "netns",
                &host,
            ]);
            must(&["-n", &switch, "link", "set", &port, "master", "br0", "up"]);
            must(&[
                "-n",
                &host,
                "addr",
                "add",
                &format!("10.77.0.{}/24", i + 1),
                "dev",
                "e0",
            ]);
            must(&["-n", &host, "link", "set", "lo", "up"]);
            must(&["-n", &host, "link", "set", "e0", "up"]);
            must(&["-n", &host, "route", "add", "224.0.0.0/4", "dev", "e0"]);
        }
        Some(lan)
    }

    fn command(&self, host: usize, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.host(host), VAJRA])
            .args(args);
        command
    }

    fn json(&self, host: usize, args: &[&str]) -> Value {
        let out = common::finish(&mut self.command(host, args));
        assert_eq!(out.code, 0, "{}", out.stderr);
        out.json()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for i in 0..self.hosts {
            ip(&["netns", "del", &self.host(i)]);
        }
        ip(&["netns", "del", &format!("{}sw", self.tag)]);
    }
}

#[test]
fn nodes_on_a_lan_find_each_other_by_mdns_alone_and_run_a_test() {
    let lan = Lan::new("m", 3);
    if !require(
        "root and iproute2, to make network namespaces",
        lan.is_some(),
    ) {
        return;
    }
    let lan = lan.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let nodes: Vec<Node> = (0..3)
        .map(|i| {
            let data = dir.path().join(format!("n{i}"));
            let command = lan.command(
                i,
                &[
                    "--name",
                    &format!("n{i}"),
                    "--data-dir",
                    data.to_str().unwrap(),
                ],
            );
            Node::from_process(Process::spawn(
                command,
                dir.path().join(format!("n{i}.log")),
            ))
        })
        .collect();
    for (i, node) in nodes.iter().enumerate() {
        within(Duration::from_secs(30), || {
            let seen = lan.json(i, &["nodes", "--json"]);
            let healthy = seen["pool"]["healthy"].as_u64().unwrap();
            if healthy == 3 {
                Ok(())
            } else {
                Err(format!("{seen}\n{}", node.process.log()))
            }
        });
    }
    let mut target = Process::spawn(
        lan.command(2, &["target", "--listen", "10.77.0.3:8080"]),
        dir.path().join("target.log"),
    );
    target.read_until("listening ");
    let result = lan.json(
        0,
        &[
            "start-test",
            "http://10.77.0.3:8080/",
            "--rate",
            "200",
            "--duration",
            "1s",
            "--json",
            "-",
        ],
    );
    assert_eq!(result["totals"]["sent"], 200);
    assert_eq!(result["nodes"].as_array().unwrap().len(), 3);
    target.signal("TERM");
    assert_eq!(target.rest().trim(), "served 200");
}
