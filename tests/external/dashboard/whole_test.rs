//! A test from its start to its comparison with an earlier one, on all pages.

use super::with_browser;
use crate::browser::Browser;
use crate::common::{Node, Target, eventually, run_test, swarm};

/// Runs a test just long enough for a comparison with noise estimates; returns its id.
fn run(at: &Node, url: &str, name: &str) -> String {
    let load = ["--rate", "50", "--duration", "12s", "--yes"];
    let result = run_test(at, &[&[url, "--name", name], &load[..]].concat());
    result["test_id"].as_str().unwrap().to_owned()
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
        b.goto(&nodes[0].api, "").await;
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
        b.close_without_errors().await;

        let phone = Browser::open(dir.path(), true).await;
        let page = format!("#/tests/{id}");
        phone.goto(&nodes[0].api, &page).await;
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
        phone.close_without_errors().await;
    });
}
