//! The chart library of reports and of the dashboard: Apache ECharts 5.5.1 (Apache-2.0), vendored
//! in `vendor/echarts` and compressed by `build.rs`.

use std::io::{self, Read};

use flate2::read::GzDecoder;

/// ECharts, minified and gzipped, to be served with `Content-Encoding: gzip`.
pub const ECHARTS_GZ: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echarts.js.gz"));

/// Largest size after decompression; ECharts has 1.03 MB.
const MAX_SCRIPT: u64 = 4 << 20;

/// ECharts as JavaScript text, for pages that work without a server.
///
/// # Errors
/// It cannot be decompressed: the binary is damaged.
pub fn echarts() -> io::Result<String> {
    let mut script = String::new();
    GzDecoder::new(ECHARTS_GZ)
        .take(MAX_SCRIPT)
        .read_to_string(&mut script)?;
    Ok(script)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_library_is_complete_and_has_its_licence() {
        let script = echarts().unwrap();
        assert!(script.contains("Licensed to the Apache Software Foundation"));
        assert!(script.contains("5.5.1"));
        assert!(script.trim_end().ends_with(';') || script.trim_end().ends_with('}'));
        assert!((script.len() as u64) < MAX_SCRIPT);
    }

    #[test]
    fn script_can_be_inlined_in_html() {
        let script = echarts().unwrap().to_lowercase();
        assert!(!script.contains("</script") && !script.contains("<!--"));
    }
}
