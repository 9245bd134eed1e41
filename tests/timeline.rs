//! A test over time, as nodes write it down.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::arrivals::Arrivals;
use common::{Node, eventually, get, swarm, vajra};
use hdrhistogram::Histogram;
use serde_json::Value;
use vajra_node::report::decode;

fn timeline(node: &Node, id: &str, query: &str) -> Value {
    let text = get(&node.api, &format!("/api/v1/tests/{id}/timeline{query}"));
    serde_json::from_str(&text).unwrap()
}

fn sum(timeline: &Value, key: &str) -> u64 {
    let points = timeline["points"].as_array().unwrap();
    points.iter().map(|p| p[key].as_u64().unwrap()).sum()
}

/// The response times of all intervals.
fn added_up(timeline: &Value) -> Histogram<u64> {
    let points = timeline["points"].as_array().unwrap().iter();
    let mut histograms = points.filter_map(|p| p["histogram"].as_str());
    let mut all = decode(histograms.next().unwrap()).unwrap();
    histograms.for_each(|h| all.add(decode(h).unwrap()).unwrap());
    all
}

#[test]
fn every_node_has_the_whole_test_over_time_also_of_a_worker_that_died() {
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let started = vajra(&[
        "start-test",
        &target.url,
        "--rate",
        "300",
        "--duration",
        "9s",
        "--api",
        &nodes[0].api,
        "--detach",
    ]);
    assert_eq!(started.code, 0, "{}", started.stderr);
    let id = started.stdout.trim().to_owned();
    // It is there while it goes on.
    eventually(|| {
        let so_far = timeline(&nodes[1], &id, "");
        match so_far["points"].as_array().unwrap().len() {
            0 | 1 => Err(format!("{so_far}")),
            _ => {
                assert_eq!(so_far["state"], "running");
                Ok(())
            }
        }
    });
    nodes.pop().unwrap().process.kill();
    for node in &nodes {
        let result = eventually(|| {
            let result = node.json(&["status", &id]);
            match result["complete"] == true && result["state"] == "ended" {
                true => Ok(result),
                false => Err(format!("{}", result["state"])),
            }
        });
        let whole = timeline(node, &id, "?histograms=true");
        for key in ["sent", "ok", "failed", "dropped", "bytes_received"] {
            assert_eq!(sum(&whole, key), result["totals"][key], "{key}");
        }
        let merged = decode(result["histograms"]["response"].as_str().unwrap()).unwrap();
        assert_eq!(added_up(&whole), merged);
        assert_eq!(whole["nodes"].as_array().unwrap().len(), 3);
        let points = whole["points"].as_array().unwrap();
        assert!((9..=13).contains(&points.len()), "{}", points.len());
        assert_eq!(points[0]["from_s"], 0.0);
        assert!(points.windows(2).all(|w| w[0]["to_s"] == w[1]["from_s"]));
        let few = timeline(node, &id, "?points=3&histograms=true");
        assert!(few["points"].as_array().unwrap().len() <= 3);
        assert_eq!(
            (sum(&few, "sent"), added_up(&few)),
            (sum(&whole, "sent"), merged)
        );
    }
}
