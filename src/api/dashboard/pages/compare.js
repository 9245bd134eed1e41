// Tests side by side. The first, which is the oldest, is what the others are held against.

import { Refused, get } from "../js/api.js";
import { fill, h } from "../js/dom.js";
import { count, DASH, millis, percent, short, when } from "../js/format.js";
import { Panel, Panels } from "../js/panel.js";
import { histogram } from "../js/timeline.js";
import { badge, card, notice, table, verdictBadge } from "../js/ui.js";

/** Differences below this share are not worth a colour. */
const SAME = 0.005;

/** `[name, value of a result, how it is shown, better when: -1 less, 1 more, 0 neither, metric]`. */
const ROWS = [
  ["Rate achieved", (r) => r.rate.achieved, (v) => `${short(v)}/s`, 1, "rate"],
  ["Rate asked", (r) => r.rate.asked, (v) => `${short(v)}/s`, 0],
  ["Requests", (r) => r.totals.sent, count, 0],
  ["Errors", (r) => (r.totals.sent ? r.totals.failed / r.totals.sent : null), percent, -1, "error_rate"],
  ["Missing", (r) => r.totals.dropped + r.totals.short, count, -1],
  ["Response mean", (r) => r.response_time_ms?.mean, millis, -1, "response_time.mean"],
  ...[["p50", "p50"], ["p75", "p75"], ["p90", "p90"], ["p95", "p95"], ["p99", "p99"], ["p99.9", "p999"], ["max", "max"]]
    .map(([name, key]) => [`Response ${name}`, (r) => r.response_time_ms?.[key], millis, -1, `response_time.${name}`]),
  ["Service p99", (r) => r.service_time_ms?.p99, millis, -1, "service_time.p99"],
  ["Lag p99", (r) => r.lag_ms?.p99, millis, -1, "lag.p99"],
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

  const head = [["Measure"], ...loaded.flatMap((_, i) => (i ? [[names[i], "r"], ["Difference", "r"]] : [[names[0], "r"]]))];
  const body = h("tbody", {}, ROWS.map(([name, of, show, better, metric]) => h("tr", { data: { metric: metric || "" } }, h("td", {}, name),
    loaded.flatMap(({ result }, i) => {
      const cell = h("td", { class: "r" }, value(of(result), show));
      return i ? [cell, h("td", { class: "r" }, delta(of(first), of(result), better))] : [cell];
    }))));
  const judged = h("div");
  const numbers = card("Percentile by percentile", { pad: false, note: "Differences are to the first. An arrow shows where to, a colour whether that is better.", body: table(head, body) });

  const overlay = (title, of, about, format) => panels.add(new Panel(title, (theme) => lines(theme, title, loaded.map(({ timeline }, i) => [names[i], colour(theme, i), (timeline?.points || []).map((p) => [p.to_s, of(p)])]), format), { about, height: 260, group: "compare" }));
  const charts = h("div", { class: "charts" },
    panels.add(new Panel("Distribution", (theme) => distribution(theme, loaded, names), { about: "How many of all requests took so long, as a share of each test", height: 280, wide: true, what: "No test has a timeline" })).el,
    overlay("Rate", (p) => p.rate, "Requests sent a second", (v) => `${short(v)}/s`).el,
    overlay("Response time p99", (p) => p.response_time_ms?.p99 ?? null, "Of each interval", millis).el,
    overlay("Response time median", (p) => p.response_time_ms?.p50 ?? null, "Of each interval", millis).el,
    overlay("Failed", (p) => p.failed / Math.max(p.to_s - p.from_s, 1e-9), "Requests a second", (v) => `${short(v)}/s`).el);

  fill(main, h("div", { class: "head" }, h("div", {}, h("h1", {}, `${loaded.length} tests side by side`), h("div", { class: "meta" }, h("a", { href: "#/history" }, "Pick others")))),
    h("div", { class: "running" }, loaded.map(({ result }, i) => h("a", { class: "card run", href: `#/tests/${result.test_id}` },
      h("div", { class: "line" }, h("strong", {}, swatch(i), names[i]), verdictBadge(result)),
      h("div", { class: "line muted small" }, h("span", {}, result.target), h("span", { class: "nowrap" }, when(result.started_at)))))),
    differentPlans(loaded), judged, numbers.el, charts);
  panels.update();
  // Not waited for: the numbers stand without it, and who leaves meanwhile takes the charts along.
  if (loaded.length === 2) {
    judge(ids, judged, numbers.el).catch((e) => fill(judged, notice("warn", `Noise was not judged: ${e.message}`)));
  }
  return () => panels.dispose();
}

