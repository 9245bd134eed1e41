// Preview of a plan: its load over time, and a summary.

import { fill, h } from "../../js/dom.js";
import { clock, count, length, short } from "../../js/format.js";
import { Panel } from "../../js/panel.js";
import { facts } from "../../js/ui.js";

export function outlinePanel() {
  let outline = null;
  const text = h("div");
  const panel = new Panel("Preview", (theme) => (outline ? option(outline, theme) : null), { height: 150, emptyText: "The planned load is shown here" });
  panel.card.body.append(text);
  const show = (next, reason = "") => {
    outline = next;
    panel.el.style.opacity = next ? 1 : 0.75;
    if (next) {
      const closed = next.plan.load.model === "closed";
      fill(text, h("div", { style: { marginTop: "12px" } }, facts([
        ["Peak", `${short(Math.max(...next.stages.map((s) => Math.max(s.from, s.to))))}${closed ? " users" : "/s"}`],
        ["Duration", length(next.length_s)],
        ["Requests", next.requests === null ? "depends on the response times" : `${closed ? "at most " : ""}${count(next.requests)}`],
      ])), h("details", { style: { marginTop: "12px" } }, h("summary", { class: "small" }, "Details of the stages"), h("pre", { class: "text small" }, next.summary)));
    } else {
      fill(text, reason && h("p", { class: "small muted", style: { marginTop: "10px" } }, reason));
    }
    panel.update(true);
  };
  return { el: panel.el, show, dispose: () => panel.dispose() };
}

function option(outline, theme) {
  const data = [];
  let at = 0;
  for (const stage of outline.stages) {
    data.push([at, stage.from], [(at += stage.length_s), stage.to]);
  }
  data.push([at, 0]);
  const label = { color: theme.muted, fontSize: 11, hideOverlap: true };
  return {
    animation: false, textStyle: { fontFamily: "inherit" }, grid: { left: 42, right: 10, top: 10, bottom: 22 },
    xAxis: { type: "value", min: 0, max: at || 1, splitNumber: 4, axisLabel: { ...label, formatter: clock, showMaxLabel: false }, splitLine: { show: false }, axisLine: { show: true, lineStyle: { color: theme.grid } }, axisTick: { show: false } },
    yAxis: { type: "value", min: 0, splitNumber: 3, axisLabel: { ...label, formatter: short }, splitLine: { lineStyle: { color: theme.grid } } },
    series: [{ type: "line", data, symbol: "none", color: theme.series[0], lineStyle: { width: 2 }, areaStyle: { opacity: 0.14 }, silent: true }],
  };
}
