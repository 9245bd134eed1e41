//! From the OpenMetrics text that the library writes to Prometheus' own text format 0.0.4,
//! which every monitoring system reads: there a counter is declared under the name of its
//! samples, and units and the end are not told.

/// The page in the older format.
pub(super) fn from_open_metrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // Whether it is a counter comes a line later.
    let mut help: Option<&str> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = Some(rest);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            declare(&mut out, help.take(), rest);
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn declare(out: &mut String, help: Option<&str>, name_and_kind: &str) {
    let (name, kind) = name_and_kind
        .split_once(' ')
        .unwrap_or((name_and_kind, "unknown"));
    let (suffix, kind) = match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        "unknown" => ("", "untyped"),
        other => ("", other),
    };
    if let Some((_, help)) = help.and_then(|h| h.split_once(' ')) {
        out.push_str(&format!("# HELP {name}{suffix} {help}\n"));
    }
    out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_declared_under_the_name_of_its_samples() {
        let open = "# HELP a_bytes What came.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                    a_bytes_total{x=\"# EOF\"} 3\n# EOF\n";
        let classic = "# HELP a_bytes_total What came.\n# TYPE a_bytes_total counter\n\
                       a_bytes_total{x=\"# EOF\"} 3\n";
        assert_eq!(from_open_metrics(open), classic);
    }

    #[test]
    fn gauges_and_histograms_stay_and_an_info_is_a_gauge() {
        let same = "# HELP g Now.\n# TYPE g gauge\ng 1\n# HELP h All.\n# TYPE h histogram\n\
                    h_sum 1.0\nh_count 1\nh_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(from_open_metrics(same), same);
        let info = "# HELP b Which.\n# TYPE b info\nb_info{v=\"1\"} 1\n";
        let gauge = "# HELP b_info Which.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n";
        assert_eq!(from_open_metrics(info), gauge);
    }
}
