//! The dashboard in a real browser, against real nodes on loopback.

use std::path::Path;

use crate::browser::{Browser, CHROMEDRIVER};
use crate::common::{Node, Target, eventually, require, swarm, vajra};
use tokio::runtime::Builder;

fn browser_is_there() -> bool {
    require(
        "chromedriver (Debian's chromium-driver)",
        Path::new(CHROMEDRIVER).exists(),
    )
}

fn with_browser<F: Future<Output = ()>>(story: impl FnOnce() -> F) {
    if browser_is_there() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(story());
    }
}

/// Runs a test to its end from the command line, just long enough to be judged against
/// another; returns its id.
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

/// Kills the coordinator; if that is the node which serves the page, another worker.
fn kill_somebody(nodes: &mut [Node], id: &str) -> String {
    let coordinator = eventually(|| {
        let result = nodes[0].json(&["status", id]);
        let reigns = result["coordinators"].as_array().unwrap();
        let peer = reigns.last().and_then(|r| r["peer"].as_str());
        peer.map(str::to_owned)
            .ok_or("nobody coordinates yet".into())
    });
    let at = nodes.iter().position(|n| n.peer == coordinator);
    let victim = &mut nodes[at.unwrap().max(1)];
    victim.process.kill();
    victim.name.clone()
}

