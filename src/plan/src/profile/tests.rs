#![allow(clippy::unwrap_used)]
use super::*;
use crate::{Arrivals, StageType};

const NS: f64 = 1e9;

fn open(rate: f64, warm_up: u64, ramp_up: u64, duration: u64) -> Load {
    Load {
        rate: Some(rate),
        warm_up: Duration::from_secs(warm_up),
        ramp_up: Duration::from_secs(ramp_up),
        ..Load::open(rate, Duration::from_secs(duration))
    }
}

#[test]
fn a_constant_rate_spaces_arrivals_evenly() {
    let p = Profile::of(&open(1000.0, 0, 0, 10));
    assert_eq!(p.total_arrivals(), Some(10_000));
    assert_eq!(p.arrival_ns(0), 500_000);
    assert_eq!(p.arrival_ns(9_999), 9_999_500_000);
    assert_eq!(p.arrival_ns(10_000), 10_000_000_000);
}

#[test]
fn stages_follow_each_other_at_their_levels() {
    let p = Profile::of(&open(1000.0, 2, 10, 5));
    let s = Duration::from_secs;
    assert_eq!(p.rate_at(s(1)), 100.0);
    assert_eq!(p.rate_at(s(7)), 550.0);
    assert_eq!(p.rate_at(s(12)), 1000.0);
    assert_eq!(p.rate_at(s(17)), 0.0);
    assert_eq!(p.total_arrivals(), Some(200 + 5_500 + 5_000));
    assert_eq!((p.warm_up_end(), p.end()), (s(2), s(17)));
}

/// The closed form agrees with a midpoint sum over microsteps.
#[test]
fn a_ramp_agrees_with_numeric_integration() {
    let p = Profile::of(&open(400.0, 1, 3, 1));
    let step = 10_000;
    let (mut sum, mut t, mut k) = (0.0, 0, 0);
    while t < 5_000_000_000u64 {
        sum += p.rate_at(Duration::from_nanos(t + step / 2)) * step as f64 / NS;
        t += step;
        while k as f64 + 0.5 < sum - 1e-6 {
            let due = p.arrival_ns(k);
            assert!(
                due <= t && due + 2 * step >= t,
                "arrival {k} at {due}, not near {t}"
            );
            k += 1;
        }
        let exact = p.integral(Duration::from_nanos(t));
        assert!((exact - sum).abs() < 1e-6, "{exact} {sum}");
    }
    assert_eq!(Some(k), p.total_arrivals());
}

#[test]
fn due_times_stay_exact_at_the_end_of_the_largest_plan() {
    let day = 24 * 3600;
    let p = Profile::of(&open(1e6, day, day, day));
    let total = p.total_arrivals().unwrap();
    assert_eq!(total, 86_400 * (100_000 + 550_000 + 1_000_000));
    let last = p.arrival_ns(total - 1);
    assert!(p.end().as_nanos() as u64 - 500 - last < 100, "{last}");
    for k in (0..total).step_by(total as usize / 997) {
        let (a, b) = (p.arrival_ns(k), p.arrival_ns(k + 1));
        let rate = p.rate_at(Duration::from_nanos(a));
        assert!((((b - a) as f64) - NS / rate).abs() < 200.0, "{k}: {a} {b}");
    }
}

#[test]
fn the_first_arrival_from_a_time_is_the_inverse_of_due_times() {
    let p = Profile::of(&open(777.0, 1, 2, 1));
    for k in [0, 1, 76, 77, 78, 400, 1500] {
        let due = p.arrival_ns(k);
        assert_eq!(p.first_arrival_from_ns(due), k);
        assert_eq!(p.first_arrival_from_ns(due + 1), k + 1);
    }
    assert_eq!(
        p.first_arrival_from_ns(u64::MAX / 2),
        p.total_arrivals().unwrap()
    );
}

