//! Comparisons of two tests.
use vajra_fixtures::results::{self as fixture, Shape};
use vajra_results::Verdict;
use vajra_results::compare::*;
use vajra_results::result_file::ResultFile;

fn of(shape: Shape) -> ResultFile {
    let (result, timeline) = fixture::run(shape);
    ResultFile {
        timeline: Some(timeline),
        ..ResultFile::of(result)
    }
}

fn metric<'a>(of: &'a Comparison, name: &str) -> &'a Compared {
    of.metrics.iter().find(|m| m.metric == name).unwrap()
}

fn names<'a>(found: impl Iterator<Item = &'a Compared>) -> Vec<&'a str> {
    found.map(|m| m.metric.as_str()).collect()
}

#[test]
fn a_test_compared_with_itself_has_no_difference() {
    let run = of(Shape::default());
    let same = compare(&run, &run);
    assert!(same.noise.judged && same.plan_differs.is_empty());
    for m in &same.metrics {
        assert_eq!(m.difference, Some(0.0), "{}", m.metric);
        assert_ne!(m.within_noise, Some(false), "{}", m.metric);
        assert_eq!(m.judgement, None, "{}", m.metric);
    }
    assert_eq!(names(same.regressions(0.0)), Vec::<&str>::new());
}

#[test]
fn two_runs_of_the_same_target_differ_only_by_noise() {
    let base = of(Shape::default());
    // By the definition of a 99 % interval, one in a few hundred lies outside; the seeds are fixed,
    // so the test does not depend on chance.
    for seed in 2..8 {
        let run = of(Shape {
            seed,
            ..Shape::default()
        });
        let compared = compare(&base, &run);
        assert_eq!(compared.noise.method, Some(NoiseMethod::Paired));
        assert_ne!(metric(&compared, "response_time.p50").difference, Some(0.0));
        assert_eq!(
            names(compared.regressions(0.01)),
            Vec::<&str>::new(),
            "{seed}"
        );
    }
}

#[test]
fn a_slower_target_is_a_regression_of_all_response_times() {
    let base = of(Shape::default());
    let slower = of(Shape {
        seed: 2,
        slower: 1.25,
        ..Shape::default()
    });
    let compared = compare(&base, &slower);
    let p50 = metric(&compared, "response_time.p50");
    assert!((p50.change.unwrap() - 0.25).abs() < 0.05, "{p50:?}");
    assert!(p50.low.unwrap() > 0.0 && p50.high.unwrap() < p50.baseline.unwrap() * 0.4);
    assert_eq!(p50.judgement, Some(Judgement::Worse));
    assert_eq!(
        names(compared.regressions(0.10)),
        [
            "response_time.mean",
            "response_time.p50",
            "response_time.p90",
            "response_time.p99"
        ]
    );
    // The difference is significant but below the limit.
    assert_eq!(names(compared.regressions(0.50)), Vec::<&str>::new());
    // In the other direction it is an improvement.
    let better = compare(&slower, &base);
    assert_eq!(names(better.regressions(0.05)), Vec::<&str>::new());
    let p50 = metric(&better, "response_time.p50");
    assert_eq!(p50.judgement, Some(Judgement::Better));
}

#[test]
fn a_few_slow_periods_are_noise() {
    let calm = of(Shape::default());
    let spells = of(Shape {
        seed: 2,
        slow_period: Some((30, 3, 20.0)),
        ..Shape::default()
    });
    let compared = compare(&calm, &spells);
    let p99 = metric(&compared, "response_time.p99");
    assert!(
        p99.change.unwrap() > 0.5 && p99.within_noise == Some(true),
        "{p99:?}"
    );
    assert_eq!(p99.judgement, Some(Judgement::Noise));
    assert!(names(compared.excused(0.10)).contains(&"response_time.p99"));
    assert!(!names(compared.regressions(0.10)).contains(&"response_time.p99"));
}

#[test]
fn new_errors_are_a_regression_and_a_single_one_is_not() {
    let base = of(Shape {
        fail_one_in: 0,
        ..Shape::default()
    });
    let failing = of(Shape {
        fail_one_in: 40,
        ..Shape::default()
    });
    let compared = compare(&base, &failing);
    assert_eq!(metric(&compared, "error_rate").change, None);
    assert_eq!(names(compared.regressions(0.10)), ["error_rate"]);
    let hardly = of(Shape {
        fail_one_in: 5000,
        ..Shape::default()
    });
    assert_eq!(
        names(compare(&base, &hardly).regressions(0.10)),
        Vec::<&str>::new()
    );
}

