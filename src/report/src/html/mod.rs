//! A result as one self-contained HTML page, which needs no network and also works on a phone and on
//! paper. The tables need no JavaScript; the charts are drawn by Apache ECharts, which the page
//! contains.
//!
//! All text of a result (names, messages, URLs) is escaped: by the template, and by `embedded` in
//! the data for the charts.

mod page;
mod table;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde_json::json;

use self::page::{banner, facts, tiles, title};
use super::percentiles::curve;
use crate::assets;
use vajra_plan::Values;
use vajra_results::Recording;
use vajra_results::TestResult;
use vajra_results::compare::Comparison;
use vajra_results::decode;
use vajra_results::timeline::{Point, Timeline};

/// The template, its style sheet and its script.
const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");
/// The charts, as functions that the dashboard uses, too.
pub const CHARTS: &str = concat!(
    include_str!("charts/start.js"),
    include_str!("charts/format.js"),
    include_str!("charts/events.js"),
    include_str!("charts/over_time.js"),
    include_str!("charts/list.js"),
    "})();\n",
);

/// Most intervals in a page: a chart cannot show more, and the page of an hour is smaller than
/// 2 MB.
pub const POINTS: usize = 480;

/// Error of [`html`].
#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    /// The chart library in this binary cannot be decompressed.
    #[error("the chart library in this binary is damaged ({0}): install it again")]
    Assets(#[from] std::io::Error),
    /// The template cannot be rendered.
    #[error("the page cannot be rendered: {0}")]
    Template(#[from] minijinja::Error),
    /// The data cannot be written as JSON.
    #[error("the page's data cannot be written: {0}")]
    Data(#[from] serde_json::Error),
}

/// Renders the page. Without a timeline it has no charts over time, and a note says so.
///
/// # Errors
/// [`HtmlError`]; none depends on the result.
pub fn html(
    result: &TestResult,
    timeline: Option<&Timeline>,
    comparison: Option<&Comparison>,
) -> Result<String, HtmlError> {
    let timeline = timeline.map(for_charts);
    let spectrum = |text: &Option<String>| text.as_deref().and_then(decode).map(|h| curve(&h));
    // Values from the setup hook may be credentials, and pages are shared.
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
        "The timeline of this test is missing: the node no longer has it, or the file was written \
         without --timeline.",
    );
    let plan = match result.plan.is_null() {
        true => None,
        false => Some(serde_json::to_string_pretty(&result.plan)?),
    };
    let mut environment = Environment::new();
    // The extension `.html` turns escaping on.
    environment.add_template("report.html", TEMPLATE)?;
    let page = environment.get_template("report.html")?;
    Ok(page.render(context! {
        title => title(result),
        target => result.target.as_str(),
        test_id => result.test_id.as_str(),
        generator => concat!("vajra-node ", env!("CARGO_PKG_VERSION")),
        facts => value(facts(result)),
        verdict => value(banner(result, comparison)),
        reasons => result.reasons.clone(),
        tiles => value(tiles(result)),
        first => value(table::first(result, comparison)),
        tables => value(table::rest(result)),
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

/// The timeline in at most [`POINTS`] points, without histograms.
fn for_charts(timeline: &Timeline) -> Timeline {
    match timeline.points.len() > POINTS {
        true => {
            let whole = Recording::from_stored(timeline.clone());
            whole.timeline(&timeline.test_id, timeline.state, POINTS, false)
        }
        false => without_histograms(timeline),
    }
}

/// The timeline without histograms, which no chart uses.
fn without_histograms(timeline: &Timeline) -> Timeline {
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

/// JSON that can be inlined in a script element: nothing in it ends the element or a line of
/// JavaScript.
fn embedded(value: &serde_json::Value) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // These occur only inside strings.
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
