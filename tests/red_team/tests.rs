//! What a captured member tries, and what must happen instead.

use std::time::Duration;

use vajra_core::protocol::announcement::{Announcement, Submission};
use vajra_core::protocol::rendezvous::Seed;
use vajra_core::splitmix::SplitMix64;
use vajra_network::SwarmKey;
use vajra_plan::{HttpTask, Load, Plan, Task};

use crate::attacker::Attacker;
use crate::common::arrivals::{Arrivals, busiest_second};
use crate::common::{Node, api, complete_result, eventually, start_detached, swarm, vajra};
use crate::forged::{KINDS, forge};

const RATE: usize = 50;
const SECONDS: usize = 8;

/// Forged messages of all kinds during a test: the target receives the plan, and every node has the
/// same, true result.
async fn a_test_is_not_changed(key: Option<&std::path::Path>, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let key_args = match key {
        Some(key) => vec!["--swarm-key", key.to_str().unwrap()],
        None => Vec::new(),
    };
    let nodes = swarm(dir.path(), 3, &key_args);
    let key = key.map(|path| SwarmKey::read(path).unwrap());
    let attacker = Attacker::join(&nodes[0].listening, key).await;
    attacker
        .learn("connections", |k| (k.peers.len() == 3).then_some(()))
        .await;
    let load = [
        "--rate",
        &RATE.to_string(),
        "--duration",
        &format!("{SECONDS}s"),
    ];
    let id = start_detached(&nodes[0], &[&[target.url.as_str()], &load[..]].concat());
    let victim = attacker
        .learn("announcement", |k| Some(k.announcement.clone()?.submitter))
        .await;
    let mut rng = SplitMix64::new(seed);
    let mut sent = [0; KINDS];
    while sent.iter().sum::<usize>() < 200 {
        let beat = attacker.learn("beat", |k| k.beat.clone()).await;
        sent[forge(&attacker, &beat, &victim, &mut rng)] += 1;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(sent.iter().all(|n| *n > 10), "{sent:?}");
    for node in &nodes {
        let result = complete_result(node, &id);
        assert_eq!(result["totals"]["sent"], RATE * SECONDS, "{}", node.name);
        assert_eq!(result["end"], "completed", "{result}");
        assert_eq!(result["nodes"].as_array().unwrap().len(), 3);
        assert_eq!(result["changes"].as_array().map_or(0, Vec::len), 0);
    }
    assert_eq!(target.count(), RATE * SECONDS);
    assert!(busiest_second(&target.log()) <= RATE + RATE / 10 + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_a_swarm_without_a_key_does_not_change_the_test_of_another() {
    a_test_is_not_changed(None, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_captured_node_of_a_swarm_with_a_key_does_not_change_the_test_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("swarm.key");
    assert_eq!(vajra(&["keygen", key.to_str().unwrap()]).code, 0);
    a_test_is_not_changed(Some(&key), 2).await;
}

fn submission(target: &str, nonce: u8, unix_ms: u64) -> Submission {
    let load = Load::open(50.0, Duration::from_secs(5));
    let plan = Plan::new(Task::Http(HttpTask::get(target)), load);
    Submission {
        name: "forged".into(),
        plan: plan.to_bytes().into(),
        unix_ms,
        nonce: Seed([nonce; 16]),
    }
}

fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn knows(node: &Node, test: &str) -> bool {
    api(node, "tests").to_string().contains(test)
}

/// A fetched announcement that names the victim as its submitter would be one of its own tests, to
/// which its target policy does not apply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_starts_a_test_in_the_name_of_another_node() {
    let dir = tempfile::tempdir().unwrap();
    let target = Arrivals::on_loopback();
    let nodes = swarm(dir.path(), 1, &["--allow-target", "10.0.0.0/8"]);
    let mut attacker = Attacker::join(&nodes[0].listening, None).await;
    attacker
        .learn("connection", |k| (!k.peers.is_empty()).then_some(()))
        .await;
    // A test of the attacker's own shows the node, which may not run it.
    let own = |s: &Submission| {
        let live = [attacker.me.clone()];
        Announcement::new(s, &attacker.me, live, &attacker.keys)
    };
    let honest = own(&submission(&target.url, 1, unix_ms()));
    let future = own(&submission(&target.url, 2, unix_ms() + 3_600_000));
    let past = own(&submission(&target.url, 3, unix_ms() - 8 * 24 * 3_600_000));
    let mut forged = own(&submission(&target.url, 4, unix_ms()));
    let victim = attacker.known(|k| k.peers.first().cloned().unwrap());
    forged.submitter.peer = victim.clone();
    forged.electorate[0].peer = victim;
    forged.seal(&attacker.keys);
    for announcement in [&future, &past, &forged, &honest] {
        attacker.offer(announcement);
        let test = announcement.test;
        attacker
            .learn("request for the announcement", |k| {
                k.fetched.contains(&test).then_some(())
            })
            .await;
    }
    // The last one has arrived, so the others have been decided on.
    eventually(|| match knows(&nodes[0], &honest.test.to_string()) {
        true => Ok(()),
        false => Err("the attacker's own test is not known".to_owned()),
    });
    for refused in [&future, &past, &forged] {
        assert!(!knows(&nodes[0], &refused.test.to_string()), "{refused:?}");
    }
    assert_eq!(target.count(), 0);
}
