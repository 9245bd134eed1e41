//! Whole tests of a few nodes on a perfect network. Faults are covered by the
//! simulator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::fakes::{self, FakeKeys, measurement, node, spec};
use super::*;
use crate::protocol::beat::Beat;
use crate::protocol::effects::EngineOrder;
use crate::protocol::messages::EndReason;
use crate::protocol::rendezvous::Seed;
use crate::protocol::spec::{OnLost, SLOTS, TestSpec};

/// A test of which no announcement has arrived.
const UNKNOWN: TestId = TestId([9; 16]);
const MS: i64 = 1_000_000;

/// Nodes on a network without delay, and engines that follow every order.
struct World {
    now: Time,
    nodes: Vec<Node>,
    dead: Vec<bool>,
    unable: BTreeMap<usize, String>,
    on_lost: OnLost,
    engines: Vec<Vec<EngineOrder>>,
    ended_at: Option<Time>,
    /// The submitted test.
    test: TestId,
}

fn new_node(local: LocalNode, now: Time) -> Node {
    let keys = Arc::new(FakeKeys::of(&local.node));
    Node::new(local, keys, Timings::lan(), now)
}

impl World {
    fn new(count: u32) -> World {
        let mut world = World {
            now: Time(MS),
            nodes: Vec::new(),
            dead: vec![false; count as usize],
            unable: BTreeMap::new(),
            on_lost: OnLost::Reassign,
            engines: vec![Vec::new(); count as usize],
            ended_at: None,
            test: UNKNOWN,
        };
        for i in 0..count {
            let local = LocalNode {
                node: node(i),
                name: format!("n{i}"),
                version: "0".into(),
                capacity: 100,
                task_types: vec!["SLEEP".into()],
                labels: BTreeMap::new(),
                environment: String::new(),
            };
            world.nodes.push(new_node(local, world.now));
        }
        for i in 0..count {
            for j in (0..count).filter(|j| *j != i) {
                world.input(i as usize, Input::Connected(node(j).peer));
            }
        }
        world.run_for(Duration::from_millis(500));
        world
    }

    fn input(&mut self, i: usize, input: Input) {
        let mut queue = vec![(i, input)];
        while !queue.is_empty() {
            let (i, input) = queue.remove(0);
            if self.dead[i] {
                continue;
            }
            for output in self.nodes[i].handle(self.now, input) {
                self.output(i, output, &mut queue);
            }
        }
    }

    fn output(&mut self, i: usize, output: Output, queue: &mut Vec<(usize, Input)>) {
        let author = self.nodes[i].local().node.peer.clone();
        match output {
            Output::Publish(message) => {
                for j in (0..self.nodes.len()).filter(|j| *j != i) {
                    let (author, message) = (author.clone(), message.clone());
                    queue.push((j, Input::Gossip { author, message }));
                }
            }
            Output::Send(to, request) => {
                let j = self.index(&to);
                if self.dead[j] {
                    return;
                }
                for output in self.nodes[j].handle(
                    self.now,
                    Input::Request {
                        from: author,
                        request,
                    },
                ) {
                    match output {
                        Output::Reply(reply) => queue.push((
                            i,
                            Input::Reply {
                                from: to.clone(),
                                reply,
                            },
                        )),
                        other => self.output(j, other, queue),
                    }
                }
            }
            Output::Inspect { test, .. } => {
                let spec = Ok(TestSpec {
                    on_lost: self.on_lost,
                    ..spec(Duration::from_secs(10))
                });
                queue.push((
                    i,
                    Input::Inspected {
                        test,
                        spec,
                        unable: self.unable.get(&i).cloned(),
                    },
                ));
            }
            Output::Engine(test, order) => {
                if let EngineOrder::Share { change, .. } = order {
                    let held = EngineHeld {
                        change,
                        ..EngineHeld::default()
                    };
                    queue.push((i, Input::Held(test, held)));
                }
                if matches!(order, EngineOrder::Stop(_)) {
                    queue.push((i, Input::Measured(test, measurement(100 + i as u64, true))));
                }
                self.engines[i].push(order);
            }
            Output::Ended(_) => {
                self.ended_at.get_or_insert(self.now);
            }
            Output::Acceptance(verdict) => assert_ne!(verdict, Acceptance::Reject),
            Output::Reply(..)
            | Output::Event(..)
            | Output::Led(..)
            | Output::RunHook(..)
            | Output::Completed(_)
            | Output::Log(_) => {}
        }
    }

