//! The dashboard in a real browser, against real nodes on loopback.

use std::path::Path;

use crate::browser::{Browser, CHROMEDRIVER};
use crate::common::{Node, Target, eventually, require, swarm, vajra};
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

/// Runs a test from the command line, just long enough for a comparison with noise estimates;
/// returns its id.
fn run(at: &Node, url: &str, name: &str) -> String {
    let args = [
        "start-test",
        url,
        "--rate",
        "50",
        "--duration",
        "12s",
        "--yes",
    ];
    let mut all = args.to_vec();
    all.extend(["--name", name, "--api", &at.api, "--json", "-"]);
    let out = vajra(&all);
    assert_eq!(out.code, 0, "{}", out.stderr);
    out.json()["test_id"].as_str().unwrap().to_owned()
}

/// Kills the coordinator, or another worker if the coordinator serves the page.
fn kill_coordinator_or_worker(nodes: &mut [Node], id: &str) -> String {
    let coordinator = eventually(|| {
        let result = nodes[0].json(&["status", id]);
        let coordinators = result["coordinators"].as_array().unwrap();
        let peer = coordinators.last().and_then(|r| r["peer"].as_str());
        peer.map(str::to_owned)
            .ok_or("there is no coordinator yet".into())
    });
    let at = nodes.iter().position(|n| n.peer == coordinator);
    let victim = &mut nodes[at.unwrap().max(1)];
    victim.process.kill();
    victim.name.clone()
}