#[test]
fn requests_cap_the_total_and_end_the_arrivals() {
    let p = Profile::of(&Load {
        requests: Some(10),
        ..open(100.0, 0, 0, 60)
    });
    assert_eq!(p.total_arrivals(), Some(10));
    assert_eq!(p.last_due(), Duration::from_millis(95));
    let more = Profile::of(&Load {
        requests: Some(10_000),
        ..open(100.0, 0, 0, 60)
    });
    assert_eq!(
        (more.total_arrivals(), more.last_due()),
        (Some(6_000), more.end())
    );
}

#[test]
fn users_start_along_the_ramp() {
    let s = Duration::from_secs;
    let p = Profile::of(&Load {
        warm_up: s(1),
        ramp_up: s(9),
        ..Load::closed(10, s(5))
    });
    assert_eq!(p.users_at(s(0)), 1);
    assert_eq!(p.users_at(s(12)), 10);
    assert_eq!(p.users_at(s(15)), 0);
    assert_eq!(p.rate_at(s(12)), 0.0);
    for user in 0..10 {
        let at = p.user_from_ns(user, 0).unwrap();
        assert!(p.users_at(Duration::from_nanos(at)) > user);
        assert!(
            at == 0 || p.users_at(Duration::from_nanos(at - 1000)) <= user,
            "{user}"
        );
    }
    assert_eq!(p.user_from_ns(10, 0), None);
}

fn stage(kind: StageType, target: f64, seconds: u64) -> crate::Stage {
    crate::Stage {
        kind,
        target: Some(target),
        length: Duration::from_secs(seconds),
        steps: None,
    }
}

#[test]
fn users_stop_where_the_level_falls_and_return_where_it_rises() {
    let second = 1_000_000_000;
    let p = Profile::of(&Load {
        stages: vec![
            stage(StageType::Ramp, 10.0, 10),
            stage(StageType::RampDown, 0.0, 10),
            stage(StageType::Spike, 5.0, 10),
        ],
        ..Load::closed(10, Duration::from_secs(30))
    });
    assert_eq!(p.user_from_ns(7, 0), Some(7_500_000_000));
    assert_eq!(p.user_from_ns(7, 12 * second), Some(12 * second));
    assert_eq!(p.user_from_ns(7, 13 * second), None, "ended below 8 users");
    assert_eq!(p.user_from_ns(4, 18 * second), Some(20 * second));
    assert_eq!(p.user_from_ns(0, 29 * second), Some(29 * second));
    assert_eq!(p.user_from_ns(0, 30 * second), None);
    for user in 0..10 {
        let mut at = 0;
        while let Some(next) = p.user_from_ns(user, at) {
            assert!(
                p.users_at(Duration::from_nanos(next)) > user,
                "{user} at {next}"
            );
            at = next + second / 10;
        }
    }
}

#[test]
fn a_stage_without_load_has_no_arrivals() {
    let p = Profile::of(&Load {
        stages: vec![
            stage(StageType::Sustain, 0.0, 1),
            stage(StageType::Sustain, 100.0, 1),
            stage(StageType::Sustain, 0.0, 1),
            stage(StageType::Ramp, 100.0, 2),
        ],
        ..Load::open(100.0, Duration::from_secs(5))
    });
    assert_eq!(p.total_arrivals(), Some(200));
    // The ramp's first: half an arrival is 100/s ÷ 2 s × t² ÷ 2.
    for (k, due) in [
        (0, 1_005_000_000),
        (99, 1_995_000_000),
        (100, 3_141_421_356),
    ] {
        assert!(
            p.arrival_ns(k).abs_diff(due) < 10,
            "{k}: {}",
            p.arrival_ns(k)
        );
    }
    assert!((0..199).all(|k| p.arrival_ns(k) < p.arrival_ns(k + 1)));
}

#[test]
fn poisson_arrivals_are_found_by_number_and_by_time() {
    let p = Profile::of(&Load {
        arrivals: Arrivals::Poisson,
        requests: Some(4_000),
        ..open(1000.0, 1, 3, 2)
    });
    assert_eq!(p.total_arrivals(), Some(3_750));
    let due: Vec<u64> = (0..3_750).map(|k| p.arrival_ns(k)).collect();
    assert!(due.is_sorted());
    for (k, t) in due.iter().enumerate() {
        assert!(p.first_arrival_from_ns(*t) <= k as u64);
        assert!(p.first_arrival_from_ns(t + 1) > k as u64);
    }
}

