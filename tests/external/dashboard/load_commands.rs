//! The page of a running test: pause, resume, stop.

use std::path::Path;

use super::with_browser;
use crate::browser::Browser;
use crate::common::{Node, start_detached};

/// Starts a test whose tasks sleep for `ms` milliseconds; returns its id.
fn start_sleeping(dir: &Path, at: &Node, ms: u32) -> String {
    let plan = dir.join("plan.toml");
    let text =
        format!("[task]\ntype = \"SLEEP\"\nms = {ms}\n[load]\nrate = 5\nduration = \"5m\"\n");
    std::fs::write(&plan, text).unwrap();
    let plan = plan.to_str().unwrap();
    start_detached(at, &[plan, "--yes"])
}

#[test]
fn a_paused_test_shows_its_state_and_no_remaining_time() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        let id = start_sleeping(dir.path(), &node, 5);
        let b = Browser::open_page(dir.path(), &node.api, &format!("#/tests/{id}")).await;
        let shown = |badge: &str, left: &str| {
            format!(
                "return document.querySelector('.meta .badge').textContent === {badge:?} \
                 && document.querySelector('.progress .meta').lastChild.textContent.endsWith({left:?})"
            )
        };
        b.wait_for("the running test", &shown("running", " left"))
            .await;
        let pause = "[...document.querySelectorAll('.actions button')].find(e => e.innerText === 'Pause').click()";
        b.js(pause).await;
        b.wait_for("the pause", &shown("paused", "paused")).await;
        b.screenshot("paused.png").await;
        b.js(&pause.replace("Pause", "Resume")).await;
        b.wait_for("the resumed test", &shown("running", " left"))
            .await;
        b.close_without_errors().await;
    });
}

/// A graceful stop that waits for responses can be followed by an immediate stop.
#[test]
fn a_graceful_stop_can_be_turned_into_an_immediate_stop() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        // Tasks that stay in flight for a minute.
        let id = start_sleeping(dir.path(), &node, 60_000);
        let b = Browser::open_page(dir.path(), &node.api, &format!("#/tests/{id}")).await;
        b.wait_for(
            "load",
            "return echarts.getInstanceByDom(document.querySelector('[_echarts_instance_]'))?.getOption().series[0].data.length >= 2",
        )
        .await;
        b.click("#stop").await;
        b.click("dialog button[value='graceful']").await;
        b.wait_for(
            "the button Stop now",
            "return document.querySelector('#stop').innerText.includes('Stop now')",
        )
        .await;
        b.click("#stop").await;
        b.click("dialog button[value='now']").await;
        b.wait_for(
            "the end",
            "return document.querySelector('#stop').hidden && document.body.innerText.includes('stopped')",
        )
        .await;
        b.close_without_errors().await;
    });
}