async function optional(path) {
  try { return await get(path); } catch (e) { if (e instanceof Refused) return null; throw e; }
}

const value = (v, show) => (v === null || v === undefined ? DASH : show(v));

/** A difference as an arrow, a text and, where it matters, a colour. */
function delta(from, to, better) {
  if (from === null || from === undefined || to === null || to === undefined) return h("span", { class: "delta same" }, DASH);
  if (from === to) return h("span", { class: "delta same" }, "same");
  if (!from) return h("span", { class: "delta same" }, "new");
  const change = (to - from) / from;
  if (Math.abs(change) < SAME) return h("span", { class: "delta same" }, "about the same");
  const good = Math.sign(change) === better;
  const word = better === 0 ? "" : good ? " better" : " worse";
  return h("span", { class: `delta ${better === 0 ? "" : good ? "good" : "bad"}` }, `${change > 0 ? "▲ +" : "▼ −"}${percent(Math.abs(change))}`, h("span", { style: { fontWeight: 400 } }, word));
}

/** Tests of different plans can be shown side by side, but not held against each other. */
function differentPlans(loaded) {
  const plan = (r) => JSON.stringify([r.plan?.task ?? r.target, r.load]);
  const first = plan(loaded[0].result);
  return loaded.every(({ result }) => plan(result) === first) ? null : notice("warn", "These tests did not run the same plan: a difference may be the plan's.");
}

/**
 * Whether differences are more than noise, as the node judges it from the intervals of both
 * tests (docs/result.md). The page itself has no opinion.
 */
async function judge([base, other], into, numbers) {
  const found = await optional(`/tests/${other}/compare?with=${base}`);
  if (!found?.metrics) return;
  const told = [...(found.warnings || []), ...(!found.noise?.judged && found.noise?.why ? [`Noise was not judged: ${found.noise.why}`] : [])];
  fill(into, told.length > 0 && notice("warn", told.length > 1 ? h("ul", {}, told.map((text) => h("li", {}, text))) : told[0]));
  if (!found.noise?.judged) return;
  const metrics = new Map(found.metrics.map((m) => [m.metric, m]));
  const confidence = percent(found.noise.confidence);
  numbers.querySelector("thead tr").append(h("th", { class: "r", scope: "col", title: `With ${confidence} confidence, from the tests' intervals` }, "Noise"));
  for (const row of numbers.querySelectorAll("tbody tr")) {
    const m = metrics.get(row.dataset.metric);
    // A difference that may be chance has no colour.
    if (m?.within_noise) row.querySelector(".delta")?.classList.replace("bad", "same");
    if (m?.within_noise) row.querySelector(".delta")?.classList.replace("good", "same");
    const judged = m && m.within_noise !== null && m.within_noise !== undefined;
    row.append(h("td", { class: "r" }, !judged ? h("span", { class: "delta same" }, DASH)
      : m.within_noise ? badge("idle", "within noise") : badge("live", "beyond noise")));
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

/** Shares of all requests by response time, on the buckets that all nodes share. */
function distribution(theme, loaded, names) {
  const having = loaded.map(({ timeline }, i) => [timeline, names[i], theme.series[i]]).filter(([t]) => t?.points.length);
  if (!having.length) return null;
  const { axis, ...rest } = base(theme, (v) => percent(v));
  const bounds = having[0][0].heat_bounds_ms;
  const cells = having.map(([t]) => histogram(t));
  const used = bounds.map((_, i) => i).filter((i) => cells.some((c) => c[i] > 0));
  const [from, to] = [Math.max(0, used[0] - 1), Math.min(bounds.length - 1, used[used.length - 1] + 1)];
  const labels = bounds.slice(from, to + 1).map((b) => `≤ ${millis(b)}`);
  return {
    ...rest,
    xAxis: { ...axis, type: "category", data: labels, boundaryGap: false, splitLine: { show: false }, axisLabel: { color: theme.muted, hideOverlap: true } },
    yAxis: { ...axis, type: "value", min: 0, axisLabel: { color: theme.muted, formatter: percent } },
    series: having.map(([, name, color], i) => {
      const all = cells[i].reduce((a, b) => a + b, 0) || 1;
      return { name, type: "line", step: "middle", symbol: "none", color, lineStyle: { width: 1.8, type: ["solid", "dashed", "dotted", "solid"][i] }, areaStyle: { opacity: 0.1 }, emphasis: { disabled: true }, data: cells[i].slice(from, to + 1).map((n) => n / all) };
    }),
  };
}
