//! The content of a page.
#![allow(clippy::unwrap_used)]

use serde_json::Value as Json;

use super::*;
use vajra_fixtures::results as fixture;
use vajra_results::timeline::MAX_POINTS;
use vajra_results::units;
use vajra_results::{ErrorEntry, Event};

fn page() -> String {
    html(&fixture::result(), Some(&fixture::timeline()), None).unwrap()
}

/// The data for the charts of a page.
fn data(page: &str) -> Json {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(data).unwrap()
}

/// The readable part of a page, without scripts and styles.
fn readable(page: &str) -> &str {
    let (_, body) = page.split_once("<body>").unwrap();
    body.split_once("<script").unwrap().0
}

#[test]
fn the_numbers_of_a_page_are_those_of_the_json() {
    let (result, timeline) = (fixture::result(), fixture::timeline());
    let page = page();
    let data = data(&page);
    assert_eq!(data["result"], serde_json::to_value(&result).unwrap());
    assert_eq!(
        data["timeline"],
        serde_json::to_value(without_histograms(&timeline)).unwrap()
    );
    let text = readable(&page);
    let times = result.response_time_ms.as_ref().unwrap();
    for shown in [
        units::count(result.totals.sent),
        units::count(result.totals.failed),
        units::time(times.p50),
        units::time(times.p99),
        units::time(times.p999),
        units::time(times.max),
        result.test_id.clone(),
        "12D3KooW-load-2".to_owned(),
    ] {
        assert!(text.contains(&shown), "{shown}");
    }
}

#[test]
fn the_curve_of_a_page_is_that_of_the_histogram() {
    let result = fixture::result();
    let data = data(&page());
    let times = decode(result.histograms.response.as_deref().unwrap()).unwrap();
    let drawn = data["spectra"]["response"].as_array().unwrap();
    assert_eq!(
        drawn.last().unwrap()[1],
        result.response_time_ms.unwrap().max
    );
    let median = drawn.iter().find(|p| p[0] == 2.0).unwrap();
    assert_eq!(median[1], times.value_at_quantile(0.5) as f64 / 1e3);
    assert_eq!(data["spectra"]["service"], Json::Null);
}

#[test]
fn all_text_of_a_result_is_escaped() {
    let evil = "</script><script>alert(1)</script>\u{2028}<img src=x onerror=alert(1)>&\"'";
    let mut result = fixture::result();
    result.name = Some(evil.into());
    result.target = evil.into();
    result.reasons = vec![evil.into()];
    result.tags = [(evil.to_owned(), evil.to_owned())].into();
    result.nodes[0].name = evil.into();
    result.nodes[0].environment = evil.into();
    result.errors = vec![ErrorEntry {
        kind: evil.into(),
        message: evil.into(),
        count: 1,
    }];
    result.events = vec![Event {
        at_ms: 1,
        kind: evil.into(),
        peer: None,
        text: evil.into(),
    }];
    result.plan = serde_json::json!({ "name": evil });
    let mut timeline = fixture::timeline();
    timeline.nodes[0].name = evil.into();
    timeline.points[0].errors = [(evil.to_owned(), 1)].into();
    let page = html(&result, Some(&timeline), None).unwrap();
    // The page has no further elements, and the text can be read back.
    let elements =
        |page: &str| ["<script", "</script", "<img", "alert(1)>"].map(|e| page.matches(e).count());
    let plain = html(&fixture::result(), Some(&fixture::timeline()), None).unwrap();
    assert_eq!(elements(&page), elements(&plain));
    assert_eq!(data(&page)["result"]["name"], evil);
    assert!(
        !embedded(&serde_json::json!(evil))
            .unwrap()
            .contains('\u{2028}')
    );
}

#[test]
fn a_page_is_self_contained_and_small() {
    let page = page();
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    // Nothing is fetched, and the policy forbids it.
    let text = readable(&page);
    assert!(!text.contains("src=") && !text.contains("href="));
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("histogram\":\"HIST"));
}

#[test]
fn the_page_of_the_longest_test_is_limited() {
    let minute = fixture::timeline();
    for points in [POINTS, MAX_POINTS] {
        let mut timeline = minute.clone();
        let all = minute.points.iter().cycle().take(points).cloned();
        timeline.points = all.collect();
        for (second, point) in timeline.points.iter_mut().enumerate() {
            (point.from_s, point.to_s) = (second as f64, second as f64 + 1.0);
            point.node_rates = (0..100).map(|n| 1_234.567_891 / f64::from(n + 3)).collect();
        }
        let page = html(&fixture::result(), Some(&timeline), None).unwrap();
        assert!(page.len() < 6_000_000, "{} bytes", page.len());
        // Every request is in an interval, with its response time.
        let data = data(&page);
        let drawn = data["timeline"]["points"].as_array().unwrap();
        assert!((POINTS / 3..=POINTS).contains(&drawn.len()));
        let sent = |p: &Json| p["sent"].as_u64().unwrap();
        let timed = |p: &Json| p["response_time_ms"]["count"].as_u64().unwrap();
        let all = timeline.points.iter().map(|p| p.sent).sum::<u64>();
        assert_eq!(drawn.iter().map(sent).sum::<u64>(), all);
        assert_eq!(drawn.iter().map(timed).sum::<u64>(), all);
    }
}

#[test]
fn thresholds_and_comparison_come_first() {
    let mut result = fixture::result();
    result.thresholds = vec![vajra_results::ThresholdResult {
        threshold: "response_time.p99 < 10ms".into(),
        passed: false,
        value: Some(16.1),
    }];
    let old = vajra_results::result_file::ResultFile::of(fixture::result());
    let compared = vajra_results::compare::compare(&old, &old);
    let page = html(&result, None, Some(&compared)).unwrap();
    let text = readable(&page);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}"));
    assert!(text.contains("16.10 ms") && text.contains("1 of 1 thresholds failed"));
    assert!(at("id=\"thresholds\"") < at("id=\"comparison\""));
    assert!(at("id=\"comparison\"") < at("id=\"charts\""));
    assert!(text.contains("Noise could not be judged"));
}

#[test]
fn values_from_the_setup_hook_are_left_out() {
    let mut result = fixture::result();
    result.values = serde_json::from_str(r#"{"token": "s3cr3t-of-a-login"}"#).unwrap();
    let page = html(&result, None, None).unwrap();
    assert!(!page.contains("s3cr3t"));
}

#[test]
fn a_test_that_never_started_has_a_page() {
    let kept = vajra_fixtures::EMPTY_RESULT;
    let result: TestResult = serde_json::from_str(kept).unwrap();
    let page = html(&result, None, None).unwrap();
    assert!(readable(&page).contains("no able worker"));
}
