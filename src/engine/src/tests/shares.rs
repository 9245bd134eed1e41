//! Changes of the share, and of the lease, while the load runs.

use super::recording::{recording, recording_of, recording_of_any};
use super::*;
use vajra_plan::{Owned, Profile, SLOTS, Stage, StageType, Users, owns};

/// More permits than any test needs.
const UNLIMITED: usize = 1 << 40;

fn plan(load: Load) -> Plan {
    Plan::new(Task::Sleep { ms: 0 }, load)
}

#[tokio::test]
async fn removed_users_finish_their_request_and_are_released_singly() {
    let load = Load::closed(8, 60 * SECOND);
    let users = Users::of(&Profile::of(&load));
    let (bench, requests) = recording(load, 2, 0);
    bench.go(Slots::whole());
    bench.until(|c| c.in_flight == 8).await;
    let (kept, removed) = (Slots::range(0, SLOTS / 2), Slots::range(SLOTS / 2, SLOTS));
    let change = bench.share(kept.clone());
    let held = bench.until_held(|h| h.change == change).await;
    assert_eq!(held.draining, removed, "four users are at work");
    let mut before = held.draining;
    for done in 1..=20 {
        requests.permits.add_permits(1);
        let c = bench
            .until(|c| c.ok == done && c.sent == c.ok + c.in_flight)
            .await;
        assert!(c.in_flight >= 4, "a user of the share stopped: {c:?}");
        let draining = c.in_flight as u32 - 4;
        let held = bench
            .until_held(|h| users.count_in(&h.draining) == draining)
            .await;
        assert!(before.contains_all(&held.draining));
        before = held.draining;
    }
    assert!(before.is_empty(), "all have finished: {before:?}");
    let arrivals = requests.arrivals();
    let later = arrivals[8..].iter().filter_map(|a| a.user);
    assert!(
        later
            .map(|u| users.slot_of(u).unwrap())
            .all(|s| kept.contains(s)),
        "a removed user sent again: {arrivals:?}"
    );
    assert_eq!(bench.now().await.counters.sent, 24);
}

#[tokio::test]
async fn a_user_that_returns_while_it_drains_continues() {
    let (bench, requests) = recording(Load::closed(6, 60 * SECOND), 2, 0);
    bench.go(Slots::whole());
    bench.until(|c| c.in_flight == 6).await;
    bench.share(Slots::EMPTY);
    bench.until_held(|h| h.draining == Slots::whole()).await;
    let change = bench.share(Slots::whole());
    let held = bench.until_held(|h| h.change == change).await;
    assert!(held.draining.is_empty());
    tokio::time::sleep(ms(50)).await;
    assert_eq!(bench.now().await.counters.sent, 6, "a user runs twice");
    requests.permits.add_permits(12);
    let c = bench.until(|c| c.ok == 12 && c.sent == 18).await;
    assert_eq!(c.in_flight, 6);
}

#[tokio::test]
async fn removed_users_are_interrupted_after_the_graceful_timeout() {
    let mut plan = plan(Load::closed(6, 2 * SECOND));
    plan.swarm.graceful_timeout = Some(ms(150));
    let (mut bench, requests) = recording_of(plan, 2, 0);
    bench.go(Slots::whole());
    bench.until(|c| c.in_flight == 6).await;
    let removed_at = bench.clock.now();
    bench.share(Slots::range(0, SLOTS / 2));
    bench
        .until_held(|h| h.change == 2 && h.draining.is_empty())
        .await;
    let interrupted = requests.interrupted();
    assert_eq!(interrupted.len(), 3, "{interrupted:?}");
    assert!(
        interrupted
            .iter()
            .all(|at| *at >= removed_at.plus_ns(150_000_000))
    );
    let c = bench.now().await.counters;
    assert_eq!((c.abandoned, c.in_flight), (3, 3), "{c:?}");
    requests.permits.add_permits(UNLIMITED);
    let c = bench.end().await.counters;
    assert_eq!(c.abandoned, 3);
    assert_eq!(bench.run.held().draining, Slots::EMPTY);
}

#[tokio::test]
async fn users_without_a_request_leave_at_once() {
    let load = Load {
        think_time: vajra_plan::ThinkTime::Constant(30 * SECOND),
        ..Load::closed(6, 60 * SECOND)
    };
    let (bench, _) = recording(load, 2, 6);
    bench.go(Slots::whole());
    bench.until(|c| c.ok == 6).await;
    let change = bench.share(Slots::EMPTY);
    let held = bench.until_held(|h| h.change == change).await;
    assert!(held.draining.is_empty(), "{held:?}");
}

