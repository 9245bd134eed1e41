//! The timeline of a test, as recorded by nodes.

use crate::common::arrivals::Arrivals;
use crate::common::{Node, api, complete_result, eventually, start_detached, swarm};
use hdrhistogram::Histogram;
use serde_json::Value;
use vajra_results::decode;

fn timeline(node: &Node, id: &str, query: &str) -> Value {
    api(node, &format!("tests/{id}/timeline{query}"))
}

fn sum(timeline: &Value, key: &str) -> u64 {
    let points = timeline["points"].as_array().unwrap();
    points.iter().map(|p| p[key].as_u64().unwrap()).sum()
}

/// Merged response times of all intervals.
fn merged_histogram(timeline: &Value) -> Histogram<u64> {
    let points = timeline["points"].as_array().unwrap().iter();
    let mut histograms = points.filter_map(|p| p["histogram"].as_str());
    let mut all = decode(histograms.next().unwrap()).unwrap();
    histograms.for_each(|h| all.add(decode(h).unwrap()).unwrap());
    all
}

#[test]
fn every_node_has_the_complete_timeline_including_a_killed_worker() {
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 3, &[]);
    let load = [&target.url, "--rate", "300", "--duration", "9s"];
    let id = start_detached(&nodes[0], &load);
    // The timeline is available while the test runs.
    eventually(|| {
        let current = timeline(&nodes[1], &id, "");
        match current["points"].as_array().unwrap().len() {
            0 | 1 => Err(format!("{current}")),
            _ => {
                assert_eq!(current["state"], "running");
                Ok(())
            }
        }
    });
    nodes.pop().unwrap().process.kill();
    for node in &nodes {
        let result = complete_result(node, &id);
        let whole = timeline(node, &id, "?histograms=true");
        for key in ["sent", "ok", "failed", "dropped", "bytes_received"] {
            assert_eq!(sum(&whole, key), result["totals"][key], "{key}");
        }
        let merged = decode(result["histograms"]["response"].as_str().unwrap()).unwrap();
        assert_eq!(merged_histogram(&whole), merged);
        assert_eq!(whole["nodes"].as_array().unwrap().len(), 3);
        let points = whole["points"].as_array().unwrap();
        assert!((9..=13).contains(&points.len()), "{}", points.len());
        assert_eq!(points[0]["from_s"], 0.0);
        let within = points.iter().filter(|p| p["to_s"].as_f64() <= Some(9.0));
        for point in within {
            assert_eq!(point["planned"], 300.0, "{point}");
        }
        assert!(points.windows(2).all(|w| w[0]["to_s"] == w[1]["from_s"]));
        let few = timeline(node, &id, "?points=3&histograms=true");
        assert!(few["points"].as_array().unwrap().len() <= 3);
        assert_eq!(
            (sum(&few, "sent"), merged_histogram(&few)),
            (sum(&whole, "sent"), merged)
        );
    }
}

/// One node joins during the test, another is killed and restarted. Both show the timeline from the
/// start, including what the killed process had sent.
#[test]
fn nodes_that_join_during_the_test_have_the_complete_timeline() {
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let mut nodes = swarm(dir.path(), 4, &[]);
    let load = [&target.url, "--rate", "200", "--duration", "18s"];
    let id = start_detached(&nodes[0], &load);
    let ends_of = |timeline: &Value| -> Vec<f64> {
        let points = timeline["points"].as_array();
        let points = points.into_iter().flatten();
        points.map(|p| p["to_s"].as_f64().unwrap()).collect()
    };
    eventually(|| match ends_of(&timeline(&nodes[0], &id, "")).len() {
        n if n < 5 => Err(format!("{n} intervals")),
        _ => Ok(()),
    });
    nodes[1].process.kill();
    let bootstrap = ["--bootstrap", &nodes[0].listening];
    let again = Node::start(dir.path(), "n1", &bootstrap);
    let late = Node::start(dir.path(), "late", &bootstrap);
    for node in [&again, &late] {
        eventually(|| {
            let current = timeline(node, &id, "");
            let first_end = ends_of(&current).first().copied();
            match current["state"] == "running" && first_end.is_some_and(|s| s < 1.5) {
                true => Ok(()),
                false => Err(current.to_string()),
            }
        });
    }
    for node in [&again, &late] {
        let result = complete_result(node, &id);
        let merged = decode(result["histograms"]["response"].as_str().unwrap()).unwrap();
        let whole = eventually(|| {
            let whole = timeline(node, &id, "?histograms=true");
            let adds_up = result["totals"]["sent"] == sum(&whole, "sent");
            match adds_up && ends_of(&whole).len() >= 16 {
                true => Ok(whole),
                false => Err(format!("{:?}: {}", ends_of(&whole), sum(&whole, "sent"))),
            }
        });
        assert_eq!(merged_histogram(&whole), merged);
        let points = whole["points"].as_array().unwrap();
        assert!(points.windows(2).all(|w| w[0]["to_s"] == w[1]["from_s"]));
        let most = points.iter().map(|p| p["sent"].as_u64().unwrap()).max();
        assert!(most < Some(600), "{most:?} in one interval");
    }
}
