//! A test as one self-contained page: it opens from disk, without a network, on a phone and on
//! paper. What is read in tables is there without JavaScript, too; the charts are drawn by
//! Apache ECharts, which the page carries.
//!
//! Everything that a test brought along (names, messages, URLs) is text in it: the template
//! escapes it, and so does `embedded` inside the data.

mod page;
mod table;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde_json::json;

use self::page::{facts, named_verdict, tiles, title};
use super::percentiles::curve;
use crate::assets;
use vajra_plan::Values;
use vajra_results::Recording;
use vajra_results::compare::Comparison;
use vajra_results::decode;
use vajra_results::result::TestResult;
use vajra_results::timeline::{Point, Timeline};

/// The template, and what of ours goes into it.
const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");
/// The charts, as functions that a live page can use as well.
pub const CHARTS: &str = include_str!("charts.js");

/// Most intervals that a page is made with: as many as a chart has pixels to show, and a page
/// of an hour stays below 2 MB.
pub const POINTS: usize = 480;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    /// The chart library in this binary does not inflate.
    #[error("the chart library in this binary is damaged ({0}): install it again")]
    Assets(#[from] std::io::Error),
    /// The template does not fit what it is given.
    #[error("the page cannot be made: {0}")]
    Template(#[from] minijinja::Error),
    /// Something cannot be written as JSON.
    #[error("the page's data cannot be written: {0}")]
    Data(#[from] serde_json::Error),
}

/// The page. Without a timeline it has no charts over time, and says so.
///
/// # Errors
/// [`HtmlError`]; none of them is the result's fault.
pub fn html(
    result: &TestResult,
    timeline: Option<&Timeline>,
    comparison: Option<&Comparison>,
) -> Result<String, HtmlError> {
    let timeline = timeline.map(drawn);
    let spectrum = |text: &Option<String>| text.as_deref().and_then(decode).map(|h| curve(&h));
    // What the setup found may be a log-in, and pages are handed around.
    let result = &TestResult {
        values: Values::new(),
        ..result.clone()
    };
    let data = json!({
        "result": result,
        "timeline": timeline,
        "spectra": {
            "response": spectrum(&result.histograms.response),
            "service": spectrum(&result.histograms.service),
            "lag": spectrum(&result.histograms.lag),
        },
    });
    let no_timeline = timeline.is_none().then_some(
        "There is no timeline of this test here: its node no longer has it, or the file that this \
         was made from came without one (write it with --timeline).",
    );
    let plan = match result.plan.is_null() {
        true => None,
        false => Some(serde_json::to_string_pretty(&result.plan)?),
    };
    let mut environment = Environment::new();
    // The ending `.html` turns escaping on.
    environment.add_template("report.html", TEMPLATE)?;
    let page = environment.get_template("report.html")?;
    Ok(page.render(context! {
        title => title(result),
        target => result.target.as_str(),
        test_id => result.test_id.as_str(),
        generator => concat!("vajra-node ", env!("CARGO_PKG_VERSION")),
        facts => value(facts(result)),
        verdict => value(named_verdict(result, comparison)),
        reasons => result.reasons.clone(),
        tiles => value(tiles(result)),
        first => value(table::first(result, comparison)),
        tables => value(table::all(result)),
        no_timeline,
        plan,
        css => Value::from_safe_string(STYLE.to_owned()),
        echarts => Value::from_safe_string(assets::echarts()?),
        charts => Value::from_safe_string(CHARTS.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        data => Value::from_safe_string(embedded(&data)?),
    })?)
}

fn value(of: impl serde::Serialize) -> Value {
    Value::from(Serde(of))
}

/// As much of it as a page has room for: a file, or another form made beside the page, may
/// bring more intervals.
fn drawn(timeline: &Timeline) -> Timeline {
    match timeline.points.len() > POINTS {
        true => {
            let whole = Recording::read(timeline.clone());
            whole.timeline(&timeline.test_id, &timeline.state, POINTS, false)
        }
        false => lean(timeline),
    }
}

/// Without the histograms, which no chart reads.
fn lean(timeline: &Timeline) -> Timeline {
    let points = timeline.points.iter().map(|p| Point {
        histogram: None,
        lag_histogram: None,
        ..p.clone()
    });
    Timeline {
        points: points.collect(),
        ..timeline.clone()
    }
}

/// JSON that can stand inside a script element: nothing in it ends the element, or a line of
/// JavaScript.
fn embedded(value: &serde_json::Value) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Outside of strings JSON has none of these.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
