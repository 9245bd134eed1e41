//! The dashboard in a real browser, against real nodes on loopback.

mod access;
mod load_commands;
mod nodes;
mod start_page;
mod whole_test;

use std::path::Path;

use crate::browser::CHROMEDRIVER;
use crate::common::require;
use tokio::runtime::Builder;

fn has_browser() -> bool {
    require(
        "chromedriver (Debian's chromium-driver)",
        Path::new(CHROMEDRIVER).exists(),
    )
}

fn with_browser<F: Future<Output = ()>>(story: impl FnOnce() -> F) {
    if has_browser() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(story());
    }
}
