//! Axes: round bounds, and short labels.

/// The smallest of 1, 2, 5, 10, 20, … (and 0.1, …) that is not below a value; 1 for values that are
/// not positive.
pub fn round_up(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let decade = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    // With tolerance, as 3 × 0.1 is not exactly 0.3.
    let fits = |step: &&f64| *step * decade >= value * (1.0 - 1e-9);
    steps.iter().find(fits).unwrap_or(&10.0) * decade
}

/// The largest of the same that is not above a value.
pub fn round_down(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let decade = 10f64.powf(value.log10().floor());
    let steps = [5.0, 2.0, 1.0];
    let fits = |step: &&f64| *step * decade <= value * (1.0 + 1e-9);
    steps.iter().find(fits).unwrap_or(&1.0) * decade
}

/// An upper bound at least 5 % above a value, in fine steps, so that the chart uses most of its
/// height: 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10.
pub fn ceiling(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let bound = value * 1.05;
    let decade = 10f64.powf(bound.log10().floor());
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let fits = |step: &&f64| *step * decade >= bound;
    steps.iter().find(fits).unwrap_or(&10.0) * decade
}

/// At most three significant digits, without trailing zeros.
fn short(n: f64) -> String {
    let places = match n.abs() {
        n if n >= 99.95 => 0,
        n if n >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{n:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A number on an axis: `0`, `1.5k`, `20k`, `1M`.
pub fn number(n: f64) -> String {
    match n {
        n if n >= 999_500.0 => format!("{}M", short(n / 1e6)),
        n if n >= 999.5 => format!("{}k", short(n / 1e3)),
        n => short(n),
    }
}

/// A response time in milliseconds: `500 µs`, `5 ms`, `1.2 s`.
pub fn time(ms: f64) -> String {
    match ms {
        ms if ms < 0.9995 => format!("{} µs", short(ms * 1e3)),
        ms if ms < 999.5 => format!("{} ms", short(ms)),
        ms => format!("{} s", short(ms / 1e3)),
    }
}

/// Bytes, at most eight characters: `512 B`, `30.5 KiB`, `1020 MiB`.
pub fn bytes(n: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut n, mut unit) = (n.max(0.0), 0);
    while n >= 1023.5 && unit + 1 < units.len() {
        n /= 1024.0;
        unit += 1;
    }
    format!("{} {}", short(n), units[unit])
}

/// An instant of the test: `12 s`, `2:05`, `1:02:05`.
pub fn instant(s: f64) -> String {
    let whole = s.max(0.0).round() as u64;
    let (h, m, s) = (whole / 3_600, whole / 60 % 60, whole % 60);
    match (h, m) {
        (0, 0 | 1) => format!("{whole} s"),
        (0, m) => format!("{m}:{s:02}"),
        (h, m) => format!("{h}:{m:02}:{s:02}"),
    }
}

/// Requests per second: `0.50/s`, `4,998/s`.
pub fn rate(n: f64) -> String {
    use vajra_results::units;
    match n {
        n if n < 999.5 => format!("{}/s", units::brief(n.max(0.0))),
        n => format!("{}/s", units::count(n.round() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_round_and_include_the_value() {
        for (value, down, up) in [
            (1.0, 1.0, 1.0),
            (1.3, 1.0, 2.0),
            (0.3, 0.2, 0.5),
            (77.0, 50.0, 100.0),
            (5_000.0, 5_000.0, 5_000.0),
        ] {
            let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
            assert!(
                near(round_down(value), down),
                "{value}: {}",
                round_down(value)
            );
            assert!(near(round_up(value), up), "{value}: {}", round_up(value));
        }
        assert_eq!((round_up(0.0), round_down(f64::NAN)), (1.0, 1.0));
        assert_eq!((ceiling(5_000.0), ceiling(0.0)), (6_000.0, 1.0));
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(2_500.0), "2.5k");
        assert_eq!(number(1_200_000.0), "1.2M");
        assert_eq!(time(0.5), "500 µs");
        assert_eq!(time(20.0), "20 ms");
        assert_eq!(time(1_500.0), "1.5 s");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(31_242.0), "30.5 KiB");
        assert_eq!(bytes(1_048_575.0), "1 MiB");
        assert_eq!(instant(90.0), "90 s");
        assert_eq!(instant(125.0), "2:05");
        assert_eq!(instant(3_725.0), "1:02:05");
        assert_eq!(rate(4_998.4), "4,998/s");
    }
}
