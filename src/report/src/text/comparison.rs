//! The comparison of two results as text.

use super::layout::{Align::*, MARGIN, table, wrap};
use vajra_results::compare::{
    Compared, Comparison, Judgement, MIN_ERROR_INCREASE, NoiseMethod, Side, Unit,
};
use vajra_results::units;

/// A compared metric as text.
pub struct Row {
    /// Value of the baseline.
    pub baseline: String,
    /// Value of the test.
    pub test: String,
    /// Difference: in percentage points for shares, else in percent of the baseline.
    pub change: String,
    /// Confidence interval of the difference; empty if it was not judged.
    pub interval: String,
    /// Judgement; empty without one.
    pub judgement: &'static str,
}

/// Formats a compared metric.
pub fn row(m: &Compared) -> Row {
    let value = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| value(m, v));
    Row {
        baseline: value(m.baseline),
        test: value(m.test),
        change: m
            .difference
            .map_or_else(|| "–".to_owned(), |d| change(m, d)),
        interval: match (m.low, m.high) {
            (Some(low), Some(high)) => format!("{} … {}", change(m, low), change(m, high)),
            _ => String::new(),
        },
        judgement: m.judgement.map_or("", Judgement::as_str),
    }
}

fn value(m: &Compared, v: f64) -> String {
    match m.unit {
        Unit::Milliseconds => units::time(v),
        Unit::PerSecond => format!("{}/s", units::brief(v)),
        Unit::Share => format!("{:.2} %", v * 100.0),
    }
}

/// A difference: in percentage points for shares, else in percent of the baseline.
fn change(m: &Compared, difference: f64) -> String {
    match (m.unit, m.baseline) {
        (Unit::Share, _) => format!("{:+.2} pp", difference * 100.0 + 0.0),
        (_, Some(baseline)) if baseline > 0.0 => {
            format!("{:+.1} %", difference / baseline * 100.0 + 0.0)
        }
        _ => "–".to_owned(),
    }
}

/// The baseline, and how noise was judged.
pub fn about(of: &Comparison) -> String {
    let noise = match (&of.noise.why, of.noise.method) {
        (Some(why), _) => format!("Noise could not be judged: {why}."),
        (None, method) => format!(
            "Between: the true change with {:.0} % confidence, from the variation of {} and {} \
             intervals{}. Noise: this range contains no change.",
            of.noise.confidence * 100.0,
            of.noise.intervals[0],
            of.noise.intervals[1],
            match method {
                Some(NoiseMethod::Paired) => ", drawn together",
                _ => ", drawn independently",
            }
        ),
    };
    format!("Baseline: {}. {noise}", side(&of.baseline))
}

fn side(side: &Side) -> String {
    let name = side.name.as_deref().map(|n| format!(" {n}"));
    let at = side.started_at.as_deref().map(|at| format!(" of {at}"));
    format!(
        "test {}{}{}",
        side.test_id,
        name.unwrap_or_default(),
        at.unwrap_or_default()
    )
}

/// The whole comparison.
pub fn comparison(of: &Comparison) -> String {
    let mut out = String::from("\n");
    out.push_str(&wrap(
        &format!("{MARGIN}compared    "),
        &format!("{} with {}", side(&of.test), side(&of.baseline)),
    ));
    for warning in &of.warnings {
        out.push_str(&wrap("    ! ", warning));
    }
    out.push('\n');
    let rows: Vec<[String; 6]> = of
        .metrics
        .iter()
        .map(|m| {
            let row = row(m);
            [
                m.metric.clone(),
                row.baseline,
                row.test,
                row.change,
                row.interval,
                row.judgement.to_owned(),
            ]
        })
        .collect();
    let head = [
        ("metric", Left),
        ("baseline", Right),
        ("test", Right),
        ("change", Right),
        ("between", Right),
        ("", Left),
    ];
    out.push_str(&table(head, &rows));
    out.push('\n');
    let noise = about(of);
    // The baseline is named above.
    let noise = noise
        .split_once(". ")
        .map_or(noise.as_str(), |(_, rest)| rest);
    out.push_str(&wrap(MARGIN, noise));
    out
}

