//! The page that starts a test: the form, and a plan as text.

use super::with_browser;
use crate::browser::Browser;
use crate::common::{Node, vajra};
use serde_json::json;

/// Replaces the text of the plan.
async fn type_plan(b: &Browser, text: &str) {
    let text = json!(text);
    b.js(&format!(
        "const a = document.querySelector('textarea.plan'); a.value = {text}; a.dispatchEvent(new Event('input'))"
    ))
    .await;
}

#[test]
fn a_pasted_plan_shows_its_errors() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        let b = Browser::open_page(dir.path(), &node.api, "#/start").await;
        b.click(".segments button[data-value='text']").await;
        type_plan(&b, "[task]\ntype = \"SLEEP\"\nms = 5\n[lod]\nrate = 10\n").await;
        b.wait_for("the place", "return document.querySelector('#plan-error')?.textContent.includes('4 | [lod]\\n  |  ^^^')").await;
        b.wait_for("no start", "return document.querySelector('#go').disabled")
            .await;
        b.screenshot("paste.png").await;
        type_plan(
            &b,
            "[task]\ntype = \"SLEEP\"\nms = 5\n[load]\nrate = 10\nduration = \"2s\"\n",
        )
        .await;
        b.wait_for_text("20").await;
        b.wait_for("a start", "return !document.querySelector('#go').disabled && !document.querySelector('#plan-error')").await;
        b.close_without_errors().await;
    });
}

/// The plan that is started must be the one that passed the pre-flight check.
#[test]
fn a_plan_edited_during_preflight_is_not_started() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        let b = Browser::open_page(dir.path(), &node.api, "#/start").await;
        // Delay the pre-flight response until the test calls `letThrough`.
        b.js("const real = window.fetch; window.fetch = async (url, options) => { \
                  const answer = await real(url, options); \
                  if (String(url).endsWith('/preflight')) await new Promise(go => { window.letThrough = go; }); \
                  return answer; }")
            .await;
        b.click(".segments button[data-value='text']").await;
        type_plan(
            &b,
            "[task]\ntype = \"SLEEP\"\nms = 5\n[load]\nrate = 10\nduration = \"2s\"\n",
        )
        .await;
        b.click("#go").await;
        b.wait_for("pre-flight", "return Boolean(window.letThrough)")
            .await;
        type_plan(&b, "[task").await;
        b.wait_for(
            "the error",
            "return Boolean(document.querySelector('#plan-error'))",
        )
        .await;
        // Leave time for the request that would follow if the page accepted the response.
        let settled = "window.letThrough(); setTimeout(() => { window.settled = true; }, 200)";
        b.js(settled).await;
        b.wait_for("the end of the delay", "return window.settled === true")
            .await;
        b.wait_for("no start", "return document.querySelector('#go').disabled")
            .await;
        assert_eq!(b.js("return location.hash").await, "#/start");
        assert_eq!(
            node.json(&["tests"])["tests"],
            serde_json::json!([]),
            "nothing was started"
        );
        b.close_without_errors().await;
    });
}

/// Every task type of the schema can be selected and has its own fields.
#[test]
fn the_form_offers_every_task_type_of_the_schema() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        let b = Browser::open_page(dir.path(), &node.api, "#/start").await;
        let schema: serde_json::Value = serde_json::from_str(&vajra(&["schema"]).stdout).unwrap();
        let types = &schema["$defs"]["Task"]["properties"]["type"]["oneOf"];
        for kind in types.as_array().unwrap() {
            let kind = kind["const"].as_str().unwrap();
            b.click(&format!("input[name='task-type'][value='{kind}']"))
                .await;
            let other = format!(
                "return Boolean(document.querySelector('input[type=url]')) === ({kind:?} === 'HTTP')"
            );
            b.wait_for(kind, &other).await;
        }
        b.close_without_errors().await;
    });
}
