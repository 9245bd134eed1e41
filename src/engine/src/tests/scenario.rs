//! Scenarios: the order of steps, and how they are counted.

use super::server::Server;
use super::*;
use vajra_plan::{Data, Scalar, Values, parse_plan};
use vajra_tasks::Tables;

/// A plan whose steps target the server; with `LOAD` it has 30 iterations.
fn plan(server: &Server, head: &str, steps: &str, load: &str) -> Plan {
    let text = format!(
        "{head}\n[http]\nbase_url = \"{}\"\n[[scenario]]\nname = \"a\"\n{steps}\n[load]\n{load}\n",
        server.url()
    );
    let rows = |_: &str| Ok(ROWS.to_owned());
    parse_plan(&text, false, &rows)
        .unwrap()
        .into_plan()
        .unwrap()
}

const ROWS: &str = "name\nann\nbob\ncid\n";

const LOAD: &str = "rate = 100\nduration = \"300ms\"";

const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n\
                    {\"id\": \"x7\"}";

fn step(url: &str, more: &str) -> String {
    format!("[[scenario.step]]\nurl = \"{url}\"\n{more}\n")
}

/// Runs to the end and checks the totals of each step.
async fn run(plan: Plan) -> Vec<StepSnapshot> {
    let context = TaskContext::default();
    let tables = context.shared.get::<Tables>();
    let read = |data: &Data| tables.put(data, data.read(ROWS.as_bytes()).unwrap());
    let _tables: Vec<_> = plan.task.data().map(|(_, data)| read(data)).collect();
    let mut bench = bench_at(plan, 2, None, context);
    bench.go(Slots::whole());
    bench.ended.recv().await.unwrap();
    let steps = bench.run.snapshot().await.steps;
    for step in &steps {
        let c = &step.counters;
        assert_eq!(c.sent, c.ok + c.failed + c.abandoned, "{c:?}");
        assert_eq!(c.planned, c.sent + c.dropped(), "{c:?}");
        assert_eq!(step.response.len(), c.ok + c.failed, "{c:?}");
    }
    steps
}

fn errors(step: &StepSnapshot) -> Vec<(&str, &str)> {
    let errors = step.counters.errors.keys();
    errors
        .map(|e| (e.kind.as_str(), e.message.as_str()))
        .collect()
}

#[tokio::test]
async fn steps_are_measured_separately_and_use_values_of_earlier_steps() {
    let server = Server::new(JSON);
    let first = step("/one", "extract = { id = \"$.id\" }\nthink = \"5ms\"");
    let steps = first
        + &step(
            "/two/{{ id }}?{{ scenario }}",
            "check = [\"status == 200\"]",
        );
    let steps = run(plan(&server, "", &steps, LOAD)).await;
    assert_eq!(steps.len(), 2);
    for s in &steps {
        assert_eq!(
            (s.counters.planned, s.counters.ok),
            (30, 30),
            "{:?}",
            s.counters
        );
    }
    assert_eq!(steps[1].counters.checks_passed, 30);
    assert_eq!(server.served(), 60);
    let seen = server.lines();
    assert_eq!(
        seen.iter()
            .filter(|l| *l == "GET /two/x7?a HTTP/1.1")
            .count(),
        30
    );
    assert!(server.connections() <= 30);
}

#[tokio::test]
async fn a_failed_check_continues_the_iteration_and_a_missing_value_ends_it() {
    let server = Server::new(JSON);
    let steps = step("/1", "check = [\"$.id == y\", \"status == 200\"]")
        + &step("/2", "extract = { no = \"$.nothing\" }")
        + &step("/3/{{ no }}", "");
    let steps = run(plan(&server, "", &steps, LOAD)).await;
    assert_eq!(steps[0].counters.failed, 30);
    assert_eq!(errors(&steps[0]), [("check", "$.id == y")]);
    let checks = &steps[0].counters;
    assert_eq!((checks.checks_passed, checks.checks_failed), (30, 30));
    assert_eq!(
        errors(&steps[1]),
        [("extract", "no: $.nothing is not in the response")]
    );
    assert_eq!(steps[2].counters.planned, 0);
    assert_eq!(server.served(), 60);
}

#[tokio::test]
async fn a_rendered_text_that_would_break_a_request_is_not_sent() {
    let server = Server::new("HTTP/1.1 200 OK\r\nx-odd: a b\r\ncontent-length: 2\r\n\r\nok");
    let steps = step("/1", "extract = { odd = \"header x-odd\" }") + &step("/{{ odd }}", "");
    let steps = run(plan(&server, "", &steps, LOAD)).await;
    assert_eq!((steps[1].counters.sent, steps[1].counters.failed), (30, 30));
    assert_eq!(errors(&steps[1])[0].0, "template");
    assert_eq!(server.served(), 30);
}

#[tokio::test]
async fn an_error_status_fails_unless_it_is_expected() {
    let server = Server::new("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let steps = step("/1", "") + &step("/2", "check = [\"status in 404, 410\"]");
    let steps = run(plan(&server, "", &steps, LOAD)).await;
    assert_eq!(errors(&steps[0]), [("status", "404 Not Found")]);
    assert_eq!((steps[1].counters.ok, steps[1].counters.failed), (30, 0));
    assert_eq!(steps[1].counters.status_codes[&404], 30);
}

#[tokio::test]
async fn each_user_has_its_own_row() {
    let server = Server::new(JSON);
    let data = "[data.who]\nfile = \"who.csv\"\npick = \"user\"";
    let steps = step("/{{ who.name }}/{{ user }}", "");
    // The time to think lets all users begin before the requests are used.
    let load = "users = 3\nrequests = 30\nthink_time = \"20ms\"\nduration = \"10s\"";
    let steps = run(plan(&server, data, &steps, load)).await;
    assert_eq!(steps[0].counters.ok, 30, "{:?}", steps[0].counters);
    let mut seen = server.lines();
    seen.sort();
    seen.dedup();
    assert_eq!(
        seen,
        [
            "GET /ann/0 HTTP/1.1",
            "GET /bob/1 HTTP/1.1",
            "GET /cid/2 HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn a_user_uses_the_rows_in_order_from_its_own_on() {
    let server = Server::new(JSON);
    let data = "[data.who]\nfile = \"who.csv\"\npick = \"sequential\"";
    let steps = step("/{{ user }}/{{ who.name }}", "");
    let load = "users = 2\nrequests = 20\nduration = \"10s\"";
    run(plan(&server, data, &steps, load)).await;
    for (user, mut names) in [(0, ["ann", "bob", "cid"]), (1, ["bob", "cid", "ann"])] {
        let mine = server.lines().into_iter().filter_map(|line| {
            let name = line.strip_prefix(&format!("GET /{user}/"))?;
            Some(name.trim_end_matches(" HTTP/1.1").to_owned())
        });
        for name in mine {
            assert_eq!(name, names[0]);
            names.rotate_left(1);
        }
    }
}

#[tokio::test]
async fn rows_repeat_in_the_open_model_unless_they_are_unique() {
    let server = Server::new(JSON);
    let data = |pick: &str| format!("[data.who]\nfile = \"who.csv\"\npick = \"{pick}\"");
    let steps = step("/{{ who.name }}", "");
    run(plan(&server, &data("sequential"), &steps, LOAD)).await;
    let count = |name: &str| {
        let line = format!("GET /{name} HTTP/1.1");
        server.lines().iter().filter(|l| **l == line).count()
    };
    assert_eq!(["ann", "bob", "cid"].map(count), [10; 3]);
    let three = "rate = 10\nduration = \"300ms\"";
    run(plan(&server, &data("unique"), &steps, three)).await;
    assert_eq!(["ann", "bob", "cid"].map(count), [11; 3]);
}

#[tokio::test]
async fn a_stop_ends_long_pauses_immediately() {
    let server = Server::new(JSON);
    let steps = step("/1", "think = \"1h\"") + &step("/2", "");
    let mut bench = bench_with(plan(&server, "", &steps, LOAD), 1, None);
    bench.go(Slots::whole());
    bench.until(|c| c.ok == 30).await;
    let timeout = 60 * SECOND;
    bench.run.stop(StopMode::Graceful { timeout });
    let stopped = std::time::Instant::now();
    bench.ended.recv().await.unwrap();
    assert!(stopped.elapsed() < 5 * SECOND, "{:?}", stopped.elapsed());
    assert_eq!(server.served(), 30);
}

#[tokio::test]
async fn scenarios_run_by_weight() {
    let server = Server::new(JSON);
    let second = "[[scenario]]\nname = \"b\"\nweight = 2\n";
    let steps = step("/a", "") + second + &step("/b", "");
    let steps = run(plan(&server, "", &steps, LOAD)).await;
    let sent: Vec<u64> = steps.iter().map(|s| s.counters.sent).collect();
    assert_eq!(sent, [10, 20]);
}

#[tokio::test]
async fn steps_use_the_plan_s_constants_and_the_setup_s_values() {
    let server = Server::new(JSON);
    let head = "[vars]\nsize = 3\n[[setup]]\nurl = \"/login\"\nextract = { token = \"$.token\" }";
    let steps = step("/{{ setup.token }}?{{ vars.size + 1 }}", "");
    let mut bench = bench_with(plan(&server, head, &steps, LOAD), 2, None);
    let found = Values::from([("token".to_owned(), Scalar::Text("t7".into()))]);
    bench.setup.set(&found);
    bench.go(Slots::whole());
    bench.ended.recv().await.unwrap();
    assert_eq!(bench.run.snapshot().await.steps[0].counters.ok, 30);
    let mut seen = server.lines();
    seen.dedup();
    assert_eq!(seen, ["GET /t7?4 HTTP/1.1"]);
}

#[tokio::test]
async fn without_the_setup_s_values_steps_that_use_them_are_not_sent() {
    let server = Server::new(JSON);
    let head = "[[setup]]\nurl = \"/login\"\nextract = { token = \"$.token\" }";
    let steps = step("/one", "") + &step("/two", "headers = { a = \"{{ setup.token }}\" }");
    let steps = run(plan(&server, head, &steps, LOAD)).await;
    assert_eq!((steps[0].counters.ok, steps[1].counters.failed), (30, 30));
    let message = "this node has not received the values of the plan's setup";
    assert_eq!(errors(&steps[1]), [("template", message)]);
    assert_eq!(server.served(), 30);
}

#[tokio::test]
async fn a_removed_user_finishes_all_steps_of_its_iteration() {
    let server = Server::new(JSON);
    let steps = step("/1", "think = \"300ms\"") + &step("/2", "");
    let load = "users = 4\nduration = \"60s\"";
    let bench = bench_with(plan(&server, "", &steps, load), 2, None);
    bench.go(Slots::whole());
    bench.until(|c| c.ok == 4).await;
    let change = bench.share(Slots::EMPTY);
    let held = bench.until_held(|h| h.change == change).await;
    assert_eq!(held.draining, Slots::whole(), "between two steps");
    bench.until_held(|h| h.draining.is_empty()).await;
    let steps = bench.run.snapshot().await.steps;
    let ok: Vec<u64> = steps.iter().map(|s| s.counters.ok).collect();
    assert_eq!((ok, server.served()), (vec![4, 4], 8));
}
