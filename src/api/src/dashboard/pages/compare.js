// Comparison of tests. The first, which is the oldest, is the baseline.

import { Refused, get } from "../js/api.js";
import { fill, h, setText } from "../js/dom.js";
import { count, DASH, millis, percent, short, when } from "../js/format.js";
import { Panel, Panels } from "../js/panel.js";
import { histogram } from "../js/timeline.js";
import { card, notice, table, verdictBadge } from "../js/ui.js";

/** `[label, value of a result, format, metric of the comparison, if any]`. */
const ROWS = [
  ["Achieved rate", (r) => r.rate.achieved, (v) => `${short(v)}/s`, "rate"],
  ["Planned rate", (r) => r.rate.planned, (v) => `${short(v)}/s`],
  ["Requests", (r) => r.totals.sent, count],
  ["Errors", (r) => (r.totals.sent ? r.totals.failed / r.totals.sent : null), percent, "error_rate"],
  ["Not sent", (r) => r.totals.dropped + r.totals.unsent, count],
  ["Dropped", (r) => (r.totals.planned ? r.totals.dropped / r.totals.planned : null), percent, "dropped"],
  ["Response mean", (r) => r.response_time_ms?.mean, millis, "response_time.mean"],
  ...[["p50", "p50"], ["p75", "p75"], ["p90", "p90"], ["p95", "p95"], ["p99", "p99"], ["p99.9", "p999"], ["max", "max"]]
    .map(([name, key]) => [`Response ${name}`, (r) => r.response_time_ms?.[key], millis, `response_time.${name}`]),
  ["Service p99", (r) => r.service_time_ms?.p99, millis],
  ["Lag p99", (r) => r.lag_ms?.p99, millis],
];

export async function comparePage(main, list) {
  const ids = list.split(",").slice(0, 4);
  const loaded = await Promise.all(ids.map(async (id) => {
    const [result, timeline] = await Promise.all([get(`/tests/${id}`), optional(`/tests/${id}/timeline?points=400`)]);
    return { result, timeline };
  }));
  const first = loaded[0].result;
  const names = loaded.map(({ result }, i) => `${i + 1}: ${result.name || "unnamed"}`);
  const panels = new Panels();
  const colour = (theme, i) => theme.series[i];
  const swatch = (i) => { const s = h("i", { class: "swatch" }); s.style.background = window.vajraCharts.theme(window.vajraTheme.current() === "dark").series[i]; return s; };

  const head = [["Metric"], ...loaded.flatMap((_, i) => (i ? [[names[i], "r"], ["Change", "r"]] : [[names[0], "r"]]))];
  // Cells of the changes, by test and metric.
  const cells = loaded.map(() => new Map());
  const body = h("tbody", {}, ROWS.map(([name, of, show, metric]) => h("tr", { data: { metric: metric || "" } }, h("td", {}, name),
    loaded.flatMap(({ result }, i) => {
      const cell = h("td", { class: "r", data: { label: names[i] } }, value(of(result), show));
      if (!i) return [cell];
      const changed = h("td", { class: "r", data: { label: "Change" } }, h("span", { class: "delta same" }, change(of(first), of(result), show === percent)));
      if (metric) cells[i].set(metric, changed);
      return [cell, changed];
    }))));
  const warnings = h("div", { class: "slot" });
  const numbers = card("Results", { pad: false, note: "Changes are relative to the first test, the baseline.", body: table(head, body, "cards pairs") });

  const failed = loaded.some(({ result }) => result.totals.failed);
  const overlay = (title, of, about, format, wide = false) => panels.add(new Panel(title, (theme) => lines(theme, title, loaded.map(({ timeline }, i) => [names[i], colour(theme, i), (timeline?.points || []).map((p) => [p.to_s, of(p)])]), format), { about, height: 260, group: "compare", wide }));
  const charts = h("div", { class: "charts" },
    panels.add(new Panel("Distribution", (theme) => distribution(theme, loaded, names), { about: "Ratio of requests by response time, per test", height: 280, wide: true, emptyText: "No test has a timeline" })).el,
    overlay("Rate", (p) => p.rate, "Requests sent per second", (v) => `${short(v)}/s`).el,
    overlay("Response time p99", (p) => p.response_time_ms?.p99 ?? null, "Per interval", millis).el,
    overlay("Response time median", (p) => p.response_time_ms?.p50 ?? null, "Per interval", millis, !failed).el,
    failed && overlay("Failed", (p) => p.failed / Math.max(p.to_s - p.from_s, 1e-9), "Requests per second", (v) => `${short(v)}/s`).el);

  fill(main, h("div", { class: "head" }, h("div", {}, h("h1", {}, `${loaded.length} tests side by side`), h("div", { class: "meta" }, h("a", { href: "#/history" }, "Select other tests")))),
    h("div", { class: "running" }, loaded.map(({ result }, i) => h("a", { class: "card run", href: `#/tests/${result.test_id}` },
      h("div", { class: "line" }, h("strong", {}, swatch(i), names[i]), verdictBadge(result)),
      h("div", { class: "line muted small" }, h("span", {}, result.target), h("span", { class: "nowrap" }, when(result.started_at)))))),
    warnings, numbers.el, charts);
  panels.update();
  // Not awaited: the values are shown without the comparison, and the charts must be disposed if the
  // user leaves the page.
  const comparisons = ids.slice(1).map((id, i) => compare(ids[0], id, cells[i + 1], numbers.note));
  Promise.all(comparisons).then((found) => fill(warnings, warningNotice(found, names.slice(1))));
  return () => panels.dispose();
}

async function optional(path) {
  try { return await get(path); } catch (e) { if (e instanceof Refused) return null; throw e; }
}

