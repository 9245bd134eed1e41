// The tests that this node knows, newest first; some may be picked for a comparison.

import { get } from "../js/api.js";
import { fill, h, keyed, say } from "../js/dom.js";
import { tail, when } from "../js/format.js";
import { attempt, card, empty, segments, table, verdictBadge } from "../js/ui.js";
import { repeat } from "../js/live.js";

const PAGE = 50;
/** Most tests side by side: more columns than that nobody compares. */
const MAX_PICKED = 4;

export async function historyPage(main) {
  const picked = new Map();
  let tests = [];
  let next = null;
  let words = "";
  let state = "all";

  const body = h("tbody");
  const draw = keyed(body, (t) => t.test_id, row);
  const none = h("div");
  const more = h("button", { class: "btn", type: "button", onclick: () => attempt(more, loadMore) }, "Older tests");
  const summary = h("span");
  const go = h("a", { class: "btn primary", href: "#/history" }, "Compare");
  const clear = h("button", { class: "btn quiet", type: "button", onclick: () => { picked.clear(); show(); } }, "Clear");
  const bar = h("div", { class: "pick", role: "status" }, summary, h("div", { class: "actions" }, clear, go));
  const filter = h("input", { type: "search", placeholder: "Filter by name or id", "aria-label": "Filter by name or id", oninput: () => { words = filter.value.trim().toLowerCase(); show(); } });
  const part = card("Kept on this node", { pad: false, body: [table([["", "", "Pick for a comparison"], ["Test"], ["Result"], ["Started"], ["Id"]], body, "cards picks"), none] });

  fill(main, h("div", { class: "head" }, h("div", {}, h("h1", {}, "Tests"), h("div", { class: "meta" }, "Pick two to four to compare them.")),
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
    const box = h("input", { type: "checkbox", "aria-label": "Pick for a comparison", onchange: () => { if (box.checked) picked.set(test.test_id, test); else picked.delete(test.test_id); show(); } });
    const name = h("a", { style: { fontWeight: 550, color: "inherit" } });
    const result = h("td", { data: { label: "Result" } });
    const started = h("td", { class: "num nowrap", data: { label: "Started" } });
    const el = h("tr", { class: "click", onclick: (e) => { if (!e.target.closest("a, input, label")) location.hash = `#/tests/${test.test_id}`; } },
      h("td", { style: { width: "44px" } }, box), h("td", {}, name), result, started, h("td", { class: "mono small muted", title: test.test_id, data: { label: "Id" } }, tail(test.test_id)));
    const update = (t) => {
      test = t;
      say(name, t.name || "Unnamed test");
      name.href = `#/tests/${t.test_id}`;
      const key = `${t.state} ${t.verdict}`;
      if (result.dataset.key !== key) { result.dataset.key = key; fill(result, verdictBadge(t)); }
      say(started, when(t.started_at));
      box.checked = picked.has(t.test_id);
      box.disabled = !box.checked && picked.size >= MAX_PICKED;
      box.setAttribute("aria-label", `Pick ${t.name || t.test_id} for a comparison`);
    };
    return { el, update };
  }

  function show() {
    const fits = (t) => (!words || `${t.name || ""} ${t.test_id}`.toLowerCase().includes(words))
      && (state === "all" || (state === "running" ? t.state !== "ended" : t.verdict === state));
    const shown = tests.filter(fits);
    draw(shown);
    body.parentElement.hidden = !shown.length;
    fill(none, shown.length ? null : tests.length
      ? empty("None fits", next ? "There may be older ones: load them below." : "Try another word.")
      : empty("No tests yet", "Results are kept on every node and appear here.", h("a", { class: "btn primary", href: "#/start" }, "Start a test")));
    more.hidden = !next;
    bar.hidden = !picked.size;
    say(summary, picked.size === 1 ? "1 test picked; pick another" : `${picked.size} tests picked`);
    go.hidden = picked.size < 2;
    // The oldest is what the others are held against.
    go.href = `#/compare/${[...picked.keys()].sort().join(",")}`;
  }

  await loadMore();
  // New ones on top, and running ones that ended.
  return repeat(5000, async () => {
    const page = await get(`/tests?limit=${PAGE}`);
    const fresh = new Map(page.tests.map((t) => [t.test_id, t]));
    tests = [...page.tests, ...tests.filter((t) => !fresh.has(t.test_id))];
    show();
  });
}
