//! Formats numbers with a suitable unit.

/// A level of the load; decimals only if it has any.
pub fn level(level: f64) -> String {
    match level.fract() == 0.0 {
        true => count(level as u64),
        false => format!("{level:.3}"),
    }
}

/// A time in milliseconds as `12 µs`, `1.23 ms` or `1.23 s`.
pub fn time(ms: f64) -> String {
    // Above these limits the smaller unit would be rounded up to 1000.
    match ms {
        ms if ms < 0.9995 => format!("{:.0} µs", ms * 1e3),
        ms if ms < 999.995 => format!("{ms:.2} ms"),
        ms => format!("{:.2} s", ms / 1e3),
    }
}

/// A count with separators: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

/// Bytes: `512 B`, `1.23 MiB`.
pub fn bytes(n: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut n, mut unit) = (n, 0);
    while n >= 1023.995 && unit + 1 < units.len() {
        n /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{n:.0} B"),
        _ => format!("{n:.2} {}", units[unit]),
    }
}

/// A number with three significant digits, at most two decimals.
pub fn brief(n: f64) -> String {
    match n {
        n if n < 9.995 => format!("{n:.2}"),
        n if n < 99.95 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

/// A part of a whole in percent; 0 if the whole is 0.
pub fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// The deviation of `value` from `expected` in percent, with sign: `+0.00 %`, `-12.50 %`.
pub fn deviation(value: f64, expected: f64) -> String {
    let percent = ((value / expected - 1.0) * 1e4).round() / 1e2;
    // Adding zero turns a negative zero into zero.
    format!("{:+.2} %", percent + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_switch_to_the_larger_unit_before_1000() {
        for (ms, shown) in [
            (0.001, "1 µs"),
            (0.9994, "999 µs"),
            (0.9996, "1.00 ms"),
            (1.234, "1.23 ms"),
            (999.99, "999.99 ms"),
            (999.996, "1.00 s"),
            (3_600_000.0, "3600.00 s"),
        ] {
            assert_eq!(time(ms), shown);
        }
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn bytes_use_the_largest_unit_that_fits() {
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(bytes(1023.999), "1.00 KiB");
        assert_eq!(bytes(1_536.0 * 1_024.0), "1.50 MiB");
    }

    #[test]
    fn a_zero_deviation_has_a_plus_sign() {
        assert_eq!(deviation(4_999.999, 5_000.0), "+0.00 %");
        assert_eq!(deviation(4_375.0, 5_000.0), "-12.50 %");
    }

    #[test]
    fn small_rates_have_more_decimals() {
        assert_eq!(brief(0.5), "0.50");
        assert_eq!(brief(12.34), "12.3");
        assert_eq!(brief(4_999.6), "5000");
    }
}
