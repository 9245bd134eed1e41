// The charts of a test. What is in them is made by charts.js, which reports share.

import { fill, h, keyed, say } from "../../js/dom.js";
import { clock } from "../../js/format.js";
import { Panel, Panels } from "../../js/panel.js";
import { badge, card, notice, segments } from "../../js/ui.js";

const GROUP = "test";
/** The heat map has thousands of cells; it is drawn anew at most so often, in milliseconds. */
const HEAT_EVERY = 5000;
/** About as many seconds as a chart has pixels: what happens in one of them nobody sees. */
const PIXELS = 1000;
/** A chart is drawn at least so often, in milliseconds, however long the test. */
const MAX_EVERY = 5000;

/** The wide ones first; a chart that is new comes last. */
const ORDER = ["rate", "percentiles", "heat", "nodes", "errors", "in-flight", "lag", "traffic"];

const PERCENTILES = ["p50", "p90", "p99", "p99.9", "max"];

export function testCharts(state) {
  const { list, marks } = window.vajraCharts;
  const panels = new Panels();
  const shown = new Set(["p50", "p90", "p99"]);
  let scale = "auto";
  const note = h("div", { class: "wide" });
  const grid = h("div", { class: "charts" }, note);

  // The distribution needs a spectrum, which only reports have; here it is a table.
  const wanted = ORDER.map((id) => list.find((c) => c.id === id)).filter(Boolean);
  const others = list.filter((c) => !ORDER.includes(c.id) && c.id !== "distribution");
  for (const chart of [...wanted, ...others]) {
    const isTimes = chart.id === "percentiles";
    const wide = ["rate", "percentiles", "heat", "nodes"].includes(chart.id);
    const tools = isTimes && h("div", { class: "actions" },
      segments("Percentiles", PERCENTILES.map((p) => [p, p]), shown, () => panel.update(true), true),
      segments("Scale", [["auto", "Auto"], ["linear", "Linear"], ["log", "Log"]], scale, (to) => { scale = to; panel.update(true); }));
    const wanted = () => state.timeline.data.points.length > 0 && chart.wanted(state.timeline.data, state.result, null);
    const panel = panels.add(new Panel(chart.title, (theme) => {
      const timeline = chart.id === "heat" ? state.timeline.columns() : state.timeline.data;
      if (!wanted()) return null;
      const option = chart.option(timeline, state.result, theme, null);
      return isTimes ? adjust(option, shown, scale) : option;
    }, {
      about: chart.about, group: GROUP, height: Math.min(chart.height, chart.id === "heat" ? 320 : 260), tools,
      wide, every: chart.id === "heat" ? HEAT_EVERY : 0,
      what: chart.id === "errors" ? "No errors" : "Nothing was measured yet",
    }));
    panel.live = chart.id !== "heat";
    // What such a test never has, a second node say, needs no row of its own.
    panel.offer = () => { panel.el.hidden = wide && state.timeline.data.points.length > 0 && !wanted(); };
    grid.append(panel.el);
  }

  const rows = h("ul", { class: "events", style: { maxHeight: "none" } });
  const draw = keyed(rows, (m) => m.n + m.kind + m.at_s, markRow);
  const happened = card("On the time axis", { pad: false, note: "What the numbered lines in the charts are", body: rows, cls: "wide" });
  grid.append(happened.el);

  const update = (what) => {
    if (what === "progress") return;
    const { points } = state.timeline.data;
    const span = points.length ? points[points.length - 1].to_s : 0;
    const every = Math.min(MAX_EVERY, (1000 * span) / PIXELS);
    for (const panel of panels.all) if (panel.live) panel.every = every < 1000 ? 0 : every;
    const missing = !state.timeline.available;
    note.hidden = !missing;
    if (missing && !note.childElementCount) fill(note, notice("warn", "This node has no timeline of the test. Its totals are below."));
    for (const panel of panels.all) panel.offer();
    panels.update();
    const found = points.length ? marks(state.timeline.data, state.result) : [];
    happened.el.hidden = !found.length;
    draw(found);
  };
  return { el: grid, update, dispose: () => panels.dispose() };
}

/** Which percentiles, and on what scale. */
function adjust(option, shown, scale) {
  const names = new Set(PERCENTILES);
  option.series = option.series.filter((s) => !names.has(s.name) || shown.has(s.name));
  option.legend.data = option.legend.data.filter((name) => shown.has(name));
  if (scale === "linear") Object.assign(option.yAxis, { type: "value", min: 0 });
  if (scale === "log") {
    const least = Math.min(...option.series.flatMap((s) => s.data.map(([, value]) => value).filter((v) => v > 0)), 1e6);
    Object.assign(option.yAxis, { type: "log", min: 10 ** Math.floor(Math.log10(least)) });
  }
  return option;
}

const TONES = { bad: "bad", warn: "warn", change: "live", note: "idle" };

function markRow(mark) {
  const text = h("span", { class: "text" });
  const time = h("time", {}, `${mark.n}  ${clock(mark.at_s)}`);
  const el = h("li", {}, time, h("span", {}, badge(TONES[mark.tone] || "idle", mark.kind)), text);
  const update = (m) => say(text, m.node && !m.text.includes(m.node) ? `${m.node}: ${m.text}` : m.text);
  update(mark);
  return { el, update };
}