#[test]
fn a_test_is_started_watched_through_a_loss_stopped_and_compared() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::start(dir.path(), &[]);
        let mut nodes = swarm(dir.path(), 5, &[]);
        let before = run(&nodes[0], &target.url, "last week");
        let b = Browser::open(dir.path(), false).await;

        // The swarm: everybody is there.
        let page = format!("http://{}/", nodes[0].api);
        b.client.goto(&page).await.unwrap();
        b.until(
            "five nodes",
            "return document.querySelectorAll('tbody tr').length === 5",
        )
        .await;
        b.says("this node").await;
        b.picture("swarm.png").await;
        b.click(".node-name button").await;
        let none = "const told = [...document.querySelectorAll('dialog dt')].filter(t => t.nextSibling.textContent === 'none'); \
                    return told.map(t => t.textContent).join() === 'Shares,Labels'";
        b.until("what a node has not", none).await;
        b.picture("node.png").await;
        b.click("dialog .actions button").await;

        // Start: what is missing is said where it is missing, what is written is drawn.
        b.click("a.btn.primary[href='#/start']").await;
        b.says("Still to fill in: URL").await;
        let asked = "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/plan')).length";
        assert_eq!(
            b.js(asked).await,
            0,
            "an empty form is no plan to ask about"
        );
        b.click("#go").await;
        b.until("an error at the URL", "return document.activeElement.type === 'url' && document.activeElement.getAttribute('aria-invalid') === 'true'").await;
        b.write("URL", &target.url).await;
        b.write("Rate", "200").await;
        b.write("Ramp up", "3s").await;
        b.write("Duration", "2m").await;
        b.says("Details of the stages").await;
        b.until(
            "a shape",
            "return document.querySelectorAll('aside canvas').length === 1",
        )
        .await;
        b.picture("start.png").await;
        b.click("#go").await;
        // A busy machine is warned of; then one starts it anyway.
        let started = "if (location.hash.startsWith('#/tests/')) return true; \
                       document.querySelector('#anyway:not(:disabled)')?.click(); return false";
        b.until("the test's page", started).await;
        b.until("its id", "return location.hash.length > 40").await;
        let hash = b.js("return location.hash").await;
        let id = hash
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();

        // Watch: charts move; a loss shows.
        b.says("ramp-up").await;
        b.until(
            "charts",
            "return document.querySelectorAll('.charts canvas').length >= 2",
        )
        .await;
        let points = "const c = echarts.getInstanceByDom(document.querySelector('[_echarts_instance_]')); \
                      return c.getOption().series[0].data.length >= 8";
        b.until("eight seconds of it", points).await;
        // A logarithmic scale begins below what is shown, also where that is below 1 ms.
        b.click(".segments[aria-label='Scale'] button[data-value='log']")
            .await;
        let below = "const card = document.querySelector('.card[aria-label=\"Response time\"]'); \
                     const o = echarts.getInstanceByDom(card.querySelector('[_echarts_instance_]')).getOption(); \
                     const p50 = o.series.find(s => s.name === 'p50').data.map(d => d[1]).filter(v => v > 0); \
                     return o.yAxis[0].type === 'log' && p50.length > 0 && o.yAxis[0].min <= Math.min(...p50)";
        b.until("an axis with room for all", below).await;
        b.click(".segments[aria-label='Scale'] button[data-value='auto']")
            .await;
        b.js("window.scrollTo(0, 0)").await;
        b.picture("running.png").await;
        // Numbers of one moment, progress and terms on one scale.
        let note = "const tile = [...document.querySelectorAll('.tile')].find(t => t.innerText.startsWith('Requests')); \
                    return tile.querySelector('.note').textContent";
        let note = b.js(note).await;
        assert!(note.as_str().unwrap().starts_with("in 0:"), "{note}");
        let ends = "const right = e => e.getBoundingClientRect().right; \
                    const filled = [...document.querySelectorAll('.track .fill')].filter(f => f.offsetWidth).pop(); \
                    const tenure = [...document.querySelectorAll('.terms .tenure')].pop(); \
                    return Math.abs(right(filled) - right(tenure)) < 20";
        b.until("one scale", ends).await;
        let lost = kill_somebody(&mut nodes, &id);
        // First that it sends nothing, and soon that it is lost.
        let missed = "return /sends nothing|lost at/.test(document.body.innerText)";
        b.until("the loss", missed).await;
        let more = points.replace(">= 8", ">= 25");
        b.until("what came after", &more).await;
        b.picture("test.png").await;
        b.js("document.querySelector('.side-foot button').click()")
            .await;
        b.picture("test-dark.png").await;
        b.js("document.querySelector('.side-foot button').click()")
            .await;

        // Stop, after having been asked.
        b.click("#stop").await;
        b.click("dialog button[value='graceful']").await;
        b.says("The result is degraded").await;
        let rows = format!(
            "const rows = [...document.querySelectorAll('.card[aria-label=\"Nodes\"] tbody tr')]; \
             return rows.length === 5 && rows.every(r => r.innerText.includes({lost:?}) \
                 ? r.className === 'off' && r.innerText.includes('lost at') && r.children[1].textContent === '–' \
                 : r.innerText.includes('carried load'))"
        );
        b.until("who was lost, and who was not", &rows).await;
        b.picture("ended.png").await;
        b.until(
            "no stop button",
            "return document.querySelector('#stop').hidden",
        )
        .await;

        // The report is a page of its own.
        let page_of_test = b.client.window().await.unwrap();
        b.click("#report").await;
        b.go_to_opened().await;
        let verdict =
            "return document.querySelector('.verdict .badge')?.textContent.includes('degraded')";
        b.until("the report's verdict", verdict).await;
        b.until(
            "a chart in the report",
            "return Boolean(document.querySelector('#chart-rate canvas'))",
        )
        .await;
        b.client.close_window().await.unwrap();
        b.client.switch_to_window(page_of_test).await.unwrap();

        // Compare with what was before.
        b.js("location.hash = '#/history'").await;
        b.says("last week").await;
        b.until("two picked", "document.querySelectorAll('tbody input:not(:checked)').forEach(i => i.click()); return document.querySelectorAll('tbody input:checked').length === 2").await;
        b.picture("history.png").await;
        b.click(".pick a.btn.primary").await;
        b.says("2 tests side by side").await;
        b.says("The plans differ (load)").await;
        // The words are the node's own, and colour is only where they say better or worse.
        let judged = format!(
            "const found = await (await fetch('/api/v1/tests/{id}/compare?with={before}')).json(); \
             const rows = found.metrics.map(m => [m, document.querySelector(`tr[data-metric='${{m.metric}}'] .delta`)]); \
             return found.noise.judged && rows.every(([m, delta]) => \
                 (delta.querySelector('.judgement')?.textContent ?? null) === m.judgement \
                 && delta.classList[1] === ({{ better: 'good', worse: 'bad' }}[m.judgement] ?? 'same'))"
        );
        b.until("the judgement", &judged).await;
        b.picture("compare.png").await;
        let compared = b.js("return location.hash").await;
        assert_eq!(compared, format!("#/compare/{before},{id}"));
        // Of more than two each is held against the first.
        b.js(&format!(
            "location.hash = '#/compare/{before},{id},{before}'"
        ))
        .await;
        b.says("3 tests side by side").await;
        b.says("2: unnamed: the test is degraded").await;
        let words = "const of = n => [...document.querySelectorAll(`tr[data-metric] > td:nth-child(${n})`)] \
                         .filter(cell => cell.querySelector('.judgement')).length; \
                     return of(4) > 0 && of(6) === 0";
        b.until("a test held against another and itself", words)
            .await;
        b.picture("compare-three.png").await;
        b.assert_clean().await;
        b.close().await;

        let phone = Browser::open(dir.path(), true).await;
        phone
            .client
            .goto(&format!("{page}#/tests/{id}"))
            .await
            .unwrap();
        phone.says("The result is degraded").await;
        phone
            .until(
                "nothing beyond the edge",
                "return document.documentElement.scrollWidth <= innerWidth",
            )
            .await;
        phone.picture("phone.png").await;
        // Charts are made when they come into view.
        phone
            .js("document.querySelector('.charts').scrollIntoView()")
            .await;
        phone
            .until(
                "charts",
                "return document.querySelectorAll('.charts canvas').length >= 1",
            )
            .await;
        phone.assert_clean().await;
        phone.close().await;
    });
}