    fn index(&self, peer: &Peer) -> usize {
        let found = self.nodes.iter().position(|n| n.local().node.peer == *peer);
        found.expect("a peer of this world")
    }

    fn run_for(&mut self, length: Duration) {
        let end = self.now + length;
        loop {
            let alive = (0..self.nodes.len()).filter(|i| !self.dead[*i]);
            let Some((wake, i)) = alive.map(|i| (self.nodes[i].next_wake(), i)).min() else {
                return;
            };
            if wake > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(wake);
            self.input(i, Input::Tick);
        }
    }

    fn submit(&mut self, i: usize) {
        let plan: Arc<[u8]> = Arc::from(&b"a plan"[..]);
        let submission = Submission {
            name: "t".into(),
            plan: plan.clone(),
            unix_ms: 0,
            nonce: Seed([9; 16]),
        };
        let announcement = self.nodes[i].announcement(self.now, &submission);
        self.test = announcement.test;
        self.input(i, Input::Submit(announcement, plan));
    }

    fn finish_engines(&mut self) {
        for i in 0..self.nodes.len() {
            self.input(
                i,
                Input::Measured(self.test, measurement(100 + i as u64, true)),
            );
        }
    }

    fn shares(&self) -> Vec<u32> {
        let share = |n: &Node| Some(n.tests().get(&self.test)?.worker()?.share(self.now).count());
        self.nodes.iter().map(|n| share(n).unwrap_or(0)).collect()
    }

    fn coordinator(&self) -> usize {
        let leads = |i: &usize| {
            let test = self.nodes[*i].tests().get(&self.test);
            !self.dead[*i] && test.is_some_and(|t| t.election().has_authority(self.now))
        };
        (0..self.nodes.len()).find(leads).expect("a coordinator")
    }

    fn test(&self, i: usize) -> &TestRun {
        &self.nodes[i].tests()[&self.test]
    }
}

#[test]
fn a_test_runs_from_submission_to_the_same_complete_result_everywhere() {
    for count in [1, 2, 3, 5, 9] {
        let mut world = World::new(count);
        world.submit(0);
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.shares().iter().sum::<u32>(), SLOTS, "{count} nodes");
        world.run_for(Duration::from_millis(9_500));
        world.finish_engines();
        world.run_for(Duration::from_secs(1));
        for i in 0..count as usize {
            let test = world.test(i);
            assert_eq!(test.ended().map(|e| &e.reason), Some(&EndReason::Completed));
            assert!(test.complete(), "node {i} of {count}");
            assert_eq!(test.merge(), world.test(0).merge());
            assert_eq!(test.merge().workers().len(), count as usize);
        }
    }
}

#[test]
fn all_engines_start_at_the_same_instant_and_hold_a_lease_then() {
    let mut world = World::new(5);
    world.submit(3);
    world.run_for(Duration::from_secs(1));
    let mut starts = Vec::new();
    for orders in &world.engines {
        let start = orders.iter().find_map(|o| match o {
            EngineOrder::Start(at) => Some(*at),
            _ => None,
        });
        let lease = orders.iter().rev().find_map(|o| match o {
            EngineOrder::Lease(until) => Some(*until),
            _ => None,
        });
        assert!(lease > start);
        starts.extend(start);
    }
    assert_eq!(starts.len(), 5);
    assert!(starts.iter().all(|s| *s == starts[0]));
}