fn change(at: f64, what: Change) -> LoadChange {
    LoadChange {
        at: Duration::from_secs_f64(at),
        lag: Duration::from_millis(2_500),
        what,
    }
}

const S: u64 = 1_000_000_000;

#[test]
fn arrivals_before_a_change_stay_and_the_rest_follow_the_new_level() {
    let load = open(500.0, 0, 0, 10);
    let plain = Profile::of(&load);
    let p = Profile::changed(&load, &[change(4.0, Change::Level(1_500.0))]);
    assert!((0..2_000).all(|k| p.arrival_ns(k) == plain.arrival_ns(k)));
    assert_eq!(p.total_arrivals(), Some(2_000 + 9_000));
    assert_eq!(p.rate_at(Duration::from_secs(3)), 500.0);
    assert_eq!(p.rate_at(Duration::from_secs(5)), 1_500.0);
    assert_eq!(p.first_arrival_from_ns(5 * S), 3_501);
    let gaps: Vec<_> = p.gaps().map(|g| (g.start, g.end)).collect();
    assert_eq!(gaps, [(2_000, 2_001)], "no node can have used more numbers");
    assert_eq!(p.end(), plain.end());
}

#[test]
fn numbers_are_skipped_where_the_load_decreases() {
    let load = open(1_000.0, 0, 0, 10);
    let p = Profile::changed(&load, &[change(4.0, Change::Level(100.0))]);
    let gaps: Vec<_> = p.gaps().map(|g| (g.start, g.end)).collect();
    assert_eq!(gaps, [(4_000, 6_500)], "2.5 s of the previous load");
    assert_eq!(p.total_arrivals(), Some(4_000 + 600));
    assert_eq!(p.numbers(), 6_500 + 600);
    assert_eq!(p.arrival_ns(6_500), 4 * S + 5_000_000);
    assert_eq!(
        (p.nth(3_999), p.nth(4_000), p.nth(4_599)),
        (3_999, 6_500, 7_099)
    );
    assert_eq!(p.due_before_ns(5 * S), 4_100);
    assert_eq!(p.first_arrival_from_ns(4 * S), 6_500);
}

#[test]
fn a_node_that_learns_of_a_change_late_uses_no_number_twice() {
    let loads = [
        open(20.0, 1, 2, 5),
        open(33.0, 0, 6, 1),
        Load {
            arrivals: Arrivals::Poisson,
            ..open(20.0, 0, 0, 10)
        },
    ];
    let levels = [20.0, 7.0, 20.0, 41.0, 41.0, 33.0];
    for (load, first) in loads.iter().zip([3.0, 3.017, 3.029]) {
        for (i, level) in levels.iter().enumerate() {
            let before = [change(1.0 + i as f64 / 10.0, Change::Level(20.0))];
            let after = [before[0], change(first, Change::Level(*level))];
            let before = Profile::changed(load, &before);
            let after = Profile::changed(load, &after);
            for late_ms in (0..2_500).step_by(10) {
                let t = (first * 1e9) as u64 + late_ms * 1_000_000;
                let used = before.first_arrival_from_ns(t);
                let next = after.first_arrival_from_ns(t);
                assert!(next >= used, "{late_ms} ms late to {level}: {used} {next}");
            }
        }
    }
}