#[test]
fn a_lower_rate_is_a_regression_and_a_higher_one_is_not() {
    let base = of(Shape::default());
    let less = of(Shape {
        per_second: 150,
        ..Shape::default()
    });
    assert!(names(compare(&base, &less).regressions(0.10)).contains(&"rate"));
    assert!(!names(compare(&less, &base).regressions(0.10)).contains(&"rate"));
}

#[test]
fn a_ramp_in_both_tests_is_not_noise() {
    let ramp = Shape {
        ramp: true,
        ..Shape::default()
    };
    let (base, slower) = (
        of(ramp),
        of(Shape {
            seed: 2,
            slower: 1.1,
            ..ramp
        }),
    );
    let compared = compare(&base, &slower);
    assert_eq!(compared.noise.method, Some(NoiseMethod::Paired));
    assert_eq!(
        metric(&compared, "response_time.p50").within_noise,
        Some(false)
    );
    // With independent draws, the ramp hides the difference.
    let mut other = slower.clone();
    other.result.plan["load"]["rate"] = 201.into();
    let compared = compare(&base, &other);
    assert_eq!(compared.noise.method, Some(NoiseMethod::Independent));
    assert_eq!(
        metric(&compared, "response_time.p50").within_noise,
        Some(true)
    );
}

#[test]
fn without_timelines_the_limit_decides_alone() {
    let base = ResultFile::of(fixture::run(Shape::default()).0);
    let slower = of(Shape {
        slower: 1.25,
        ..Shape::default()
    });
    let compared = compare(&base, &slower);
    assert!(!compared.noise.judged);
    let why = compared.noise.why.as_deref().unwrap();
    assert!(
        why.starts_with("the baseline") && why.contains("--timeline"),
        "{why}"
    );
    assert!(names(compared.regressions(0.10)).contains(&"response_time.p50"));
    assert_eq!(compared.excused(0.10).count(), 0);
    let p50 = metric(&compared, "response_time.p50");
    assert_eq!(p50.judgement, Some(Judgement::Worse));
}

#[test]
fn a_short_test_is_not_judged() {
    let short = of(Shape {
        seconds: 8,
        ..Shape::default()
    });
    let why = compare(&short, &short).noise.why.unwrap();
    assert!(why.contains("8 and 8 intervals"), "{why}");
}

#[test]
fn a_percentile_of_too_few_requests_is_not_judged_and_does_not_count() {
    let few = |slower| {
        of(Shape {
            per_second: 10,
            slower,
            ..Shape::default()
        })
    };
    let compared = compare(&few(1.0), &few(2.0));
    let p99 = metric(&compared, "response_time.p99");
    assert_eq!(p99.within_noise, None);
    let written = serde_json::to_value(p99.judgement).unwrap();
    assert_eq!(written, Judgement::NotJudged.as_str());
    assert!(names(compared.excused(0.10)).contains(&"response_time.p99"));
    assert!(names(compared.regressions(0.10)).contains(&"response_time.p50"));
}

#[test]
fn conditions_that_limit_a_comparison_are_warnings() {
    let base = of(Shape::default());
    let mut other = base.clone();
    other.result.plan["load"]["rate"] = 300.into();
    other.result.plan["name"] = "another".into();
    other.result.verdict = Some(Verdict::Degraded);
    other.result.lag_ms = other.result.response_time_ms.clone();
    let compared = compare(&base, &other);
    assert_eq!(compared.plan_differs, ["load"]);
    assert_eq!(compared.warnings.len(), 3);
    assert!(compared.warnings[0].contains("(load)"));
    assert!(compared.warnings[1].starts_with("in the test the generator was late"));
    assert!(compared.warnings[2].starts_with("the test is degraded"));
}

#[test]
fn the_same_files_give_the_same_comparison() {
    let (a, b) = (
        of(Shape::default()),
        of(Shape {
            seed: 2,
            ..Shape::default()
        }),
    );
    assert_eq!(compare(&a, &b), compare(&a, &b));
}