#[test]
fn a_test_is_started_watched_stopped_and_compared() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::start(dir.path(), &[]);
        let mut nodes = swarm(dir.path(), 5, &[]);
        let before = run(&nodes[0], &target.url, "last week");
        let b = Browser::open(dir.path(), false).await;

        // The swarm page lists all nodes.
        let page = format!("http://{}/", nodes[0].api);
        b.client.goto(&page).await.unwrap();
        b.wait_for(
            "five nodes",
            "return document.querySelectorAll('tbody tr').length === 5",
        )
        .await;
        b.wait_for_text("this node").await;
        b.screenshot("swarm.png").await;
        b.click(".node-name button").await;
        let none = "const empty = [...document.querySelectorAll('dialog dt')].filter(t => t.nextSibling.textContent === 'none'); \
                    return empty.map(t => t.textContent).join() === 'Shares,Labels'";
        b.wait_for("empty fields of a node", none).await;
        b.screenshot("node.png").await;
        b.click("dialog .actions button").await;

        // Start: missing values are reported at their fields, and the load is drawn.
        b.click("a.btn.primary[href='#/start']").await;
        b.wait_for_text("Still to fill in: URL").await;
        let plan_requests = "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/plan')).length";
        assert_eq!(
            b.js(plan_requests).await,
            0,
            "an empty form is not sent as a plan"
        );
        b.click("#go").await;
        b.wait_for("an error at the URL", "return document.activeElement.type === 'url' && document.activeElement.getAttribute('aria-invalid') === 'true'").await;
        b.fill_in("URL", &target.url).await;
        b.fill_in("Rate", "200").await;
        b.fill_in("Ramp up", "3s").await;
        b.fill_in("Duration", "2m").await;
        b.wait_for_text("Details of the stages").await;
        b.wait_for(
            "a chart of the load",
            "return document.querySelectorAll('aside canvas').length === 1",
        )
        .await;
        b.screenshot("start.png").await;
        b.click("#go").await;
        // On a busy machine there is a warning; start the test despite it.
        let started = "if (location.hash.startsWith('#/tests/')) return true; \
                       document.querySelector('#anyway:not(:disabled)')?.click(); return false";
        b.wait_for("the test's page", started).await;
        b.wait_for("its id", "return location.hash.length > 40")
            .await;
        let hash = b.js("return location.hash").await;
        let id = hash
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();

        // Watch: charts are updated, and a lost node is shown.
        b.wait_for_text("ramp-up").await;
        b.wait_for(
            "charts",
            "return document.querySelectorAll('.charts canvas').length >= 2",
        )
        .await;
        let points = "const c = echarts.getInstanceByDom(document.querySelector('[_echarts_instance_]')); \
                      return c.getOption().series[0].data.length >= 8";
        b.wait_for("eight points", points).await;
        // A logarithmic scale starts below the lowest value, also if that is below 1 ms.
        b.click(".segments[aria-label='Scale'] button[data-value='log']")
            .await;
        let below = "const card = document.querySelector('.card[aria-label=\"Response time\"]'); \
                     const o = echarts.getInstanceByDom(card.querySelector('[_echarts_instance_]')).getOption(); \
                     const p50 = o.series.find(s => s.name === 'p50').data.map(d => d[1]).filter(v => v > 0); \
                     return o.yAxis[0].type === 'log' && p50.length > 0 && o.yAxis[0].min <= Math.min(...p50)";
        b.wait_for("an axis that includes all values", below).await;
        b.click(".segments[aria-label='Scale'] button[data-value='auto']")
            .await;
        b.js("window.scrollTo(0, 0)").await;
        b.screenshot("running.png").await;
        // Tiles show the current values; progress and terms have the same time scale.
        let note = "const tile = [...document.querySelectorAll('.tile')].find(t => t.innerText.startsWith('Requests')); \
                    return tile.querySelector('.note').textContent";
        let note = b.js(note).await;
        assert!(note.as_str().unwrap().starts_with("in 0:"), "{note}");
        let ends = "const right = e => e.getBoundingClientRect().right; \
                    const filled = [...document.querySelectorAll('.track .fill')].filter(f => f.offsetWidth).pop(); \
                    const tenure = [...document.querySelectorAll('.terms .tenure')].pop(); \
                    return Math.abs(right(filled) - right(tenure)) < 20";
        b.wait_for("one scale", ends).await;
        let lost = kill_coordinator_or_worker(&mut nodes, &id);
        // The node is shown first as sending nothing, then as lost.
        let loss = "return /sends nothing|lost at/.test(document.body.innerText)";
        b.wait_for("the loss", loss).await;
        let more = points.replace(">= 8", ">= 25");
        b.wait_for("points after the loss", &more).await;
        b.screenshot("test.png").await;
        b.js("document.querySelector('.side-foot button').click()")
            .await;
        b.screenshot("test-dark.png").await;
        b.js("document.querySelector('.side-foot button').click()")
            .await;

        // Stop, and confirm the dialog.
        b.click("#stop").await;
        b.click("dialog button[value='graceful']").await;
        b.wait_for_text("The result is degraded").await;
        let rows = format!(
            "const rows = [...document.querySelectorAll('.card[aria-label=\"Nodes\"] tbody tr')]; \
             return rows.length === 5 && rows.every(r => r.innerText.includes({lost:?}) \
                 ? r.className === 'off' && r.innerText.includes('lost at') && r.children[1].textContent === '–' \
                 : r.innerText.includes('carried load'))"
        );
        b.wait_for("the states of lost and healthy nodes", &rows)
            .await;
        b.screenshot("ended.png").await;
        b.wait_for(
            "no stop button",
            "return document.querySelector('#stop').hidden",
        )
        .await;

        // The report opens in a new window.
        let page_of_test = b.client.window().await.unwrap();
        b.click("#report").await;
        b.switch_to_new_window().await;
        let verdict =
            "return document.querySelector('.verdict .badge')?.textContent.includes('degraded')";
        b.wait_for("the report's verdict", verdict).await;
        b.wait_for(
            "a chart in the report",
            "return Boolean(document.querySelector('#chart-rate canvas'))",
        )
        .await;
        b.client.close_window().await.unwrap();
        b.client.switch_to_window(page_of_test).await.unwrap();

        // Compare with the earlier test.
        b.js("location.hash = '#/history'").await;
        b.wait_for_text("last week").await;
        b.wait_for("two picked", "document.querySelectorAll('tbody input:not(:checked)').forEach(i => i.click()); return document.querySelectorAll('tbody input:checked').length === 2").await;
        b.screenshot("history.png").await;
        b.click(".pick a.btn.primary").await;
        b.wait_for_text("2 tests side by side").await;
        b.wait_for_text("The plans differ (load)").await;
        // The page shows the judgements of the API, with a colour only for better and worse.
        let judgements = format!(
            "const found = await (await fetch('/api/v1/tests/{id}/compare?with={before}')).json(); \
             const rows = found.metrics.map(m => [m, document.querySelector(`tr[data-metric='${{m.metric}}'] .delta`)]); \
             return found.noise.judged && rows.every(([m, delta]) => \
                 (delta.querySelector('.judgement')?.textContent ?? null) === m.judgement \
                 && delta.classList[1] === ({{ better: 'good', worse: 'bad' }}[m.judgement] ?? 'same'))"
        );
        b.wait_for("the judgements", &judgements).await;
        b.screenshot("compare.png").await;
        let compared = b.js("return location.hash").await;
        assert_eq!(compared, format!("#/compare/{before},{id}"));
        // With more than two tests, each is compared with the first.
        b.js(&format!(
            "location.hash = '#/compare/{before},{id},{before}'"
        ))
        .await;
        b.wait_for_text("3 tests side by side").await;
        b.wait_for_text("2: unnamed: the test is degraded").await;
        let words = "const of = n => [...document.querySelectorAll(`tr[data-metric] > td:nth-child(${n})`)] \
                         .filter(cell => cell.querySelector('.judgement')).length; \
                     return of(4) > 0 && of(6) === 0";
        b.wait_for("comparisons with another test and with itself", words)
            .await;
        b.screenshot("compare-three.png").await;
        b.assert_clean().await;
        b.close().await;

        let phone = Browser::open(dir.path(), true).await;
        phone
            .client
            .goto(&format!("{page}#/tests/{id}"))
            .await
            .unwrap();
        phone.wait_for_text("The result is degraded").await;
        phone
            .wait_for(
                "no horizontal overflow",
                "return document.documentElement.scrollWidth <= innerWidth",
            )
            .await;
        phone.screenshot("phone.png").await;
        // Charts are created when they are scrolled into view.
        phone
            .js("document.querySelector('.charts').scrollIntoView()")
            .await;
        phone
            .wait_for(
                "charts",
                "return document.querySelectorAll('.charts canvas').length >= 1",
            )
            .await;
        phone.assert_clean().await;
        phone.close().await;
    });
}

