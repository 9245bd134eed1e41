// The tests known to this node, newest first, with a selection for comparison.

import { get } from "../js/api.js";
import { fill, h, keyed, setText } from "../js/dom.js";
import { tail, when } from "../js/format.js";
import { attempt, card, empty, segments, table, verdictBadge } from "../js/ui.js";
import { repeat } from "../js/live.js";

const PAGE = 50;
/** Maximum number of tests in a comparison. */
const MAX_SELECTED = 4;

export async function historyPage(main) {
  const selected = new Map();
  let tests = [];
  let next = null;
  let query = "";
  let state = "all";

  const body = h("tbody");
  const draw = keyed(body, (t) => t.test_id, row);
  const none = h("div");
  const more = h("button", { class: "btn", type: "button", onclick: () => attempt(more, loadMore) }, "Older tests");
  const summary = h("span");
  const go = h("a", { class: "btn primary", href: "#/history" }, "Compare");
  const clear = h("button", { class: "btn quiet", type: "button", onclick: () => { selected.clear(); show(); } }, "Clear");
  const bar = h("div", { class: "pick", role: "status" }, summary, h("div", { class: "actions" }, clear, go));
  const filter = h("input", { type: "search", placeholder: "Filter by name or id", "aria-label": "Filter by name or id", oninput: () => { query = filter.value.trim().toLowerCase(); show(); } });
  const part = card("Known to this node", { pad: false, body: [table([["", "", "Select for comparison"], ["Test"], ["Result"], ["Started"], ["Id"]], body, "cards picks"), none] });

  fill(main, h("div", { class: "head" }, h("div", {}, h("h1", {}, "Tests"), h("div", { class: "meta" }, "Select two to four to compare them.")),
    h("a", { class: "btn primary", href: "#/start" }, "Start a test")),
  h("div", { class: "filters" }, filter, segments("Result", [["all", "All"], ["running", "Running"], ["valid", "Valid"], ["degraded", "Degraded"], ["invalid", "Invalid"]], state, (to) => { state = to; show(); })),
  part.el, h("div", { class: "actions", style: { justifyContent: "center" } }, more), bar);

  async function loadMore() {
    const page = await get(`/tests?limit=${PAGE}${next ? `&before=${encodeURIComponent(next)}` : ""}`);
    const known = new Set(tests.map((t) => t.test_id));
    tests = [...tests, ...page.tests.filter((t) => !known.has(t.test_id))];
    next = page.next ?? null;
    show();
  }

  function row(first) {
    let test = first;
    const box = h("input", { type: "checkbox", "aria-label": "Select for comparison", onchange: () => { if (box.checked) selected.set(test.test_id, test); else selected.delete(test.test_id); show(); } });
    const name = h("a", { style: { fontWeight: 550, color: "inherit" } });
    const result = h("td", { data: { label: "Result" } });
    const started = h("td", { class: "num nowrap", data: { label: "Started" } });
    const el = h("tr", { class: "click", onclick: (e) => { if (!e.target.closest("a, input, label")) location.hash = `#/tests/${test.test_id}`; } },
      h("td", { style: { width: "44px" } }, box), h("td", {}, name), result, started, h("td", { class: "mono small muted", title: test.test_id, data: { label: "Id" } }, tail(test.test_id)));
    const update = (t) => {
      test = t;
      setText(name, t.name || "Unnamed test");
      name.href = `#/tests/${t.test_id}`;
      const key = `${t.state} ${t.verdict}`;
      if (result.dataset.key !== key) { result.dataset.key = key; fill(result, verdictBadge(t)); }
      setText(started, when(t.started_at));
      box.checked = selected.has(t.test_id);
      box.disabled = !box.checked && selected.size >= MAX_SELECTED;
      box.setAttribute("aria-label", `Select ${t.name || t.test_id} for comparison`);
    };
    return { el, update };
  }

  function show() {
    const matches = (t) => (!query || `${t.name || ""} ${t.test_id}`.toLowerCase().includes(query))
      && (state === "all" || (state === "running" ? t.state !== "ended" : t.verdict === state));
    const shown = tests.filter(matches);
    draw(shown);
    body.parentElement.hidden = !shown.length;
    fill(none, shown.length ? null : tests.length
      ? empty("No matching tests", next ? "Older tests may match; load them below." : "Change the filter.")
      : empty("No tests yet", "Results are stored on every node and listed here.", h("a", { class: "btn primary", href: "#/start" }, "Start a test")));
    more.hidden = !next;
    bar.hidden = !selected.size;
    setText(summary, selected.size === 1 ? "1 test selected; select another" : `${selected.size} tests selected`);
    go.hidden = selected.size < 2;
    // The oldest is the baseline.
    go.href = `#/compare/${[...selected.keys()].sort().join(",")}`;
  }

  await loadMore();
  // New tests, and changes of running ones.
  return repeat(5000, async () => {
    const page = await get(`/tests?limit=${PAGE}`);
    const fresh = new Map(page.tests.map((t) => [t.test_id, t]));
    tests = [...page.tests, ...tests.filter((t) => !fresh.has(t.test_id))];
    show();
  });
}
