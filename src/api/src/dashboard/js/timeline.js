// The timeline of a test, updated live and limited in size.

import { Refused, get } from "./api.js";

/** Number of points to request: about one per two or three pixels of the widest chart. */
const POINTS = 600;
/** Maximum number of points before a coarser timeline is requested. Only the node can merge
 * percentiles exactly. */
const MAX_POINTS = 1200;
/** Columns of the heat map; each has up to a few dozen cells. */
const COLUMNS = 150;

/** Numbers of points at which a timeline with a long first interval is reloaded. */
const CATCH_UP = [3, 6];

const length = (point) => point.to_s - point.from_s;

export class Timeline {
  constructor(id) {
    this.id = id;
    this.data = { schema: 1, test_id: id, state: "", nodes: [], heat_bounds_ms: [], points: [] };
    this.available = true;
    this.waiting = [];
  }

  /** Reloads the timeline. Points received meanwhile are appended. */
  async load() {
    if (this.busy) return;
    this.busy = true;
    try {
      const data = await get(`/tests/${this.id}/timeline?points=${POINTS}`);
      this.data = data;
      this.available = true;
      for (const point of this.waiting) this.push(point);
    } catch (e) {
      if (!(e instanceof Refused)) throw e;
      this.available = false;
    } finally {
      this.waiting = [];
      this.busy = false;
    }
  }

  /** Adds a point received from the node. */
  add(point) {
    if (this.busy) { this.waiting.push(point); return; }
    const { points } = this.data;
    // A slow client misses points, as does one that connects late.
    const gap = points.length > 0 && point.from_s > points[points.length - 1].to_s + 1e-6;
    this.push(point);
    // A node that has just joined the test will soon receive its start.
    const late = CATCH_UP.includes(points.length) && length(points[0]) > 2.5 * length(point);
    if (!gap && !late && this.data.points.length <= MAX_POINTS && (point.node_rates || []).length <= this.data.nodes.length) return;
    // A gap, too many points, an unknown node, or a missing start.
    this.load().catch(() => {});
    if (this.data.points.length > 2 * MAX_POINTS) this.data.points.splice(0, MAX_POINTS);
  }

  push(point) {
    const { points } = this.data;
    const last = points[points.length - 1];
    if (last && point.from_s < last.to_s - 1e-6) return;
    points.push(point);
  }

  /** The timeline with adjacent intervals merged, for the heat map. Counts can be summed. */
  columns() {
    const { points } = this.data;
    const size = Math.ceil(points.length / COLUMNS);
    if (size <= 1) return this.data;
    const merged = [];
    for (let i = 0; i < points.length; i += size) {
      const group = points.slice(i, i + size);
      const cells = new Map();
      let max = 0;
      for (const p of group) {
        for (const [bucket, n] of p.heat) cells.set(bucket, (cells.get(bucket) || 0) + n);
        max = Math.max(max, p.response_time_ms?.max ?? 0);
      }
      merged.push({ ...group[group.length - 1], from_s: group[0].from_s, heat: [...cells].sort((a, b) => a[0] - b[0]), response_time_ms: { max } });
    }
    return { ...this.data, points: merged };
  }
}

/** Number of consecutive intervals without a request after which a worker counts as silent. */
const SILENT = 3;

/** Workers that sent nothing recently while others did, as `peer/incarnation`. */
export function silent(timeline) {
  const last = timeline.points.slice(-SILENT);
  if (last.length < SILENT || last.some((p) => p.rate === 0)) return new Set();
  const quiet = timeline.nodes.filter((_, i) => last.every((p) => !p.node_rates[i]));
  return new Set(quiet.map((n) => `${n.peer}/${n.incarnation}`));
}

/** All response times of a timeline by bucket: `[upper bound in ms, count]`. */
export function histogram(timeline) {
  const cells = new Array(timeline.heat_bounds_ms.length + 1).fill(0);
  for (const p of timeline.points) for (const [bucket, n] of p.heat) cells[bucket] += n;
  return cells;
}