#[test]
fn a_pasted_plan_shows_its_errors() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        let b = Browser::open(dir.path(), false).await;
        b.client
            .goto(&format!("http://{}/#/start", node.api))
            .await
            .unwrap();
        b.click(".segments button[data-value='text']").await;
        let typed = |text: &str| {
            let text = serde_json::json!(text);
            format!(
                "const a = document.querySelector('textarea.plan'); a.value = {text}; a.dispatchEvent(new Event('input'))"
            )
        };
        b.js(&typed(
            "[task]\ntype = \"SLEEP\"\nms = 5\n[lod]\nrate = 10\n",
        ))
        .await;
        b.wait_for("the place", "return document.querySelector('#plan-error')?.textContent.includes('4 | [lod]\\n  |  ^^^')").await;
        b.wait_for("no start", "return document.querySelector('#go').disabled")
            .await;
        b.screenshot("paste.png").await;
        b.js(&typed(
            "[task]\ntype = \"SLEEP\"\nms = 5\n[load]\nrate = 10\nduration = \"2s\"\n",
        ))
        .await;
        b.wait_for_text("20").await;
        b.wait_for("a start", "return !document.querySelector('#go').disabled && !document.querySelector('#plan-error')").await;
        b.assert_clean().await;
        b.close().await;
    });
}

/// The plan that is started must be the one that passed the pre-flight check.
#[test]
fn a_plan_edited_during_preflight_is_not_started() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        let b = Browser::open(dir.path(), false).await;
        let page = format!("http://{}/#/start", node.api);
        b.client.goto(&page).await.unwrap();
        // Delay the pre-flight response until the test calls `letThrough`.
        b.js("const real = window.fetch; window.fetch = async (url, options) => { \
                  const answer = await real(url, options); \
                  if (String(url).endsWith('/preflight')) await new Promise(go => { window.letThrough = go; }); \
                  return answer; }")
            .await;
        b.click(".segments button[data-value='text']").await;
        let typed = |text: &str| {
            let text = serde_json::json!(text);
            format!(
                "const a = document.querySelector('textarea.plan'); a.value = {text}; a.dispatchEvent(new Event('input'))"
            )
        };
        b.js(&typed(
            "[task]\ntype = \"SLEEP\"\nms = 5\n[load]\nrate = 10\nduration = \"2s\"\n",
        ))
        .await;
        b.click("#go").await;
        b.wait_for("pre-flight", "return Boolean(window.letThrough)")
            .await;
        b.js(&typed("[task")).await;
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
        b.assert_clean().await;
        b.close().await;
    });
}

/// Starts a test whose tasks sleep for `ms` milliseconds; returns its id.
fn start_sleeping(dir: &Path, at: &Node, ms: u32) -> String {
    let plan = dir.join("plan.toml");
    let text =
        format!("[task]\ntype = \"SLEEP\"\nms = {ms}\n[load]\nrate = 5\nduration = \"5m\"\n");
    std::fs::write(&plan, text).unwrap();
    let plan = plan.to_str().unwrap();
    let out = vajra(&["start-test", plan, "--yes", "--detach", "--api", &at.api]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    out.stdout.trim().to_owned()
}

#[test]
fn a_paused_test_shows_its_state_and_no_remaining_time() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        let id = start_sleeping(dir.path(), &node, 5);
        let b = Browser::open(dir.path(), false).await;
        let page = format!("http://{}/#/tests/{id}", node.api);
        b.client.goto(&page).await.unwrap();
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
        b.assert_clean().await;
        b.close().await;
    });
}

