// The charts of a test. Their contents are defined in charts.js, which reports share.

import { fill, h, keyed, setText } from "../../js/dom.js";
import { clock } from "../../js/format.js";
import { Panel, Panels } from "../../js/panel.js";
import { badge, card, notice, segments } from "../../js/ui.js";

const GROUP = "test";
/** Minimum time between two drawings of the heat map, in milliseconds; it has thousands of cells. */
const HEAT_EVERY = 5000;
/** Approximate width of a chart in pixels. Changes of less than a pixel are not drawn. */
const PIXELS = 1000;
/** Maximum time between two drawings of a chart, in milliseconds. */
const MAX_EVERY = 5000;

/** Order of the charts; charts that are not listed come last. */
const ORDER = ["rate", "percentiles", "heat", "nodes", "errors", "in-flight", "lag", "traffic"];

const PERCENTILES = ["p50", "p90", "p99", "p99.9", "max"];

export function testCharts(state) {
  const { list, marks } = window.vajraCharts;
  const panels = new Panels();
  const shown = new Set(["p50", "p90", "p99"]);
  let scale = "auto";
  const note = h("div", { class: "wide" });
  const grid = h("div", { class: "charts" }, note);

  // The distribution needs a percentile spectrum, which only reports have; here it is a table.
  const ordered = ORDER.map((id) => list.find((c) => c.id === id)).filter(Boolean);
  const others = list.filter((c) => !ORDER.includes(c.id) && c.id !== "distribution");
  for (const chart of [...ordered, ...others]) {
    const isTimes = chart.id === "percentiles";
    const wide = ["rate", "percentiles", "heat", "nodes"].includes(chart.id);
    const tools = isTimes && h("div", { class: "actions" },
      segments("Percentiles", PERCENTILES.map((p) => [p, p]), shown, () => panel.update(true), true),
      segments("Scale", [["auto", "Auto"], ["linear", "Linear"], ["log", "Log"]], scale, (to) => { scale = to; panel.update(true); }));
    const isWanted = () => state.timeline.data.points.length > 0 && chart.wanted(state.timeline.data, state.result, null);
    const panel = panels.add(new Panel(chart.title, (theme) => {
      const timeline = chart.id === "heat" ? state.timeline.columns() : state.timeline.data;
      if (!isWanted()) return null;
      const option = chart.option(timeline, state.result, theme, null);
      return isTimes ? adjust(option, shown, scale) : option;
    }, {
      about: chart.about, group: GROUP, height: Math.min(chart.height, chart.id === "heat" ? 320 : 260), tools,
      wide, every: chart.id === "heat" ? HEAT_EVERY : 0,
      emptyText: chart.id === "errors" ? "No errors" : "No data yet",
    }));
    panel.live = chart.id !== "heat";
    // Wide charts without data, for example of nodes in a test with one node, are hidden.
    panel.updateVisibility = () => { panel.el.hidden = wide && state.timeline.data.points.length > 0 && !isWanted(); };
    grid.append(panel.el);
  }

  const rows = h("ul", { class: "events", style: { maxHeight: "none" } });
  const draw = keyed(rows, (m) => m.n + m.kind + m.at_s, markRow);
  const events = card("Events", { pad: false, note: "The numbered lines in the charts", body: rows, cls: "wide" });
  grid.append(events.el);

  const update = (what) => {
    if (what === "progress") return;
    const { points } = state.timeline.data;
    const span = points.length ? points[points.length - 1].to_s : 0;
    const every = Math.min(MAX_EVERY, (1000 * span) / PIXELS);
    for (const panel of panels.all) if (panel.live) panel.every = every < 1000 ? 0 : every;
    const unavailable = !state.timeline.available;
    note.hidden = !unavailable;
    if (unavailable && !note.childElementCount) fill(note, notice("warn", "This node has no timeline of the test. Its totals are below."));
    for (const panel of panels.all) panel.updateVisibility();
    panels.update();
    const found = points.length ? marks(state.timeline.data, state.result) : [];
    events.el.hidden = !found.length;
    draw(found);
  };
  return { el: grid, update, dispose: () => panels.dispose() };
}

/** Applies the chosen percentiles and scale. */
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
  const update = (m) => setText(text, m.node && !m.text.includes(m.node) ? `${m.node}: ${m.text}` : m.text);
  update(mark);
  return { el, update };
}