/// Of a test that ends while removed users are at work nothing stays held.
#[tokio::test]
async fn at_the_end_of_a_run_nothing_is_held() {
    let (mut bench, _) = recording(Load::closed(6, 60 * SECOND), 2, 0);
    bench.go(Slots::whole());
    bench.until(|c| c.in_flight == 6).await;
    bench.share(Slots::EMPTY);
    bench.run.stop(StopMode::Now);
    let c = bench.end().await.counters;
    assert_eq!(c.abandoned, 6, "{c:?}");
    let held = bench.run.held();
    assert_eq!((held.change, held.draining), (2, Slots::EMPTY));
    bench.share(Slots::whole());
    assert_eq!(bench.run.held().change, 3, "nobody is left to apply it");
}

#[tokio::test]
async fn users_that_arrive_after_the_start_begin_spread() {
    let (bench, requests) = recording(Load::closed(60, 60 * SECOND), 2, 0);
    bench.go(Slots::range(0, SLOTS / 3));
    bench.until(|c| c.sent == 20).await;
    let from = bench.clock.now();
    bench.share(Slots::whole());
    let mut sent = Vec::new();
    for part in [250, 500, 750, 1_100] {
        while bench.clock.now() < from.plus_ns(part * 1_000_000) {
            tokio::time::sleep(ms(1)).await;
        }
        sent.push(requests.arrivals().len() - 20);
    }
    // Without a ramp the 40 users begin within a second.
    for (sent, fair) in sent.iter().zip([10, 20, 30, 40]) {
        assert!(sent.abs_diff(fair) <= 4, "{sent} of {fair}");
    }
    assert_eq!(sent[3], 40);
}

/// The arrivals of a profile that a share owns, of those due from a time on.
fn arrivals_of(load: &Load, slots: &Slots, from: Duration) -> Vec<u64> {
    let profile = Profile::of(load);
    let first = profile.first_arrival_from_ns(from.as_nanos() as u64);
    let owned = (first..profile.numbers()).filter(|k| owns(slots, *k));
    owned.collect()
}

#[tokio::test]
async fn arrivals_of_added_slots_are_not_sent_before_the_floor() {
    let load = Load::open(1_000.0, SECOND);
    let (kept, added) = (Slots::range(0, 300_000), Slots::range(300_000, 700_000));
    let floor = ms(600);
    let mut expected = arrivals_of(&load, &kept, Duration::ZERO);
    expected.extend(arrivals_of(&load, &added, floor));
    expected.sort_unstable();
    let (mut bench, requests) = recording(load, 3, UNLIMITED);
    bench.go(kept.clone());
    bench.until(|c| c.planned >= 50).await;
    bench.share_from(kept.union(&added), floor);
    let c = bench.end().await.counters;
    assert_eq!(
        (c.dropped(), c.planned),
        (0, expected.len() as u64),
        "{c:?}"
    );
    assert_eq!(requests.numbers(), expected);
}

/// Arrivals before the floor are not this node's, so it does not count them as dropped either.
#[tokio::test]
async fn arrivals_before_the_floor_are_not_counted_in_a_gap_of_the_lease() {
    let load = Load::open(1_000.0, SECOND);
    let (kept, added) = (Slots::range(0, 300_000), Slots::range(300_000, 700_000));
    let expected =
        Owned::new(kept.clone()).count(0, 1_000) + arrivals_of(&load, &added, ms(600)).len() as u64;
    let (mut bench, _) = recording(load, 2, UNLIMITED);
    let start = bench.go(kept.clone());
    bench.run.set_lease(start.plus_ns(200_000_000));
    bench.share_from(kept.union(&added), ms(600));
    bench.until(|c| c.dropped_lease >= 200).await;
    bench.run.set_lease(bench.after(60 * SECOND));
    let c = bench.end().await.counters;
    assert_eq!(c.planned, expected, "{c:?}");
    assert!(c.dropped_lease > 0 && c.ok > 0, "{c:?}");
}