#[test]
fn a_pause_delays_the_plan_and_its_end() {
    let load = Load {
        stages: vec![
            stage(StageType::Ramp, 100.0, 10),
            stage(StageType::Sustain, 100.0, 10),
        ],
        ..Load::open(100.0, Duration::from_secs(20))
    };
    let hour = Duration::from_secs(3600);
    let pause = change(5.0, Change::Pause(hour));
    let p = Profile::changed(&load, &[pause]);
    assert_eq!(p.rate_at(Duration::from_secs(6)), 0.0);
    assert_eq!(p.end(), Duration::from_secs(20) + hour);
    assert_eq!(p.last_due(), p.end());
    let p = Profile::changed(&load, &[pause, change(8.0, Change::Resume)]);
    assert_eq!(p.end(), Duration::from_secs(23));
    assert_eq!(p.rate_at(Duration::from_secs(8)), 50.0);
    assert_eq!(p.rate_at(Duration::from_secs(13)), 100.0);
    assert_eq!(p.total_arrivals(), Some(1_500));
    assert_eq!(p.due_before_ns(8 * S), 125);
}

#[test]
fn a_change_keeps_the_number_of_requests() {
    let load = Load {
        requests: Some(3_000),
        ..open(1_000.0, 0, 0, 10)
    };
    let p = Profile::changed(&load, &[change(1.0, Change::Level(2_000.0))]);
    assert_eq!(p.total_arrivals(), Some(3_000));
    assert!(p.last_due() < Duration::from_secs(2) && p.last_due() > Duration::from_millis(1_998));
}

#[test]
fn poisson_arrivals_before_a_change_stay() {
    let load = Load {
        arrivals: Arrivals::Poisson,
        ..open(1_000.0, 0, 0, 10)
    };
    let plain = Profile::of(&load);
    let p = Profile::changed(&load, &[change(4.0, Change::Level(2_000.0))]);
    let before = plain.first_arrival_from_ns(4 * S);
    assert!((0..before).all(|k| p.arrival_ns(k) == plain.arrival_ns(k)));
    let due: Vec<u64> = (0..p.numbers()).map(|k| p.arrival_ns(k)).collect();
    assert!(due.is_sorted());
    assert_eq!(p.total_arrivals(), Some(before + 12_000));
}

#[test]
fn an_open_pause_delays_the_end_by_its_duration() {
    let load = Load::open(10.0, Duration::from_secs(10));
    let change = |at, what| LoadChange {
        at: Duration::from_secs(at),
        lag: Duration::ZERO,
        what,
    };
    let pause = change(4, Change::Pause(Duration::from_secs(3600)));
    let paused = Profile::changed(&load, std::slice::from_ref(&pause));
    let ends = |p: &Profile, at| p.end_if_resumed(Duration::from_secs(at)).as_secs();
    assert_eq!((ends(&paused, 4), ends(&paused, 9)), (10, 15));
    assert_eq!(ends(&paused, 1_000_000), paused.end().as_secs());
    let resumed = Profile::changed(&load, &[pause, change(9, Change::Resume)]);
    assert_eq!((ends(&resumed, 9), ends(&resumed, 12)), (15, 15));
}

#[test]
fn changes_start_and_stop_users() {
    let load = Load::closed(10, Duration::from_secs(10));
    let p = Profile::changed(
        &load,
        &[
            change(2.0, Change::Level(30.0)),
            change(4.0, Change::Pause(Duration::from_secs(60))),
            change(6.0, Change::Resume),
            change(8.0, Change::Level(5.0)),
        ],
    );
    let users = |s| p.users_at(Duration::from_secs(s));
    assert_eq!(
        [users(1), users(3), users(5), users(7), users(9)],
        [10, 30, 0, 30, 5]
    );
    assert_eq!(p.user_from_ns(20, 0), Some(2 * S));
    assert_eq!(p.user_from_ns(20, 5 * S), Some(6 * S));
    assert_eq!(p.user_from_ns(20, 9 * S), None);
    assert_eq!((p.peak(), p.end()), (30.0, Duration::from_secs(12)));
}

#[test]
fn an_active_user_is_active_at_every_nanosecond() {
    let p = Profile::of(&Load::closed(10, Duration::from_secs(100_000)));
    for i in 0..10_000 {
        let from = i * 8_640_000_007 + i;
        assert_eq!(p.user_from_ns(9, from), Some(from));
    }
}