/// A metric of both tests in one line.
pub fn line(m: &Compared) -> String {
    let row = row(m);
    format!(
        "{} is {}, the baseline {} ({})",
        m.metric, row.test, row.baseline, row.change
    )
}

/// A limit in percent.
pub fn percent(limit: f64) -> String {
    format!("{} %", (limit * 1e6).round() / 1e4)
}

/// The outcome of `--fail-on-regression`: a line for each regression, and for each metric that is
/// beyond the limit but does not count.
pub fn regressions(of: &Comparison, limit: f64) -> String {
    let mut out = String::from("\n");
    for m in of.regressions(limit) {
        out.push_str(&wrap("  REGRESSION  ", &line(m)));
    }
    for m in of.excused(limit) {
        let why = match m.within_noise {
            Some(_) => "but this is within noise",
            None => "but there are too few requests to judge",
        };
        out.push_str(&wrap("  not counted ", &format!("{}, {why}", line(m))));
    }
    if of.regressions(limit).next().is_none() {
        let noise = match of.noise.judged {
            true => "",
            false => " (noise could not be judged)",
        };
        out.push_str(&wrap(
            MARGIN,
            &format!(
                "nothing is worse than the baseline by more than {}{noise}",
                percent(limit)
            ),
        ));
    } else if of.regressions(limit).any(|m| m.metric == "error_rate") {
        out.push_str(&wrap(
            "              ",
            &format!(
                "an increase of errors counts from {} % of all requests on",
                MIN_ERROR_INCREASE * 100.0
            ),
        ));
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::WIDTH;
    use super::*;
    use unicode_width::UnicodeWidthStr as _;
    use vajra_fixtures::results::{self as fixture, Shape};
    use vajra_results::compare::compare;
    use vajra_results::result_file::ResultFile;

    fn of(shape: Shape) -> ResultFile {
        let (result, timeline) = fixture::run(shape);
        ResultFile {
            timeline: Some(timeline),
            ..ResultFile::of(result)
        }
    }

    /// The text without line breaks.
    fn flowing(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_metric_has_a_line_that_fits_the_page() {
        let slower = of(Shape {
            seed: 2,
            slower: 1.3,
            ..Shape::default()
        });
        let compared = compare(&of(Shape::default()), &slower);
        let text = comparison(&compared);
        assert!(text.lines().all(|l| l.width() <= WIDTH), "{text}");
        let p50 = text
            .lines()
            .find(|l| l.contains("response_time.p50"))
            .unwrap();
        assert!(p50.ends_with("worse") && p50.contains(" % … +"), "{p50}");
        let rate = text
            .lines()
            .find(|l| l.trim_start().starts_with("rate"))
            .unwrap();
        assert!(rate.contains("200/s") && rate.contains("+0.0 %"), "{rate}");
        let flowing = flowing(&text);
        assert!(
            flowing.contains("60 and 60 intervals, drawn together"),
            "{text}"
        );
    }

    #[test]
    fn a_regression_is_reported_and_noise_is_excused() {
        let base = of(Shape::default());
        let slower = of(Shape {
            slower: 1.3,
            ..Shape::default()
        });
        let text = regressions(&compare(&base, &slower), 0.1);
        assert!(text.contains("REGRESSION  response_time.p99 is "), "{text}");
        let spells = of(Shape {
            seed: 2,
            slow_period: Some((30, 3, 20.0)),
            ..Shape::default()
        });
        let text = regressions(&compare(&base, &spells), 0.1);
        assert!(
            flowing(&text).contains("but this is within noise"),
            "{text}"
        );
        let text = regressions(&compare(&base, &base), 0.1);
        assert!(
            text.contains("nothing is worse than the baseline by more than 10 %"),
            "{text}"
        );
    }
}
