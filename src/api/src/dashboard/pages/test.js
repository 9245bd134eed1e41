// A test: live while it runs, the result when it is over.

import { get } from "../js/api.js";
import { fill, h } from "../js/dom.js";
import { Live, repeat } from "../js/live.js";
import { Timeline } from "../js/timeline.js";
import { loading } from "../js/ui.js";
import { testCharts } from "./test/charts.js";
import { testHead } from "./test/head.js";
import { testTables } from "./test/tables.js";
import { testTiles } from "./test/tiles.js";

/** The whole result is asked for at most so often, in milliseconds. */
const RESULT_EVERY = 3000;
/** The timeline, where points do not come by themselves. */
const POLL_EVERY = 5000;

export async function testPage(main, id) {
  let result = await get(`/tests/${encodeURIComponent(id)}`);
  // `latest` and prefixes become the whole id, so that a copied address stays right.
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

  let planned = false;
  const soon = () => {
    // Several points may come at once; they are drawn once.
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => { planned = false; update("points"); });
  };
  const stop = repeat(RESULT_EVERY, () => refresh().catch(() => {}));
  ends.push(stop);
  const live = new Live(`/tests/${result.test_id}/events`, {
    onEvent(name, data) {
      if (name === "point") { timeline.add(data); soon(); return true; }
      state.progress = data;
      update("progress");
      if (name !== "ended") return true;
      stop();
      finish();
      return false;
    },
    // Where there is no place for another stream, the node is asked now and then.
    onRefused: () => ends.push(repeat(POLL_EVERY, () => timeline.load().then(() => update("points")))),
    onGap: () => timeline.load().then(() => update("points")).catch(() => {}),
  });
  ends.push(() => live.close());

  /** The last word: results are complete a moment after the end. */
  async function finish(tries = 5) {
    try {
      await timeline.load();
      await refresh();
      update("all");
      if (!left && !result.complete && tries > 0) setTimeout(() => finish(tries - 1), 1000);
    } catch { /* what is shown stays */ }
  }
  return () => ends.forEach((end) => end());
}
