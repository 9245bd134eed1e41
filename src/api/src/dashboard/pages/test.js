// A test: live while it runs, then its result.

import { get } from "../js/api.js";
import { fill } from "../js/dom.js";
import { Live, repeat } from "../js/live.js";
import { Timeline } from "../js/timeline.js";
import { loading } from "../js/ui.js";
import { testCharts } from "./test/charts.js";
import { testHead } from "./test/head.js";
import { testTables } from "./test/tables.js";
import { testTiles } from "./test/tiles.js";

/** Interval of requests for the result, in milliseconds. */
const RESULT_EVERY = 3000;
/** Interval of requests for the timeline without an event stream, in milliseconds. */
const POLL_EVERY = 5000;

export async function testPage(main, id) {
  let result = await get(`/tests/${encodeURIComponent(id)}`);
  // `latest` and prefixes are replaced by the full id, so that a copied address stays valid.
  if (id !== result.test_id) history.replaceState(null, "", `#/tests/${result.test_id}`);
  const timeline = new Timeline(result.test_id);
  fill(main, loading());
  await timeline.load();

  const state = { result, progress: null, timeline };
  const parts = [testHead(state, () => refresh()), testTiles(state), testCharts(state), testTables(state)];
  fill(main, parts.map((part) => part.el));
  const update = (what) => parts.forEach((part) => part.update(what));
  document.title = `${result.name || "Test"} · Vajra`;
  update("all");

  async function refresh() {
    state.result = result = await get(`/tests/${result.test_id}`);
    update("result");
  }

  let left = false;
  const ends = [() => { left = true; }, () => parts.forEach((part) => part.dispose?.())];
  if (result.state === "ended") return () => ends.forEach((end) => end());

  let isScheduled = false;
  const scheduleUpdate = () => {
    // Points that arrive together are drawn once.
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(() => { isScheduled = false; update("points"); });
  };
  const stop = repeat(RESULT_EVERY, () => refresh().catch(() => {}));
  ends.push(stop);
  const live = new Live(`/tests/${result.test_id}/events`, {
    onEvent(name, data) {
      if (name === "point") { timeline.add(data); scheduleUpdate(); return true; }
      state.progress = data;
      update("progress");
      if (name !== "ended") return true;
      stop();
      finish();
      return false;
    },
    // If too many streams are open, the node is polled.
    onRefused: () => ends.push(repeat(POLL_EVERY, () => timeline.load().then(() => update("points")))),
    onGap: () => timeline.load().then(() => update("points")).catch(() => {}),
  });
  ends.push(() => live.close());

  /** Loads the final result, which is complete shortly after the end. */
  async function finish(tries = 5) {
    try {
      await timeline.load();
      await refresh();
      update("all");
      if (!left && !result.complete && tries > 0) setTimeout(() => finish(tries - 1), 1000);
    } catch { /* the last data stays visible */ }
  }
  return () => ends.forEach((end) => end());
}