#[test]
fn a_plan_that_is_pasted_shows_what_is_wrong_in_it() {
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
        b.until("the place", "return document.querySelector('#plan-error')?.textContent.includes('4 | [lod]\\n  |  ^^^')").await;
        b.until("no start", "return document.querySelector('#go').disabled")
            .await;
        b.picture("paste.png").await;
        b.js(&typed(
            "[task]\ntype = \"SLEEP\"\nms = 5\n[load]\nrate = 10\nduration = \"2s\"\n",
        ))
        .await;
        b.says("20").await;
        b.until("a start", "return !document.querySelector('#go').disabled && !document.querySelector('#plan-error')").await;
        b.assert_clean().await;
        b.close().await;
    });
}

/// What pre-flight was asked about must be what is started.
#[test]
fn a_plan_that_is_edited_during_its_preflight_is_not_started() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        let b = Browser::open(dir.path(), false).await;
        let page = format!("http://{}/#/start", node.api);
        b.client.goto(&page).await.unwrap();
        // Pre-flight's answer waits until it is let through.
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
        b.until("pre-flight", "return Boolean(window.letThrough)")
            .await;
        b.js(&typed("[task")).await;
        b.until(
            "what is wrong",
            "return Boolean(document.querySelector('#plan-error'))",
        )
        .await;
        // What follows from the answer, were it taken: a request that loopback answers at once.
        let settled = "window.letThrough(); setTimeout(() => { window.settled = true; }, 200)";
        b.js(settled).await;
        b.until("the answer's end", "return window.settled === true")
            .await;
        b.until("no start", "return document.querySelector('#go').disabled")
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

/// Starts a test of tasks that do nothing for so long; returns its id.
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
fn a_test_that_stands_still_says_so_and_tells_no_time_left() {
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
        b.until("how it goes", &shown("running", " left")).await;
        let pause = "[...document.querySelectorAll('.actions button')].find(e => e.innerText === 'Pause').click()";
        b.js(pause).await;
        b.until("the pause", &shown("paused", "paused")).await;
        b.picture("paused.png").await;
        b.js(&pause.replace("Pause", "Resume")).await;
        b.until("how it goes on", &shown("running", " left")).await;
        b.assert_clean().await;
        b.close().await;
    });
}