#[test]
fn a_killed_coordinator_is_replaced_without_a_gap_and_its_share_is_reassigned() {
    let mut world = World::new(5);
    world.submit(0);
    world.run_for(Duration::from_secs(3));
    let first = world.coordinator();
    world.dead[first] = true;
    let killed = world.now;
    let before = world.shares();
    while world.now.since(killed) < Duration::from_millis(1_400) {
        world.run_for(Duration::from_millis(10));
        let now = world.shares();
        let dipped = (0..5)
            .filter(|i| *i != first && now[*i] < before[*i])
            .count();
        assert_eq!(dipped, 0, "after {:?}", world.now.since(killed));
    }
    assert_ne!(world.coordinator(), first);
    world.run_for(Duration::from_millis(3_100));
    let shares = world.shares();
    let alive: u32 = (0..5).filter(|i| *i != first).map(|i| shares[i]).sum();
    assert_eq!(alive, SLOTS);
}

#[test]
fn a_successor_counts_final_snapshots_that_arrived_before_their_workers_registered() {
    let mut world = World::new(3);
    world.submit(0);
    world.run_for(Duration::from_secs(3));
    let first = world.coordinator();
    world.dead[first] = true;
    world.finish_engines();
    world.run_for(Duration::from_secs(5));
    for i in (0..3).filter(|i| *i != first) {
        let ended = world.test(i).ended().expect("ended before its plan");
        assert_eq!(ended.reason, EndReason::Completed);
        let living = ended
            .roster
            .iter()
            .filter(|e| e.is_final && e.lost_at.is_none());
        assert_eq!(living.count(), 2);
    }
}

#[test]
fn a_stop_request_of_an_isolated_node_reaches_the_others_later() {
    let mut world = World::new(3);
    world.submit(0);
    world.run_for(Duration::from_secs(1));
    let alone = (0..3).find(|i| *i != world.coordinator()).expect("another");
    let order = StopOrder {
        graceful: true,
        timeout: Duration::from_millis(100),
    };
    let others: Vec<usize> = (0..3).filter(|i| *i != alone).collect();
    others.iter().for_each(|i| world.dead[*i] = true);
    world.input(alone, Input::StopTest(world.test, order));
    world.run_for(Duration::from_secs(3));
    assert!(world.test(alone).ended().is_some());
    others.iter().for_each(|i| world.dead[*i] = false);
    world.run_for(Duration::from_secs(5));
    for i in others {
        let ended = world.test(i).ended().expect("ended");
        assert_eq!(ended.reason, EndReason::Stopped);
    }
}

#[test]
fn a_snapshot_later_than_the_end_reaches_every_result() {
    let mut world = World::new(3);
    world.submit(0);
    world.run_for(Duration::from_secs(1));
    let cut = (0..3).find(|i| *i != world.coordinator()).expect("another");
    world.dead[cut] = true;
    let order = StopOrder {
        graceful: false,
        timeout: Duration::ZERO,
    };
    let stopper = world.coordinator();
    world.input(stopper, Input::StopTest(world.test, order));
    world.run_for(Duration::from_secs(5));
    assert!(world.test(stopper).ended().is_some());
    world.dead[cut] = false;
    world.run_for(Duration::from_secs(6));
    let seen = world.test(stopper).merge().workers();
    assert!(seen.get(&node(cut as u32)).is_some_and(|m| m.is_final));
    for i in 0..3 {
        assert_eq!(world.test(i).merge(), world.test(stopper).merge());
    }
}

#[test]
fn a_late_joiner_gets_a_share_and_the_sum_is_never_exceeded() {
    let mut world = World::new(4);
    world.dead[3] = true;
    let mut world = World {
        now: world.now + Duration::from_secs(20),
        ..world
    };
    world.run_for(Duration::from_millis(10));
    world.submit(0);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.shares()[3], 0);
    world.dead[3] = false;
    for _ in 0..400 {
        world.run_for(Duration::from_millis(10));
        assert!(world.shares().iter().sum::<u32>() <= SLOTS);
    }
    assert_eq!(world.shares(), [250_000; 4]);
}