const value = (v, show) => (v === null || v === undefined ? DASH : show(v));

/** All warnings, each once, with the names of the tests that it concerns unless it concerns all. */
function warningNotice(warnings, names) {
  const testsOf = new Map();
  warnings.forEach((texts, i) => texts.forEach((text) => testsOf.set(text, [...(testsOf.get(text) || []), names[i]])));
  const lines = [...testsOf].map(([text, tests]) => (tests.length === names.length ? text[0].toUpperCase() + text.slice(1) : `${tests.join(", ")}: ${text}`));
  if (!lines.length) return null;
  return notice("warn", lines.length > 1 ? h("ul", {}, lines.map((line) => h("li", {}, line))) : lines[0]);
}

/** A change in the format of the command line: of ratios in percentage points, otherwise relative. */
function change(from, to, share) {
  if (from === null || from === undefined || to === null || to === undefined) return DASH;
  const [change, digits, unit] = share ? [(to - from) * 100, 2, "pp"] : [((to - from) / from) * 100, 1, "%"];
  if (!Number.isFinite(change)) return from === to ? `+${(0).toFixed(digits)} ${unit}` : DASH;
  const text = Math.abs(change).toFixed(digits);
  return `${change < 0 && Number(text) > 0 ? "−" : "+"}${text} ${unit}`;
}

const TONES = { worse: "bad", better: "good" };

/**
 * Shows the comparison of a test with the baseline, which is computed by the node (docs/result.md), in
 * its cells. Returns the warnings.
 */
async function compare(base, id, cells, note) {
  try {
    const found = await get(`/tests/${id}/compare?with=${base}`);
    const { noise } = found;
    for (const m of found.metrics) {
      const cell = cells.get(m.metric);
      if (!cell) continue;
      const share = m.unit === "share";
      // Only significant differences have a colour.
      const tone = (noise.judged && TONES[m.judgement]) || "same";
      const bound = (d) => change(m.baseline, m.baseline + d, share);
      fill(cell, h("span", { class: `delta ${tone}` }, change(m.baseline, m.test, share), m.judgement && h("span", { class: "judgement" }, m.judgement)),
        m.low !== null && h("span", { class: "sub" }, `${bound(m.low)} … ${bound(m.high)}`));
    }
    if (noise.judged) setText(note, `Changes are relative to the first test, the baseline. Below each change is its ${percent(noise.confidence)} confidence interval. Noise: the interval includes no change.`);
    return noise.judged ? found.warnings : [...found.warnings, `noise could not be determined: ${noise.why}`];
  } catch (e) {
    return [`the comparison failed: ${e.message}`];
  }
}

function base(theme, format) {
  const axis = { axisLine: { show: true, lineStyle: { color: theme.grid } }, axisTick: { show: false }, splitLine: { lineStyle: { color: theme.grid } } };
  return {
    animation: false, textStyle: { fontFamily: "inherit" }, grid: { left: 58, right: 16, top: 34, bottom: 28 },
    legend: { top: 0, left: 0, itemWidth: 14, itemHeight: 8, textStyle: { color: theme.text }, type: "scroll" },
    tooltip: { trigger: "axis", backgroundColor: theme.ground, borderColor: theme.grid, padding: 8, confine: true, textStyle: { color: theme.text, fontSize: 12 }, valueFormatter: (v) => value(v, format) },
    axis,
  };
}

function lines(theme, title, series, format) {
  if (!series.some(([, , data]) => data.length)) return null;
  const { axis, ...rest } = base(theme, format);
  const { clock } = window.vajraCharts.format;
  return {
    ...rest,
    xAxis: { ...axis, type: "value", min: 0, splitLine: { show: false }, axisLabel: { color: theme.muted, hideOverlap: true, formatter: clock }, axisPointer: { label: { show: false } } },
    yAxis: { ...axis, type: "value", min: 0, axisLabel: { color: theme.muted, formatter: format } },
    series: series.map(([name, color, data], i) => ({ name, type: "line", symbol: "none", color, data, lineStyle: { width: 1.8, type: ["solid", "dashed", "dotted", "solid"][i] }, emphasis: { disabled: true } })),
  };
}

/** Ratio of requests by response time, in the buckets that all nodes use. */
function distribution(theme, loaded, names) {
  const available = loaded.map(({ timeline }, i) => [timeline, names[i], theme.series[i]]).filter(([t]) => t?.points.length);
  if (!available.length) return null;
  const { axis, ...rest } = base(theme, (v) => percent(v));
  const bounds = available[0][0].heat_bounds_ms;
  const cells = available.map(([t]) => histogram(t));
  const nonEmpty = bounds.map((_, i) => i).filter((i) => cells.some((c) => c[i] > 0));
  const [from, to] = [Math.max(0, nonEmpty[0] - 1), Math.min(bounds.length - 1, nonEmpty[nonEmpty.length - 1] + 1)];
  const labels = bounds.slice(from, to + 1).map((b) => `≤ ${millis(b)}`);
  return {
    ...rest,
    xAxis: { ...axis, type: "category", data: labels, boundaryGap: false, splitLine: { show: false }, axisLabel: { color: theme.muted, hideOverlap: true, showMaxLabel: false } },
    yAxis: { ...axis, type: "value", min: 0, axisLabel: { color: theme.muted, formatter: percent } },
    series: available.map(([, name, color], i) => {
      const all = cells[i].reduce((a, b) => a + b, 0) || 1;
      return { name, type: "line", step: "middle", symbol: "none", color, lineStyle: { width: 1.8, type: ["solid", "dashed", "dotted", "solid"][i] }, areaStyle: { opacity: 0.1 }, emphasis: { disabled: true }, data: cells[i].slice(from, to + 1).map((n) => n / all) };
    }),
  };
}
