//! What pages of ours are drawn with: Apache ECharts 5.5.1 (Apache-2.0), which `build.rs` takes
//! from the package of the crate `charming` and packs.

use std::io::{self, Read};

use flate2::read::GzDecoder;

/// ECharts, minified and gzipped, as a browser takes it with `Content-Encoding: gzip`.
pub const ECHARTS_GZ: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echarts.js.gz"));

/// Longest that it may be when inflated: it is 1.03 MB.
const MAX_SCRIPT: u64 = 4 << 20;

/// ECharts as JavaScript text, to be put into a page that works without a server.
///
/// # Errors
/// It does not inflate to text: the binary is damaged.
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
    fn the_chart_library_is_there_whole_and_with_its_licence() {
        let script = echarts().unwrap();
        assert!(script.contains("Licensed to the Apache Software Foundation"));
        assert!(script.contains("5.5.1"));
        assert!(script.trim_end().ends_with(';') || script.trim_end().ends_with('}'));
        assert!((script.len() as u64) < MAX_SCRIPT);
    }

    #[test]
    fn it_can_stand_inside_a_page() {
        let script = echarts().unwrap().to_lowercase();
        assert!(!script.contains("</script") && !script.contains("<!--"));
    }
}