#[test]
fn a_stop_from_any_node_ends_the_test_with_all_results() {
    let mut world = World::new(3);
    world.submit(0);
    world.run_for(Duration::from_secs(3));
    let stranger = (0..3).find(|i| *i != world.coordinator()).expect("another");
    let order = StopOrder {
        graceful: true,
        timeout: Duration::from_secs(1),
    };
    world.input(stranger, Input::StopTest(world.test, order));
    world.run_for(Duration::from_secs(1));
    for i in 0..3 {
        assert_eq!(
            world.test(i).ended().map(|e| &e.reason),
            Some(&EndReason::Stopped)
        );
        assert!(world.test(i).complete());
    }
}

#[test]
fn a_test_without_able_nodes_ends_with_their_reasons() {
    let mut world = World::new(3);
    for i in 0..3 {
        world
            .unable
            .insert(i, "not allowed: see --allow-target".into());
    }
    world.submit(1);
    world.run_for(Duration::from_secs(5));
    let ended = world.test(2).ended().expect("ended");
    let EndReason::Failed(why) = &ended.reason else {
        panic!("{:?}", ended.reason);
    };
    assert!(
        why.contains("no able worker") && why.contains("--allow-target"),
        "{why}"
    );
}

#[test]
fn a_leaving_node_returns_its_share_at_once() {
    let mut world = World::new(3);
    world.submit(0);
    world.run_for(Duration::from_secs(3));
    let leaver = (0..3).find(|i| *i != world.coordinator()).expect("another");
    let order = StopOrder {
        graceful: false,
        timeout: Duration::ZERO,
    };
    world.input(leaver, Input::Leave(order));
    world.run_for(Duration::from_millis(600));
    assert_eq!(world.shares()[leaver], 0);
    assert_eq!(world.shares().iter().sum::<u32>(), SLOTS);
}

#[test]
fn gossip_in_another_nodes_name_is_rejected() {
    let mut world = World::new(2);
    let message = Gossip::Advert(super::super::fakes::advert(7, 1).into());
    let author = node(1).peer;
    let outputs = world.nodes[0].handle(world.now, Input::Gossip { author, message });
    assert!(outputs.contains(&Output::Acceptance(Acceptance::Reject)));
}

/// Kills the coordinator three seconds after the submission, when all nodes have reported load.
fn without_its_coordinator(on_lost: OnLost) -> (World, usize, usize) {
    let mut world = World::new(5);
    world.on_lost = on_lost;
    world.submit(0);
    world.run_for(Duration::from_secs(3));
    for i in 0..5 {
        world.input(i, Input::Measured(world.test, measurement(10, false)));
    }
    let first = world.coordinator();
    world.dead[first] = true;
    let alive = (0..5).find(|i| *i != first).expect("four are left");
    (world, first, alive)
}

fn kinds_about(test: &TestRun, node: &NodeId) -> Vec<String> {
    let events = test.events();
    let about = events.iter().filter(|e| e.node.as_ref() == Some(node));
    about.map(|e| e.kind.to_string()).collect()
}

#[test]
fn a_dead_coordinator_is_shown_as_lost_on_every_node_while_the_test_runs() {
    let (mut world, first, alive) = without_its_coordinator(OnLost::Reassign);
    let dead = world.nodes[first].local().node.clone();
    world.run_for(Duration::from_millis(1_400));
    assert!(world.test(alive).lost().is_empty(), "it may still return");
    world.run_for(Duration::from_millis(3_100));
    for i in (0..5).filter(|i| *i != first) {
        let test = world.test(i);
        assert_eq!(test.lost().keys().collect::<Vec<_>>(), [&dead], "node {i}");
        let shown = ["elected", "registered", "lost"];
        let mut kinds = kinds_about(test, &dead);
        kinds.retain(|k| shown.contains(&k.as_str()));
        kinds.sort();
        assert_eq!(kinds, ["elected", "lost", "registered"], "node {i}");
        let elections = test.events().iter().filter(|e| e.kind == "elected").count();
        assert_eq!(elections, 2, "node {i}");
    }
    let so_far = world.test(alive).lost()[&dead];
    world.run_for(Duration::from_secs(6));
    world.finish_engines();
    world.run_for(Duration::from_secs(3));
    let ended = world.test(alive).ended().expect("an end");
    assert_eq!(ended.reason, EndReason::Completed);
    assert_eq!(world.test(alive).lost().get(&dead), Some(&so_far));
    assert_eq!(ended.events.iter().filter(|e| e.kind == "lost").count(), 1);
}

