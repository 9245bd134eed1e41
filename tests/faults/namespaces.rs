//! Nodes on an isolated LAN: three network namespaces on a bridge. Needs root (or a user namespace
//! that may create network namespaces) and iproute2; without them, these tests are reported as
//! ignored.

use std::time::Duration;

use crate::common::lan::{Lan, NEEDS};
use crate::common::{Node, Process, require, within};

#[test]
fn nodes_on_a_lan_discover_each_other_by_mdns_and_run_a_test() {
    let lan = Lan::new("m", 3);
    if !require(NEEDS, lan.is_some()) {
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
