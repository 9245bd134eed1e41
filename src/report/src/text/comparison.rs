//! Two results, held against each other, as people read it.

use super::layout::{Align::*, MARGIN, table, wrap};
use vajra_results::compare::{Compared, Comparison, Judgement, LEAST_ERRORS, Side};
use vajra_results::units;

/// A metric in words.
pub struct Told {
    /// Of the baseline.
    pub was: String,
    /// Of the test.
    pub is: String,
    /// The difference, as a share of the baseline where it is one.
    pub change: String,
    /// Between what and what the change lies.
    pub between: String,
    /// The judgement, or nothing.
    pub word: &'static str,
}

/// A metric in words.
pub fn row(m: &Compared) -> Told {
    let value = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| value(m, v));
    Told {
        was: value(m.baseline),
        is: value(m.test),
        change: m
            .difference
            .map_or_else(|| "–".to_owned(), |d| change(m, d)),
        between: match (m.low, m.high) {
            (Some(low), Some(high)) => format!("{} … {}", change(m, low), change(m, high)),
            _ => String::new(),
        },
        word: m.judgement.map_or("", Judgement::word),
    }
}

fn value(m: &Compared, v: f64) -> String {
    match m.unit.as_str() {
        "ms" => units::time(v),
        "per_s" => format!("{}/s", units::brief(v)),
        _ => format!("{:.2} %", v * 100.0),
    }
}

/// A difference: of shares in percentage points, else relative to the baseline.
fn change(m: &Compared, difference: f64) -> String {
    match (m.unit.as_str(), m.baseline) {
        ("share", _) => format!("{:+.2} pp", difference * 100.0 + 0.0),
        (_, Some(was)) if was > 0.0 => format!("{:+.1} %", difference / was * 100.0 + 0.0),
        _ => "–".to_owned(),
    }
}

/// What was compared, and how noise was judged.
pub fn about(of: &Comparison) -> String {
    let noise = match (&of.noise.why, of.noise.method.as_deref()) {
        (Some(why), _) => format!("Noise could not be judged: {why}."),
        (None, method) => format!(
            "Between: where the true change lies, with a confidence of {:.0} %, by what {} and {} \
             intervals vary{}. Noise: no change is among that.",
            of.noise.confidence * 100.0,
            of.noise.intervals[0],
            of.noise.intervals[1],
            match method {
                Some("paired") => ", drawn together",
                _ => ", each drawn by itself",
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
            let told = row(m);
            let word = told.word.to_owned();
            [
                m.metric.clone(),
                told.was,
                told.is,
                told.change,
                told.between,
                word,
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

/// A number of both, as one line.
pub fn line(m: &Compared) -> String {
    let told = row(m);
    format!(
        "{} is {}, the baseline {} ({})",
        m.metric, told.is, told.was, told.change
    )
}

/// A limit as people write it.
pub fn percent(limit: f64) -> String {
    format!("{} %", (limit * 1e6).round() / 1e4)
}

/// What came of `--fail-on-regression`: a line for each regression, and for what is beyond the
/// limit and does not count.
pub fn regressions(of: &Comparison, limit: f64) -> String {
    let mut out = String::from("\n");
    for m in of.regressions(limit) {
        out.push_str(&wrap("  REGRESSION  ", &line(m)));
    }
    for m in of.excused(limit) {
        let why = match m.within_noise {
            Some(_) => "but that is within noise",
            None => "but there are too few requests to tell",
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
                "errors count from {} % of all requests more on",
                LEAST_ERRORS * 100.0
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
    use vajra_fixtures::results::{self as fixture, Shape};
    use vajra_results::compare::compare;
    use vajra_results::result_file::Recorded;

    fn of(shape: Shape) -> Recorded {
        let (result, timeline) = fixture::run(shape);
        Recorded {
            timeline: Some(timeline),
            ..Recorded::of(result)
        }
    }

    /// Without line breaks.
    fn flowing(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_metric_is_a_line_within_the_page() {
        let slower = of(Shape {
            seed: 2,
            slower: 1.3,
            ..Shape::default()
        });
        let compared = compare(&of(Shape::default()), &slower);
        let text = comparison(&compared);
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "{text}");
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
            flowing.contains("60 and 60 intervals vary, drawn together"),
            "{text}"
        );
    }

    #[test]
    fn a_regression_is_told_and_noise_is_excused() {
        let base = of(Shape::default());
        let slower = of(Shape {
            slower: 1.3,
            ..Shape::default()
        });
        let text = regressions(&compare(&base, &slower), 0.1);
        assert!(text.contains("REGRESSION  response_time.p99 is "), "{text}");
        let spells = of(Shape {
            seed: 2,
            spell: Some((30, 3, 20.0)),
            ..Shape::default()
        });
        let text = regressions(&compare(&base, &spells), 0.1);
        assert!(
            flowing(&text).contains("but that is within noise"),
            "{text}"
        );
        let text = regressions(&compare(&base, &base), 0.1);
        assert!(
            text.contains("nothing is worse than the baseline by more than 10 %"),
            "{text}"
        );
    }
}
