//! A timeline as CSV: a header row with units, and a row for each interval.

use vajra_results::timeline::{Point, Timeline};

/// A column of every timeline: its name, and its cell for a point.
type Column = (&'static str, fn(&Point) -> String);

const COLUMNS: [Column; 26] = [
    ("from_s", |p| p.from_s.to_string()),
    ("to_s", |p| p.to_s.to_string()),
    ("planned_per_s", |p| p.planned.to_string()),
    ("users", |p| p.users.to_string()),
    ("rate_per_s", |p| p.rate.to_string()),
    ("sent", |p| p.sent.to_string()),
    ("ok", |p| p.ok.to_string()),
    ("failed", |p| p.failed.to_string()),
    ("dropped", |p| p.dropped.to_string()),
    ("checks_failed", |p| p.checks_failed.to_string()),
    ("in_flight", |p| p.in_flight.to_string()),
    ("bytes_sent", |p| p.bytes_sent.to_string()),
    ("bytes_received", |p| p.bytes_received.to_string()),
    ("lag_p99_ms", |p| optional(p.lag_p99_ms)),
    ("response_count", |p| {
        let times = p.response_time_ms.as_ref();
        times.map_or(0, |s| s.count).to_string()
    }),
    ("response_min_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.min))
    }),
    ("response_mean_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.mean))
    }),
    ("response_stdev_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.stdev))
    }),
    ("response_p50_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.p50))
    }),
    ("response_p75_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.p75))
    }),
    ("response_p90_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.p90))
    }),
    ("response_p95_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.p95))
    }),
    ("response_p99_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.p99))
    }),
    ("response_p999_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.p999))
    }),
    ("response_max_ms", |p| {
        optional(p.response_time_ms.as_ref().map(|s| s.max))
    }),
    ("length_s", |p| (p.to_s - p.from_s).to_string()),
];

/// An empty cell if nothing was measured.
fn optional(value: Option<f64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

/// Error of writing CSV. Writing to memory causes none.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The writer failed.
    #[error(transparent)]
    Write(#[from] ::csv::Error),
    /// The buffer could not be flushed.
    #[error(transparent)]
    Flush(#[from] std::io::Error),
    /// The output is not UTF-8.
    #[error(transparent)]
    Text(#[from] std::string::FromUtf8Error),
}

/// The content of the file. The columns of every timeline are followed by one for each kind of
/// error (`errors:KIND`) and one for each node (`rate_per_s:NAME`); no header starts with a
/// character that spreadsheets read as a formula.
///
/// # Errors
/// [`CsvError`].
pub fn csv(timeline: &Timeline) -> Result<String, CsvError> {
    let mut kinds: Vec<&str> = timeline
        .points
        .iter()
        .flat_map(|p| p.errors.keys().map(String::as_str))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut out = ::csv::Writer::from_writer(Vec::new());
    let fixed = COLUMNS.iter().map(|(name, _)| (*name).to_owned());
    let errors = kinds.iter().map(|kind| format!("errors:{kind}"));
    let nodes = timeline.nodes.iter().map(|n| {
        let name = if n.name.is_empty() { &n.peer } else { &n.name };
        format!("rate_per_s:{name}")
    });
    out.write_record(fixed.chain(errors).chain(nodes))?;
    for point in &timeline.points {
        let fixed = COLUMNS.iter().map(|(_, cell)| cell(point));
        let errors = kinds
            .iter()
            .map(|kind| point.errors.get(*kind).copied().unwrap_or(0).to_string());
        let nodes = (0..timeline.nodes.len())
            .map(|i| point.node_rates.get(i).copied().unwrap_or(0.0).to_string());
        out.write_record(fixed.chain(errors).chain(nodes))?;
    }
    let bytes = out.into_inner().map_err(|e| e.into_error())?;
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_fixtures::results as fixture;

    #[test]
    fn each_interval_is_a_row_under_named_columns() {
        let timeline = fixture::timeline();
        let text = csv(&timeline).unwrap();
        let mut rows = ::csv::Reader::from_reader(text.as_bytes());
        let head = rows.headers().unwrap().clone();
        let at = |name: &str| head.iter().position(|h| h == name).unwrap();
        let records: Vec<::csv::StringRecord> = rows.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), timeline.points.len());
        for (record, point) in records.iter().zip(&timeline.points) {
            assert_eq!(record[at("sent")].parse::<u64>().unwrap(), point.sent);
            let p99: f64 = record[at("response_p99_ms")].parse().unwrap();
            assert_eq!(p99, point.response_time_ms.as_ref().unwrap().p99);
            let status = point.errors.get("status").copied().unwrap_or(0);
            assert_eq!(record[at("errors:status")].parse::<u64>().unwrap(), status);
            let rate: f64 = record[at("rate_per_s:load-2")].parse().unwrap();
            assert_eq!(rate, point.node_rates[1]);
        }
    }

    #[test]
    fn a_missing_value_is_an_empty_cell() {
        let timeline = Timeline {
            points: vec![Point::default()],
            ..Timeline::default()
        };
        let text = csv(&timeline).unwrap();
        assert!(text.lines().nth(1).unwrap().contains(",,"), "{text}");
    }
}