/// Slots move between two nodes and between the threads of each, again and again.
#[tokio::test]
async fn changes_of_the_share_send_no_arrival_twice_and_lose_none_that_stays() {
    let load = Load::open(4_000.0, 2 * SECOND);
    let (mut a, seen_a) = recording(load.clone(), 2, UNLIMITED);
    let (mut b, seen_b) = recording(load.clone(), 3, UNLIMITED);
    let start = a.after(ms(30));
    for bench in [&a, &b] {
        bench.run.set_lease(bench.after(60 * SECOND));
        bench.run.set_start(start);
    }
    // Nodes keep these all the time.
    let (of_a, of_b) = (Slots::range(0, 200_000), Slots::range(800_000, SLOTS));
    let moving = Slots::range(200_000, 800_000);
    a.share(of_a.union(&moving));
    b.share(of_b.clone());
    let mut from_a = true;
    while a.clock.now() < start.plus_ns(1_800_000_000) {
        tokio::time::sleep(ms(3)).await;
        let (loser, winner, rest, gain) = match from_a {
            true => (&a, &b, &of_a, &of_b),
            false => (&b, &a, &of_b, &of_a),
        };
        let change = loser.share(rest.clone());
        let held = loser.until_held(|h| h.change == change).await;
        winner.share_from(gain.union(&moving), held.handled_until);
        from_a = !from_a;
    }
    let (end_a, end_b) = (a.end().await.counters, b.end().await.counters);
    assert_eq!((end_a.dropped(), end_b.dropped()), (0, 0));
    let (numbers_a, numbers_b) = (seen_a.numbers(), seen_b.numbers());
    let stays = |slots: &Slots| arrivals_of(&load, slots, Duration::ZERO);
    assert!(
        stays(&of_a)
            .iter()
            .all(|k| numbers_a.binary_search(k).is_ok())
    );
    assert!(
        stays(&of_b)
            .iter()
            .all(|k| numbers_b.binary_search(k).is_ok())
    );
    let mut all = [numbers_a, numbers_b].concat();
    all.sort_unstable();
    let sent = all.len();
    all.dedup();
    assert_eq!(sent, all.len(), "an arrival was sent twice");
    let kept = stays(&of_a).len() + stays(&of_b).len();
    assert!(
        sent > kept + 1_200,
        "the moving slots send too little: {sent}"
    );
}

#[tokio::test]
async fn requests_in_flight_are_interrupted_before_the_lease_ends() {
    let (mut bench, requests) = recording(Load::closed(8, 4 * SECOND), 2, 0);
    bench.go(Slots::whole());
    bench.until(|c| c.in_flight == 8).await;
    let removed = bench.share(Slots::range(0, SLOTS / 2));
    bench.until_held(|h| h.change == removed).await;
    let (mut interrupted, mut in_time) = (0, 0);
    for in_flight in [8, 4, 4] {
        bench.until(|c| c.in_flight == in_flight).await;
        let until = bench.after(ms(150));
        bench.run.set_lease(until);
        interrupted += in_flight;
        let c = bench.until(|c| c.abandoned == interrupted).await;
        assert_eq!((c.in_flight, c.dropped()), (0, 0), "{c:?}");
        let times = requests.interrupted();
        assert_eq!(times.len() as u64, interrupted);
        in_time += u32::from(times.iter().all(|at| *at < until));
        assert!(bench.run.held().draining.is_empty());
        tokio::time::sleep(ms(100)).await;
        assert_eq!(requests.arrivals().len() as u64, interrupted);
        bench.run.set_lease(bench.after(60 * SECOND));
    }
    // A thread without CPU time can be late.
    assert!(in_time >= 1, "always too late");
    bench.until(|c| c.in_flight == 4).await;
    requests.permits.add_permits(UNLIMITED);
    let c = bench.end().await.counters;
    assert_eq!((c.abandoned, c.dropped()), (16, 0), "{c:?}");
}

#[tokio::test]
async fn a_renewed_lease_interrupts_nothing() {
    let (bench, requests) = recording(Load::closed(4, 60 * SECOND), 2, 0);
    bench.go(Slots::whole());
    bench.until(|c| c.in_flight == 4).await;
    bench.run.set_lease(bench.after(ms(200)));
    for _ in 0..8 {
        tokio::time::sleep(ms(50)).await;
        bench.run.set_lease(bench.after(ms(200)));
    }
    assert!(requests.interrupted().is_empty());
    bench.run.set_lease(LeaseInstant::MAX);
    assert_eq!(bench.now().await.counters.in_flight, 4);
}

