//! A test's response times as an HdrHistogram interval log (version 2 histograms), readable by
//! HdrHistogram's `HistogramLogProcessor`, its plotters and its ports to other languages.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};
use hdrhistogram::serialization::{V2DeflateSerializeError, V2DeflateSerializer};

use vajra_core::metrics::new_histogram;
use vajra_results::TestResult;
use vajra_results::decode;
use vajra_results::timeline::Timeline;

/// Divisor of the column `Interval_Max`: microseconds to milliseconds.
const MAX_VALUE_DIVISOR: f64 = 1000.0;

/// Error of the log writer.
pub type LogWriteError = IntervalLogWriterError<V2DeflateSerializeError>;

/// Error of writing an interval log.
#[derive(Debug, thiserror::Error)]
pub enum HlogError {
    /// The timeline has no histograms, or one of them is damaged.
    #[error(
        "the interval from {from_s} s on has response times, but no histogram that can be decoded"
    )]
    NoHistogram {
        /// Start of the interval, in seconds after the start of the profile.
        from_s: f64,
    },
    /// The writer failed.
    #[error("the log cannot be written: {0:?}")]
    Write(LogWriteError),
    /// The output is not UTF-8.
    #[error("the log cannot be written: {0}")]
    Text(#[from] std::string::FromUtf8Error),
}

/// The log. Values are microseconds (the option `-outputValueUnitRatio 1000` of the processor
/// converts them to milliseconds), timestamps are seconds after the start of the profile, which is
/// both StartTime and BaseTime.
///
/// # Errors
/// [`HlogError`].
pub fn hlog(result: &TestResult, timeline: &Timeline) -> Result<String, HlogError> {
    let started = result
        .started_at
        .as_deref()
        .and_then(|at| humantime::parse_rfc3339(at).ok())
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!(
            "[Response times in microseconds of test {} by vajra-node {}]",
            result.test_id,
            env!("CARGO_PKG_VERSION")
        ))
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(MAX_VALUE_DIVISOR)
        .begin_log_with(&mut out, &mut serializer)
        .map_err(|e| HlogError::Write(e.into()))?;
    for point in &timeline.points {
        let histogram = match (&point.histogram, &point.response_time_ms) {
            (Some(text), _) => decode(text),
            (None, None) => Some(new_histogram()),
            (None, Some(_)) => None,
        };
        let histogram: Histogram<u64> = histogram.ok_or(HlogError::NoHistogram {
            from_s: point.from_s,
        })?;
        let seconds = |s: f64| Duration::try_from_secs_f64(s).unwrap_or_default();
        log.write_histogram(
            &histogram,
            seconds(point.from_s),
            seconds(point.to_s - point.from_s),
            None,
        )
        .map_err(HlogError::Write)?;
    }
    Ok(String::from_utf8(out)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use vajra_fixtures::results as fixture;

    #[test]
    fn the_intervals_of_a_log_add_up_to_the_result() {
        let (result, timeline) = (fixture::result(), fixture::timeline());
        let log = hlog(&result, &timeline).unwrap();
        let mut sum = new_histogram();
        let mut starts = Vec::new();
        for entry in IntervalLogIterator::new(log.as_bytes()) {
            match entry.unwrap() {
                LogEntry::Interval(interval) => {
                    let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
                    let one: Histogram<u64> =
                        Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                    sum.add(&one).unwrap();
                    starts.push(interval.start_timestamp().as_secs_f64());
                }
                LogEntry::BaseTime(at) | LogEntry::StartTime(at) => {
                    assert_eq!(at.as_secs(), 1_767_323_045);
                }
            }
        }
        assert_eq!(starts.len(), timeline.points.len());
        assert_eq!(starts[1], 1.0);
        let whole = decode(result.histograms.response.as_deref().unwrap()).unwrap();
        assert_eq!(sum, whole);
    }

    #[test]
    fn a_timeline_without_histograms_is_refused() {
        let mut timeline = fixture::timeline();
        timeline.points[3].histogram = None;
        let error = hlog(&fixture::result(), &timeline).unwrap_err().to_string();
        assert!(error.contains("from 3 s on"), "{error}");
    }
}
