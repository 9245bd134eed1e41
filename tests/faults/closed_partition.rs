//! Users of a closed plan while two of five nodes are cut off from the others, but not from the
//! target: the target's own log shows that no user is at two nodes.

use std::time::{Duration, Instant};

use crate::common::concurrency::{Concurrency, Seen};
use crate::common::lan::{Lan, NEEDS};
use crate::common::{RunCommand, complete_result, eventually, pause_for, require};
use crate::permit::Permit;

const USERS: usize = 40;
const RESPONSE: Duration = Duration::from_secs(3);

/// Requests in flight at an instant.
fn in_flight(log: &[Seen], at: Instant) -> usize {
    let active = |s: &&Seen| s.start <= at && s.end.is_none_or(|end| end > at);
    log.iter().filter(active).count()
}

fn run_with_partition(tag: &str, on_lost: &str) {
    let lan = Lan::new(tag, 6);
    if !require(NEEDS, lan.is_some()) {
        return;
    }
    let lan = lan.unwrap();
    lan.add_second();
    let _permit = Permit::acquire();
    let dir = tempfile::tempdir().unwrap();
    let target = Concurrency::start(lan.listen(5, 8080), RESPONSE);
    let hosts = lan.swarm(dir.path(), 5);
    let plan = dir.path().join("plan.toml");
    let text = format!(
        "[http]\nbase_url = \"{}\"\n[[scenario]]\n[[scenario.step]]\nurl = \"/{{{{ user }}}}\"\n\
         [load]\nusers = {USERS}\nduration = \"30s\"\n[swarm]\non_lost_worker = \"{on_lost}\"\n",
        target.url
    );
    std::fs::write(&plan, text).unwrap();
    let command = ["start-test", plan.to_str().unwrap(), "--detach"];
    let out = crate::common::finish(&mut lan.command(0, &command));
    assert_eq!(out.code, 0, "{}", out.stderr);
    let id = out.stdout.trim().to_owned();
    let leader = eventually(|| {
        let result = hosts[0].run(&["status", &id]);
        match result["coordinators"][0]["peer"].as_str() {
            Some(peer) if target.count() >= 2 * USERS => Ok(peer.to_owned()),
            _ => Err(format!("{} requests", target.count())),
        }
    });
    let workers = hosts.iter().filter(|h| h.node.peer != leader);
    let cut_off: Vec<usize> = workers.map(|h| h.at).take(2).collect();
    cut_off.iter().for_each(|at| lan.set_link(*at, false));
    // A share lease, one response, and the wait between the starts of users that move.
    pause_for(Duration::from_secs(10));
    let (log, late) = (target.log(), Instant::now());
    cut_off.iter().for_each(|at| lan.set_link(*at, true));
    let result = complete_result(&hosts[0], &id);
    assert_eq!(target.most_of_one_path(), 1, "a user was at two nodes");
    let most = target.most_in_flight();
    assert!(most <= USERS, "{most} in flight");
    // The users of the isolated nodes are at the others again, or still where they were.
    let active = in_flight(&log, late - Duration::from_millis(200));
    assert!(active * 10 >= USERS * 9, "{active} of {USERS} are active");
    let sent = result["totals"]["sent"].as_u64().unwrap();
    assert!(sent <= target.count() as u64, "{sent}");
}

#[test]
fn users_of_a_partitioned_minority_move_and_are_at_one_node_at_a_time() {
    run_with_partition("u", "reassign");
}

#[test]
fn under_hold_users_stay_at_a_partitioned_minority() {
    run_with_partition("v", "hold");
}