#[test]
fn under_fail_the_loss_of_the_coordinator_ends_the_test() {
    let (mut world, first, alive) = without_its_coordinator(OnLost::Fail);
    world.run_for(Duration::from_secs(5));
    world.finish_engines();
    world.run_for(Duration::from_secs(3));
    let ended = world.test(alive).ended().expect("an end");
    let name = format!("worker n{first} was lost");
    assert!(
        matches!(&ended.reason, EndReason::Failed(why) if why.contains(&name)),
        "{:?}",
        ended.reason
    );
}

/// The restarted node is another worker, which is not lost.
#[test]
fn a_restarted_coordinator_is_lost_and_its_new_incarnation_is_not() {
    let (mut world, first, alive) = without_its_coordinator(OnLost::Reassign);
    let dead = world.nodes[first].local().clone();
    let local = LocalNode {
        node: NodeId {
            incarnation: crate::protocol::Incarnation(dead.node.incarnation.0 + 1),
            ..dead.node.clone()
        },
        ..dead.clone()
    };
    world.nodes[first] = new_node(local.clone(), world.now);
    world.dead[first] = false;
    world.run_for(Duration::from_millis(6_000));
    let test = world.test(alive);
    assert_eq!(test.lost().keys().collect::<Vec<_>>(), [&dead.node]);
    assert!(world.shares()[first] > 0, "{:?}", world.shares());
    assert!(kinds_about(test, &local.node).contains(&"joined".to_owned()));
}

/// Delivers the advert of a node that runs a test, and returns the nodes that are asked about it.
fn asked_after_advert(node: &mut Node, now: Time, of: u32, number: u64) -> Vec<Peer> {
    let mut message = super::super::fakes::advert(of, number);
    message.tests.push(KnownTest {
        test: UNKNOWN,
        term: 1,
        coordinator: None,
        digest: super::super::id::Digest::of(b"a plan"),
    });
    let author = message.node.peer.clone();
    let message = Gossip::Advert(message.into());
    asked(node.handle(now, Input::Gossip { author, message }))
}

fn asked(outputs: Vec<Output>) -> Vec<Peer> {
    let sent = outputs.into_iter().filter_map(|o| match o {
        Output::Send(peer, Request::FetchAnnouncement(UNKNOWN)) => Some(peer),
        _ => None,
    });
    sent.collect()
}

#[test]
fn another_advertiser_of_an_unknown_test_is_asked_at_once_but_not_all_of_many() {
    let mut world = World::new(1);
    let node_ = &mut world.nodes[0];
    let at = |ms: i64| Time((1_000 + ms) * MS);
    assert_eq!(asked_after_advert(node_, at(0), 1, 1), [node(1).peer]);
    assert_eq!(asked_after_advert(node_, at(10), 2, 1), [node(2).peer]);
    assert_eq!(asked_after_advert(node_, at(20), 1, 2), [], "asked already");
    assert_eq!(asked_after_advert(node_, at(30), 3, 1), [node(3).peer]);
    assert_eq!(asked_after_advert(node_, at(40), 4, 1), [], "three suffice");
}