#[test]
fn a_node_that_is_drained_shows_as_that_and_has_no_room() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let nodes = swarm(dir.path(), 2, &[]);
        let b = Browser::open(dir.path(), false).await;
        let page = format!("http://{}/", nodes[0].api);
        b.client.goto(&page).await.unwrap();
        b.says("all nodes").await;
        let tile = |name: &str| {
            format!(
                "[...document.querySelectorAll('.tile')].find(t => t.innerText.startsWith({name:?})).querySelector('dd').innerText"
            )
        };
        let same = format!("return {} === {}", tile("Free"), tile("Capacity"));
        b.until("all the room there is", &same).await;
        b.js("[...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('n1')).querySelector('td:last-child button').click()")
            .await;
        b.click("dialog button[value='drain']").await;
        b.says("1 draining").await;
        b.until("less room", &same.replace("===", "!==")).await;
        let row = "const row = [...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('n1')); \
                   return row.querySelector('.badge.warn').textContent === 'draining'";
        b.until("its state", row).await;
        b.assert_clean().await;
        b.close().await;
    });
}

/// Who waits for the last responses may still give them up.
#[test]
fn a_test_that_stops_gracefully_can_be_stopped_now() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), "n0", &[]);
        // Tasks that are on their way for a minute.
        let id = start_sleeping(dir.path(), &node, 60_000);
        let b = Browser::open(dir.path(), false).await;
        let page = format!("http://{}/#/tests/{id}", node.api);
        b.client.goto(&page).await.unwrap();
        b.until(
            "load",
            "return echarts.getInstanceByDom(document.querySelector('[_echarts_instance_]'))?.getOption().series[0].data.length >= 2",
        )
        .await;
        b.click("#stop").await;
        b.click("dialog button[value='graceful']").await;
        b.until(
            "another offer",
            "return document.querySelector('#stop').innerText.includes('Stop now')",
        )
        .await;
        b.click("#stop").await;
        b.click("dialog button[value='now']").await;
        b.until(
            "the end",
            "return document.querySelector('#stop').hidden && document.body.innerText.includes('stopped')",
        )
        .await;
        b.assert_clean().await;
        b.close().await;
    });
}

/// Starts a node that answers at this address, whoever answered there before.
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
fn a_lost_connection_is_told_until_it_is_back() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node_at(dir.path(), "127.0.0.1:0");
        let api = node.api.clone();
        let b = Browser::open(dir.path(), false).await;
        // A page with a stream, one that asks now and then, one that waits for its reader.
        for (page, word) in [
            ("swarm", "Healthy nodes"),
            ("history", "No tests yet"),
            ("start", "Start a test"),
        ] {
            let address = format!("http://{api}/#/{page}");
            b.client.goto(&address).await.unwrap();
            b.says(word).await;
            node.process.kill();
            b.says("Connection lost").await;
            node = node_at(dir.path(), &api);
            let back = "return document.querySelector('#connection').hidden";
            b.until("the connection", back).await;
            b.says(word).await;
        }
        b.assert_clean().await;
        b.close().await;
    });
}

/// Every task type, whatever it is called, can be chosen and has its own fields.
#[test]
fn the_form_knows_what_the_schema_knows() {
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
            b.until(kind, &other).await;
        }
        b.assert_clean().await;
        b.close().await;
    });
}

#[test]
fn the_token_is_asked_for_once() {
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
        b.says("This node requires a token").await;
        b.write("Token", "wrong").await;
        b.click("dialog button[value='go']").await;
        b.says("not the one").await;
        b.write("Token", "open-sesame-please").await;
        b.click("dialog button[value='go']").await;
        b.says("Healthy nodes").await;
        b.client.refresh().await.unwrap();
        b.says("Healthy nodes").await;
        // A new tab could not show the token: metrics are saved.
        b.js("URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text; }); return '#/swarm'; }")
            .await;
        b.click("a[href='/metrics']").await;
        b.until("metrics", "return window.saved?.includes('vajra_node')")
            .await;
        assert_eq!(
            b.js("return document.querySelector('dialog')").await,
            serde_json::Value::Null
        );
        b.assert_clean().await;
        b.close().await;
    });
}
