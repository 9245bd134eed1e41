// A chart, created when it is first visible and drawn only while it is visible.

import { card } from "./ui.js";
import { fill, h } from "./dom.js";

const narrow = matchMedia("(max-width: 860px)");

/** Colours and sizes of the charts for the current theme and width. */
export const chartTheme = () => window.vajraCharts.theme(window.vajraTheme.current() === "dark", narrow.matches);

/**
 * A card with a chart. `draw(theme)` returns an ECharts option, or null if there is no data.
 * `update()` redraws the chart, at once or when it becomes visible. Charts of a `group` share a cursor.
 * `every` is the minimum time between two drawings, in milliseconds.
 */
export class Panel {
  constructor(title, draw, { about, group, tools, height = 250, wide = false, emptyText = "No data yet", every = 0 } = {}) {
    Object.assign(this, { draw, group, every });
    this.canvas = h("div", { role: "img", "aria-label": about ? `${title}: ${about}` : title, style: { height: `${height}px` } });
    this.none = h("div", { class: "chart-empty", style: { height: `${height}px` } }, emptyText);
    this.card = card(title, { note: about, tools, body: [this.canvas, this.none], cls: wide ? "wide" : "" });
    this.el = this.card.el;
    this.canvas.hidden = true;
    this.dirty = true;
    this.last = -Infinity;
    this.watch = new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      if (this.visible) this.paint();
    }, { rootMargin: "120px" });
    this.watch.observe(this.el);
    this.sized = new ResizeObserver(() => this.chart?.resize());
    this.sized.observe(this.canvas);
    this.recolour = () => { this.dirty = true; this.last = -Infinity; this.fresh = true; this.paint(); };
    window.addEventListener("vajra-theme", this.recolour);
  }

  update(force = false) {
    this.dirty = true;
    if (force) { this.last = -Infinity; this.fresh = true; }
    this.paint();
  }

  paint() {
    const now = performance.now();
    if (!this.visible || !this.dirty || now - this.last < this.every) return;
    const option = this.draw(chartTheme());
    this.canvas.hidden = !option;
    this.none.hidden = Boolean(option);
    this.dirty = false;
    if (!option) return;
    this.last = now;
    if (!this.chart) {
      this.chart = window.echarts.init(this.canvas, null, { renderer: "canvas" });
      if (this.group) { this.chart.group = this.group; window.echarts.connect(this.group); }
      this.onChart?.(this.chart);
    }
    this.chart.setOption(option, this.fresh ? { notMerge: true } : { replaceMerge: ["series"], lazyUpdate: true });
    this.fresh = false;
  }

  dispose() {
    this.watch.disconnect();
    this.sized.disconnect();
    window.removeEventListener("vajra-theme", this.recolour);
    this.chart?.dispose();
    this.chart = null;
    fill(this.canvas);
  }
}

/** A set of panels. */
export class Panels {
  constructor() { this.all = []; }
  add(panel) { this.all.push(panel); return panel; }
  update(force) { for (const panel of this.all) panel.update(force); }
  dispose() { for (const panel of this.all) panel.dispose(); this.all = []; }
}