#[test]
fn an_unanswered_request_for_an_announcement_is_repeated_without_another_advert() {
    let mut world = World::new(1);
    let node_ = &mut world.nodes[0];
    let at = |ms: i64| Time((1_000 + ms) * MS);
    asked_after_advert(node_, at(0), 1, 1);
    asked_after_advert(node_, at(100), 2, 1);
    assert!(node_.next_wake() <= at(1_100));
    assert_eq!(asked(node_.handle(at(1_100), Input::Tick)), [node(1).peer]);
    assert_eq!(asked(node_.handle(at(2_100), Input::Tick)), [node(2).peer]);
    for ms in (2_200..9_000).step_by(100) {
        node_.handle(at(ms), Input::Tick);
    }
    let last = asked(node_.handle(at(9_000), Input::Tick));
    assert_eq!(last, [], "both advertisers are gone");
    assert_eq!(node_.unknown.next_wake(), Time::MAX);
}

fn beat(world: &World, of: u32, number: u64) -> TestMessage {
    let electorate = &world.test(0).announcement().electorate;
    let change = |b: &mut Beat| b.state = TestState::Registering;
    let beat = fakes::beat(world.test, (5, of, number), electorate, change);
    TestMessage::Beat(beat.into())
}

#[test]
fn an_acknowledgement_goes_to_the_coordinator_alone_or_is_gossiped_without_a_connection() {
    let mut world = World::new(3);
    world.submit(0);
    world.dead[1] = true;
    let mut acknowledge = |number, connected: bool| {
        let now = world.now;
        let message = Gossip::Test(beat(&world, 1, number));
        let elector = &mut world.nodes[0];
        let peer = node(1).peer;
        elector.handle(
            now,
            match connected {
                true => Input::Connected(peer.clone()),
                false => Input::Disconnected(peer.clone()),
            },
        );
        let input = Input::Gossip {
            author: peer,
            message,
        };
        elector.handle(now, input)
    };
    let is_ack = |m: &TestMessage| matches!(m, TestMessage::BeatAck { .. });
    let direct = acknowledge(1, true);
    assert!(direct.iter().any(
        |o| matches!(o, Output::Send(to, Request::Election(m)) if is_ack(m) && *to == node(1).peer)
    ));
    let gossiped = |o: &Output| matches!(o, Output::Publish(Gossip::Test(m)) if is_ack(m));
    assert!(!direct.iter().any(gossiped));
    assert!(acknowledge(2, false).iter().any(gossiped));
}

#[test]
fn a_direct_message_in_another_nodes_name_or_to_another_node_is_refused() {
    let mut world = World::new(3);
    world.submit(0);
    let (test, foreign) = (world.test, beat(&world, 1, 1));
    let ack = |coordinator, elector| TestMessage::BeatAck {
        test,
        term: 1,
        coordinator: node(coordinator),
        elector: node(elector),
        number: 1,
    };
    let mut send = |message| {
        let from = node(1).peer;
        let request = Request::Election(message);
        let outputs = world.nodes[0].handle(world.now, Input::Request { from, request });
        outputs.into_iter().find_map(|o| match o {
            Output::Reply(reply) => Some(reply),
            _ => None,
        })
    };
    assert_eq!(send(ack(0, 1)), Some(Reply::Noted));
    assert!(matches!(send(ack(0, 2)), Some(Reply::Refused(_))));
    assert!(matches!(send(ack(2, 1)), Some(Reply::Refused(_))));
    assert!(matches!(send(foreign), Some(Reply::Refused(_))));
}

