// The connections between the nodes, on a circle. Solid lines carry gossip.

import { h } from "../js/dom.js";
import { millis } from "../js/format.js";
import { Panel } from "../js/panel.js";
import { health } from "./swarm.js";

/** Maximum number of lines; beyond it, only connections that carry gossip are drawn. */
const MAX_LINKS = 1500;

export function graphPanel() {
  let nodes = [];
  let links = null;
  let drawn = "";
  const legend = h("div", { class: "legend" }, h("span", {}, h("i"), "carries gossip"), h("span", {}, h("i", { class: "thin" }), "connected"));
  const panel = new Panel("Connections", (theme) => (nodes.length && links ? option(nodes, links, theme) : null),
    { about: "", height: 360, tools: legend, emptyText: "No connections reported yet" });
  const update = () => {
    // Redraw only if the picture changes: round trips change all the time.
    const key = JSON.stringify([nodes.map((n) => [n.peer, n.name, health(n)[1]]), links?.links.map((l) => [l.from, l.to, l.mesh])]);
    if (key === drawn) return;
    drawn = key;
    panel.card.note.textContent = links && !links.complete ? "Not every node answered" : "As reported by the nodes";
    panel.update();
  };
  return {
    el: panel.el,
    show(list) { nodes = list; update(); },
    links(found) { if (found) { links = found; update(); } },
    dispose() { panel.dispose(); },
  };
}

function option(nodes, found, theme) {
  const escape = window.vajraCharts.format.escape;
  const colours = { good: theme.series[2], warn: theme.series[1], bad: theme.series[3] };
  const symbols = { good: "circle", warn: "triangle", bad: "rect" };
  const many = nodes.length > 24;
  const known = new Set(nodes.map((n) => n.peer));
  const pairs = new Map();
  for (const link of found.links) {
    if (!known.has(link.from) || !known.has(link.to)) continue;
    const key = [link.from, link.to].sort().join(" ");
    const old = pairs.get(key);
    pairs.set(key, { ...link, mesh: link.mesh || Boolean(old?.mesh) });
  }
  let edges = [...pairs.values()];
  if (edges.length > MAX_LINKS) edges = edges.filter((e) => e.mesh).slice(0, MAX_LINKS);
  const name = new Map(nodes.map((n) => [n.peer, n.name]));
  return {
    animation: false,
    textStyle: { fontFamily: "inherit" },
    tooltip: {
      backgroundColor: theme.ground, borderColor: theme.grid, padding: 8, confine: true, textStyle: { color: theme.text, fontSize: 12 },
      formatter: (p) => (p.dataType === "edge" ? escape(`${name.get(p.data.source)} – ${name.get(p.data.target)}: ${p.data.tooltip}`) : escape(p.data.tooltip)),
    },
    series: [{
      type: "graph", layout: many ? "circular" : "none", circular: { rotateLabel: true }, left: "center", top: "middle", width: 250, height: 250,
      label: { show: nodes.length <= 60, color: theme.text, fontSize: many ? 10 : 12 },
      emphasis: { focus: "adjacency", lineStyle: { width: 2.5 } },
      data: nodes.map((n, i) => {
        const angle = (2 * Math.PI * i) / nodes.length - Math.PI / 2;
        const [x, y] = [Math.cos(angle), Math.sin(angle)];
        const [kind, word] = health(n);
        const gone = n.health === "gone";
        return {
          id: n.peer, name: n.name, x: 100 * x, y: 100 * y, symbol: symbols[kind], symbolSize: n.self ? 20 : many ? 10 : 15, tooltip: `${n.name}: ${word}`,
          itemStyle: { color: colours[kind], opacity: gone ? 0.35 : 1, borderColor: n.self ? theme.text : "transparent", borderWidth: n.self ? 2 : 0 },
          // Outside the circle, where no lines are.
          label: { color: gone ? theme.muted : theme.text, ...(many ? {} : { position: Math.abs(x) < 0.2 ? (y < 0 ? "top" : "bottom") : x > 0 ? "right" : "left" }) },
        };
      }),
      links: edges.map((e) => ({
        source: e.from, target: e.to, tooltip: `${e.mesh ? "carries gossip" : "connected"}, ${millis(e.round_trip_ms)}`,
        lineStyle: e.mesh
          ? { color: theme.series[0], width: many ? 1 : 1.8, opacity: many ? 0.5 : 0.8, curveness: 0.12 }
          : { color: theme.muted, width: 0.8, opacity: many ? 0.12 : 0.4, type: "dashed", curveness: 0.12 },
      })),
    }],
  };
}