#[tokio::test]
async fn grants_in_small_pieces_send_each_number_once() {
    let load = Load {
        requests: Some(333),
        ..Load::closed(20, 60 * SECOND)
    };
    let (mut bench, requests) = recording(load, 3, UNLIMITED);
    bench.go_without_numbers(Slots::whole());
    let mut from = 0;
    while from < 333 {
        let to = (from + 7).min(333);
        bench.run.add_numbers(&Numbers::range(from, to), false);
        bench.until_held(|h| h.unused.is_empty()).await;
        from = to;
    }
    let c = bench.until(|c| c.ok == 333).await;
    assert_eq!((c.sent, c.in_flight), (333, 0));
    bench.run.add_numbers(&Numbers::EMPTY, true);
    let c = bench.end().await.counters;
    assert_eq!((c.planned, c.ok), (333, 333));
    assert!(requests.numbers().into_iter().eq(0..333));
}

#[tokio::test]
async fn unused_numbers_are_returned_by_threads_without_users_and_at_the_end() {
    let load = Load {
        requests: Some(1_000),
        ..Load::closed(4, 60 * SECOND)
    };
    let (mut bench, requests) = recording(load, 2, 0);
    bench.run.add_numbers(&Numbers::range(500, 600), false);
    bench.go_without_numbers(Slots::whole());
    bench.until(|c| c.in_flight == 4).await;
    bench.share(Slots::EMPTY);
    let held = bench.until_held(|h| h.unused.len() == 96).await;
    let used = Numbers::range(500, 600).difference(&held.unused);
    assert!(requests.numbers().iter().all(|n| used.contains(*n)));
    bench.share(Slots::whole());
    requests.permits.add_permits(10);
    bench.until(|c| c.ok == 10 && c.in_flight == 4).await;
    bench.run.stop(StopMode::Now);
    bench.end().await;
    let held = bench.run.held();
    let used = Numbers::range(500, 600).difference(&held.unused);
    assert_eq!(used.len(), 14);
    assert!(requests.numbers().iter().all(|n| used.contains(*n)));
}

/// Numbers of a thread whose users are idle are used by those of others.
#[tokio::test]
async fn an_idle_thread_keeps_no_numbers() {
    let stage = |target: f64, length| Stage {
        kind: StageType::Sustain,
        target: Some(target),
        length,
        steps: None,
    };
    let load = Load {
        requests: Some(60),
        think_time: vajra_plan::ThinkTime::Constant(ms(20)),
        stages: vec![stage(4.0, ms(100)), stage(1.0, 60 * SECOND)],
        ..Load::closed(4, 60 * SECOND + ms(100))
    };
    let (mut bench, requests) = recording(load, 4, UNLIMITED);
    bench.go(Slots::whole());
    assert_eq!(bench.end().await.counters.ok, 60);
    assert!(requests.numbers().into_iter().eq(0..60));
}

/// A late joiner of a test that is older than the machine's uptime.
#[tokio::test]
async fn a_profile_that_started_before_this_machine_runs_its_current_part() {
    let stage = |target: f64, length| Stage {
        kind: StageType::Sustain,
        target: Some(target),
        length,
        steps: None,
    };
    let start = LeaseInstant(-5_000_000_000);
    let elapsed = Duration::from_nanos(LeaseClock::new().now().ns_since(start));
    // The plan may be longer than those that users may write.
    let load = Load {
        stages: vec![stage(5_000.0, elapsed + ms(300)), stage(200.0, SECOND)],
        ..Load::open(5_000.0, elapsed + ms(1_300))
    };
    let mut run = recording_of_any(plan(load), 2, UNLIMITED);
    let bench = &mut run.0;
    bench.run.set_lease(bench.after(60 * SECOND));
    bench.run.set_start(start);
    let joined = Duration::from_nanos(bench.clock.now().ns_since(start));
    bench.share(Slots::whole());
    let c = bench.end().await.counters;
    let fast = (elapsed + ms(300)).saturating_sub(joined).as_secs_f64() * 5_000.0;
    assert!((200..=200 + fast as u64 + 1).contains(&c.planned), "{c:?}");
    assert_eq!(c.ok + c.dropped_late, c.planned, "{c:?}");
}
