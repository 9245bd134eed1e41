// The tables of a test: thresholds, nodes, steps, status codes, errors.

import { fill, h, keyed, setText } from "../../js/dom.js";
import { clock, count, DASH, millis, percent, short, tail } from "../../js/format.js";
import { silent } from "../../js/timeline.js";
import { badge, card, empty, table } from "../../js/ui.js";

export function testTables(state) {
  const left = [thresholds(), errors(), data()];
  const right = [distribution()];
  const wide = [nodes(), steps("Scenarios", "scenarios"), steps("Steps", "steps"), steps("Labels", "labels")];
  const parts = [...left, ...right, ...wide];
  const column = (list) => h("div", { class: "column" }, list.map((part) => part.el));
  const el = h("div", { class: "column" }, h("div", { class: "two" }, column(left), column(right)), wide.map((part) => part.el));
  return { el, update: (what) => { if (what !== "points") parts.forEach((part) => part.update(state)); } };
}

/** A table whose rows are updated in place; `cells(item)` returns a text, a node or null per column. */
function live(columns, keyOf, cells, cls) {
  const body = h("tbody");
  const draw = keyed(body, keyOf, () => {
    const tds = columns.map(([name, align]) => h("td", { class: align, data: { label: name } }));
    const row = h("tr", {}, tds);
    return { el: row, update(item) {
      cells(item, row).forEach((value, i) => {
        if (value instanceof Node) { if (tds[i].textContent !== value.textContent) fill(tds[i], value); } else setText(tds[i], value);
      });
    } };
  });
  return { el: table(columns, body, cls), draw };
}

function thresholds() {
  const t = live([["Threshold"], ["Measured", "r"], ["Result", "r"]], (x) => x.threshold, (x) => [
    h("code", {}, x.threshold), measured(x), x.passed ? badge("good", "passed") : badge("bad", "failed")]);
  const part = card("Thresholds", { pad: false, body: t.el, note: "Pass criteria of the plan" });
  return { el: part.el, update({ result }) { part.el.hidden = !result.thresholds.length; t.draw(result.thresholds); } };
}

function measured({ threshold, value }) {
  if (value === null || value === undefined) return DASH;
  if (/(^|[\s.{}"])(response_time|service_time|lag)\b/.test(threshold)) return millis(value);
  return /\brate\b/.test(threshold) && !/error_rate/.test(threshold) ? `${short(value)}/s` : percent(value);
}

function nodes() {
  const t = live([["Node"], ["Share", "r"], ["Sent", "r"], ["Failed", "r"], ["Dropped", "r"], ["Lag p99", "r"], ["State", "r"]],
    (n) => `${n.peer}/${n.incarnation}`, (n, row) => {
      const lost = n.lost_at_ms !== null && n.lost_at_ms !== undefined;
      row.classList.toggle("off", lost);
      const name = h("div", {}, h("span", { style: { fontWeight: 550 } }, n.name || tail(n.peer)), h("span", { class: "sub" }, n.environment || tail(n.peer)));
      // A lost node has no share any more.
      return [name, lost ? DASH : percent(n.share), count(n.sent), count(n.failed), count(n.dropped), millis(n.lag_p99_ms),
        lost ? badge("bad", `lost at ${clock(n.lost_at_ms / 1000)}`) : n.silent ? badge("warn", "sends nothing") : badge("good", n.over ? "carried load" : "carries load")];
    }, "cards");
  const part = card("Nodes", { pad: false, body: t.el, note: "", cls: "wide" });
  return { el: part.el, update({ result, timeline }) {
    part.el.hidden = !result.nodes.length;
    const over = result.state === "ended";
    const silentWorkers = result.state === "running" ? silent(timeline.data) : new Set();
    const lost = result.nodes.filter((n) => n.lost_at_ms !== null && n.lost_at_ms !== undefined).length;
    const skew = result.start_skew_ms === null ? "" : `, started within ${millis(result.start_skew_ms)}`;
    setText(part.note, `${result.nodes.length} carried load${lost ? `, ${lost} lost` : ""}${skew}`);
    t.draw(result.nodes.map((n) => ({ ...n, over, silent: silentWorkers.has(`${n.peer}/${n.incarnation}`) })));
  } };
}

const STATS = [["p50", "p50"], ["p90", "p90"], ["p99", "p99"], ["p999", "p99.9"], ["max", "max"]];

function steps(title, key) {
  const columns = [["Name"], ["Sent", "r"], ["Failed", "r"], ["Checks failed", "r"], ...STATS.map(([, name]) => [name, "r"])];
  const t = live(columns, (s) => s.name, (s) => [s.name, count(s.totals.sent), `${count(s.totals.failed)} (${percent(s.totals.sent ? s.totals.failed / s.totals.sent : 0)})`,
    count(s.totals.checks_failed), ...STATS.map(([stat]) => millis(s.response_time_ms?.[stat]))], "cards");
  const part = card(title, { pad: false, body: t.el, cls: "wide" });
  return { el: part.el, update({ result }) { part.el.hidden = !(result[key] || []).length; t.draw(result[key] || []); } };
}

function distribution() {
  const t = live([["Percentile"], ["Response time", "r", "From the intended send time"], ["Service time", "r", "From the actual send"], ["Lag", "r", "Error of the generator itself"]],
    (row) => row[0], (row) => row);
  const part = card("Distribution", { pad: false, body: t.el, note: "Whole test, without the warm-up" });
  const rows = [["min", "min"], ["mean", "mean"], ["p50", "p50"], ["p75", "p75"], ["p90", "p90"], ["p95", "p95"], ["p99", "p99"], ["p999", "p99.9"], ["max", "max"]];
  return { el: part.el, update({ result: r }) {
    part.el.hidden = !r.response_time_ms;
    t.draw(rows.map(([key, name]) => [name, ...[r.response_time_ms, r.service_time_ms, r.lag_ms].map((s) => millis(s?.[key]))]));
  } };
}

function errors() {
  const t = live([["Kind"], ["Message"], ["Count", "r"], ["Share", "r"]], (e) => `${e.kind}\n${e.message}`, (e) => [e.kind, e.message || "other errors of this kind", count(e.count), percent(e.share)]);
  const codes = h("div", { class: "tags", style: { padding: "0 16px 14px" } });
  const none = empty("No errors", "All responses were successful.");
  const part = card("Errors and status codes", { pad: false, body: [codes, t.el, none] });
  return { el: part.el, update({ result: r }) {
    const found = Object.entries(r.status_codes || {});
    const key = JSON.stringify(found);
    if (codes.dataset.key !== key) { codes.dataset.key = key; fill(codes, found.map(([code, n]) => h("span", { class: "tag" }, `${code}: ${count(n)}`))); }
    codes.hidden = !found.length;
    none.hidden = r.errors.length > 0 || !r.totals.sent;
    t.el.hidden = !r.errors.length;
    t.draw(r.errors.map((e) => ({ ...e, share: r.totals.sent ? e.count / r.totals.sent : 0 })));
  } };
}

function data() {
  const t = live([["Data"], ["Pick"], ["Rows", "r"], ["Used", "r"], ["Unused", "r"], ["Remaining", "r"]], (d) => d.name,
    (d) => [d.name, d.pick, count(d.rows), `${d.exact ? "" : "at least "}${count(d.used)}`, count(d.unused), count(d.remaining)]);
  const part = card("Data", { pad: false, body: t.el });
  return { el: part.el, update({ result }) { part.el.hidden = !(result.data || []).length; t.draw(result.data || []); } };
}