#[test]
fn a_draining_node_is_marked_and_has_no_free_capacity() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let nodes = swarm(dir.path(), 2, &[]);
        let b = Browser::open(dir.path(), false).await;
        let page = format!("http://{}/", nodes[0].api);
        b.client.goto(&page).await.unwrap();
        b.wait_for_text("all nodes").await;
        let tile = |name: &str| {
            format!(
                "[...document.querySelectorAll('.tile')].find(t => t.innerText.startsWith({name:?})).querySelector('dd').innerText"
            )
        };
        let same = format!("return {} === {}", tile("Free"), tile("Capacity"));
        b.wait_for("free capacity equal to capacity", &same).await;
        b.js("[...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('n1')).querySelector('td:last-child button').click()")
            .await;
        b.click("dialog button[value='drain']").await;
        b.wait_for_text("1 draining").await;
        b.wait_for("less free capacity", &same.replace("===", "!=="))
            .await;
        let row = "const row = [...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('n1')); \
                   return row.querySelector('.badge.warn').textContent === 'draining'";
        b.wait_for("its state", row).await;
        b.assert_clean().await;
        b.close().await;
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
        let b = Browser::open(dir.path(), false).await;
        let page = format!("http://{}/#/tests/{id}", node.api);
        b.client.goto(&page).await.unwrap();
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
        b.assert_clean().await;
        b.close().await;
    });
}

/// Starts a node with a given API address, for example that of a node that was killed.
fn node_at(dir: &Path, api: &str) -> Node {
    let mut command = std::process::Command::new(crate::common::VAJRA);
    let data = dir.join("n0");
    command
        .args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"])
        .args(["--api", api, "--name", "n0"])
        .args(["--data-dir", data.to_str().unwrap()]);
    Node::from_process(crate::common::Process::spawn(command, dir.join("n0.log")))
}

#[test]
fn a_lost_connection_is_shown_until_it_is_restored() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node_at(dir.path(), "127.0.0.1:0");
        let api = node.api.clone();
        let b = Browser::open(dir.path(), false).await;
        // A page with an event stream, one that polls, and one that is idle.
        for (page, word) in [
            ("swarm", "Healthy nodes"),
            ("history", "No tests yet"),
            ("start", "Start a test"),
        ] {
            let address = format!("http://{api}/#/{page}");
            b.client.goto(&address).await.unwrap();
            b.wait_for_text(word).await;
            node.process.kill();
            b.wait_for_text("Connection lost").await;
            node = node_at(dir.path(), &api);
            let back = "return document.querySelector('#connection').hidden";
            b.wait_for("the connection", back).await;
            b.wait_for_text(word).await;
        }
        b.assert_clean().await;
        b.close().await;
    });
}

/// Every task type of the schema can be selected and has its own fields.
#[test]
fn the_form_offers_every_task_type_of_the_schema() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        let b = Browser::open(dir.path(), false).await;
        b.client
            .goto(&format!("http://{}/#/start", node.api))
            .await
            .unwrap();
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
        b.assert_clean().await;
        b.close().await;
    });
}

#[test]
fn the_token_is_requested_once() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "open-sesame-please\n").unwrap();
        let file = file.to_str().unwrap();
        let node = Node::start(dir.path(), "n0", &["--api-token-file", file]);
        let b = Browser::open(dir.path(), false).await;
        b.client
            .goto(&format!("http://{}/", node.api))
            .await
            .unwrap();
        b.wait_for_text("This node requires a token").await;
        b.fill_in("Token", "wrong").await;
        b.click("dialog button[value='go']").await;
        b.wait_for_text("not the one").await;
        b.fill_in("Token", "open-sesame-please").await;
        b.click("dialog button[value='go']").await;
        b.wait_for_text("Healthy nodes").await;
        b.client.refresh().await.unwrap();
        b.wait_for_text("Healthy nodes").await;
        // A new tab could not send the token, so the page saves the metrics as a file.
        b.js("URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text; }); return '#/swarm'; }")
            .await;
        b.click("a[href='/metrics']").await;
        b.wait_for("metrics", "return window.saved?.includes('vajra_node')")
            .await;
        assert_eq!(
            b.js("return document.querySelector('dialog')").await,
            serde_json::Value::Null
        );
        b.assert_clean().await;
        b.close().await;
    });
}