#[test]
fn the_loss_of_the_majority_is_known_at_once_and_is_the_reason_of_the_end() {
    let mut world = World::new(3);
    world.submit(0);
    world.run_for(Duration::from_secs(3));
    let alone = (0..3).find(|i| *i != world.coordinator()).expect("another");
    let start = world.test(alone).start().expect("a start");
    (0..3)
        .filter(|i| *i != alone)
        .for_each(|i| world.dead[i] = true);
    let lost = world.now;
    world.run_for(Duration::from_secs(4));
    let test = world.test(alone);
    let since = test.no_coordinator_since(world.now).expect("none");
    assert!(since <= lost && lost.since(since) <= Duration::from_millis(250));
    let stopped = test.load_stopped_at(world.now).expect("no lease");
    assert!(stopped.since(lost) < Duration::from_millis(2_500));
    assert_eq!(test.silent_electors(world.now), Some((2, 3)));
    world.run_for(Duration::from_secs(10));
    let test = world.test(alone);
    let Some(EndReason::Failed(why)) = test.ended().map(|e| &e.reason) else {
        panic!("{:?}", test.ended());
    };
    assert!(
        why.contains("2 of 3 nodes that may vote cannot be reached"),
        "{why}"
    );
    assert!(why.contains("the load stopped at"), "{why}");
    let end = test.ended_at().expect("an end").since(start);
    assert!(
        end < Duration::from_millis(10_000 + 1_000 + 2_560),
        "{end:?}"
    );
    assert!(test.events().iter().any(|e| e.kind == "no_coordinator"));
}

#[test]
fn a_lost_worker_that_delivers_its_final_snapshot_after_the_end_is_not_lost() {
    let mut world = World::new(3);
    world.submit(0);
    world.run_for(Duration::from_secs(1));
    let cut = (0..3).find(|i| *i != world.coordinator()).expect("another");
    world.input(cut, Input::Measured(world.test, measurement(10, false)));
    world.dead[cut] = true;
    world.run_for(Duration::from_secs(4));
    let order = StopOrder {
        graceful: false,
        timeout: Duration::ZERO,
    };
    let stopper = world.coordinator();
    world.input(stopper, Input::StopTest(world.test, order));
    world.run_for(Duration::from_secs(4));
    let lost = node(cut as u32);
    assert!(world.test(stopper).lost().contains_key(&lost));
    world.dead[cut] = false;
    world.run_for(Duration::from_secs(6));
    for i in 0..3 {
        assert_eq!(world.test(i).lost(), BTreeMap::new(), "node {i}");
    }
}

/// Times in milliseconds at which a node publishes adverts, with these inputs at these times.
fn adverts(until_ms: i64, mut inputs: Vec<(i64, Input)>) -> Vec<i64> {
    let mut node = lone_node();
    let mut times = Vec::new();
    for ms in 0..until_ms {
        let now = Time(ms * 1_000_000);
        let mut outputs = Vec::new();
        while inputs.first().is_some_and(|(at, _)| *at == ms) {
            outputs.extend(node.handle(now, inputs.remove(0).1));
        }
        if node.next_wake() <= now {
            outputs.extend(node.handle(now, Input::Tick));
        }
        let is_advert = |o: &Output| matches!(o, Output::Publish(Gossip::Advert(_)));
        times.extend(outputs.iter().filter(|o| is_advert(o)).map(|_| ms));
    }
    times
}

fn lone_node() -> Node {
    let local = LocalNode {
        node: super::super::fakes::node(1),
        name: "n1".into(),
        version: "0".into(),
        capacity: 10,
        task_types: vec!["SLEEP".into()],
        labels: Default::default(),
        environment: String::new(),
    };
    new_node(local, Time(0))
}

#[test]
fn an_idle_node_advertises_every_ten_seconds_after_the_first_few() {
    let times = adverts(60_000, Vec::new());
    assert_eq!(times[..5], [0, 2_000, 4_000, 6_000, 8_000]);
    assert_eq!(times[5..], [18_000, 28_000, 38_000, 48_000, 58_000]);
}

#[test]
fn one_advert_serves_all_nodes_that_join_within_a_second() {
    let joins = (0..100).map(|i| {
        let peer = super::super::fakes::node(100 + i).peer;
        (40_000 + i64::from(i) * 10, Input::Connected(peer))
    });
    let times = adverts(45_000, joins.collect());
    let after: Vec<i64> = times.into_iter().filter(|at| *at >= 40_000).collect();
    assert_eq!(after, [40_100, 41_100]);
}
