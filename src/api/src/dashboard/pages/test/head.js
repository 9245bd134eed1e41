// The head of a test's page: name, state, verdict, progress, coordinators and actions.

import { fill, h, keyed, setText } from "../../js/dom.js";
import { clock, length, seconds, tail, when } from "../../js/format.js";
import { badge, notice, setBadge, VERDICTS } from "../../js/ui.js";
import { isPaused, testActions } from "./actions.js";

export function testHead(state, refresh) {
  const title = h("h1");
  const meta = h("div", { class: "meta" });
  let stateBadge = badge("idle", "…");
  const actions = testActions(state, refresh);
  const reasons = h("div", { class: "slot" });
  const elapsed = h("span", { class: "num" });
  const remaining = h("span", { class: "num muted" });
  const track = h("div", { class: "track", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 });
  const names = h("div", { class: "track-names", "aria-hidden": "true" });
  const progress = h("div", { class: "progress" }, h("div", { class: "meta", style: { justifyContent: "space-between" } }, elapsed, remaining), track, names);
  const terms = h("div", { class: "terms", role: "img" });
  const termsPart = h("div", {}, h("div", { class: "meta", style: { marginBottom: "4px" } }, "Coordinator by term"), terms);
  const drawTerms = keyed(terms, (r) => `${r.term}${r.peer}`, tenureBar);
  let drawnReasons = "";
  let drawnStages = "";
  let stages = [];

  const el = h("div", { style: { display: "flex", flexDirection: "column", gap: "16px" } },
    h("div", { class: "head" }, h("div", {}, title, meta), actions.el), reasons, progress, termsPart);

  function update() {
    const { result: r, progress: p } = state;
    const over = r.state === "ended";
    setText(title, r.name || r.target);
    const paused = isPaused(r);
    const [kind, text] = paused ? ["idle", "paused"] : !over ? ["live", p?.state && p.state !== "ended" ? p.state : r.state] : r.verdict ? [VERDICTS[r.verdict], r.verdict] : ["idle", "ended"];
    if (!meta.childElementCount || meta.dataset.since !== String(r.started_at)) {
      meta.dataset.since = r.started_at;
      fill(meta, stateBadge, h("span", {}, r.target), r.started_at && h("span", {}, when(r.started_at)),
        Object.entries(r.tags || {}).map(([k, v]) => h("span", { class: "tag" }, `${k}=${v}`)), h("span", { class: "mono", title: r.test_id }, tail(r.test_id)));
    }
    stateBadge = setBadge(stateBadge, kind, over && r.end && r.end !== "completed" ? `${text}, ${r.end}` : text);
    actions.update();

    const key = JSON.stringify([over, r.verdict, r.reasons, Boolean(r.no_coordinator)]);
    if (key !== drawnReasons) {
      drawnReasons = key;
      fill(reasons, verdict(r, over));
    }

    // The scale of a test that ended early ends there.
    const total = over ? Math.max(r.duration_s, 0.001) : p?.duration_s || stages.reduce((sum, s) => sum + s[1], 0) || r.duration_s;
    const at = over ? total : Math.max(0, p?.elapsed_s ?? r.duration_s);
    progress.hidden = over || !total;
    const stageKey = JSON.stringify([r.load, Math.round(total)]);
    if (!progress.hidden && stageKey !== drawnStages) {
      drawnStages = stageKey;
      stages = stagesOf(r.load, total);
      fill(track, stages.map(([, s]) => h("div", { class: "stage", style: { width: `${(100 * s) / total}%` } }, h("div", { class: "fill" }))));
      fill(names, stages.map(([name, s]) => h("span", { style: { width: `${(100 * s) / total}%` }, title: name }, name)));
      names.hidden = stages.length < 2;
    }
    if (!progress.hidden) {
      let before = 0;
      stages.forEach(([, s], i) => {
        track.children[i].firstChild.style.width = `${Math.max(0, Math.min(1, (at - before) / s)) * 100}%`;
        before += s;
      });
      track.setAttribute("aria-valuenow", String(Math.round((100 * at) / total)));
      // The end of a paused test is not known.
      setText(elapsed, (p?.elapsed_s ?? 0) < 0 ? "about to start" : paused ? clock(Math.floor(at)) : `${clock(Math.floor(at))} of ${clock(Math.round(total))}`);
      setText(remaining, paused ? "paused" : at >= total ? "waiting for the last responses" : `${length(Math.max(1, Math.round(total - at)))} left`);
    }

    const tenures = r.coordinators || [];
    termsPart.hidden = !tenures.length;
    // On the same scale as the progress; the current tenure ends now.
    const now = 1000 * at;
    const end = Math.max(1, 1000 * total, now, ...tenures.map((c) => c.to_ms ?? 0));
    drawTerms(tenures.map((c) => ({ ...c, now, end, name: r.nodes.find((n) => n.peer === c.peer)?.name || tail(c.peer) })));
    terms.setAttribute("aria-label", tenures.map((c) => `term ${c.term}: ${r.nodes.find((n) => n.peer === c.peer)?.name || tail(c.peer)}`).join(", "));
  }
  return { el, update };
}

function verdict(r, over) {
  const list = r.reasons.length > 1 ? h("ul", {}, r.reasons.map((reason) => h("li", {}, reason))) : h("div", {}, r.reasons[0]);
  if (!r.reasons.length) {
    if (!over || !r.verdict) return null;
    return notice("good", h("strong", {}, "Valid: "), "the generator sent the load as planned.");
  }
  const kind = r.no_coordinator || (over && (r.verdict === "invalid" || r.end === "failed")) ? "bad" : "warn";
  return notice(kind, h("strong", {}, over ? `The result is ${r.verdict || r.end}` : r.no_coordinator ? "The test has no coordinator" : "The result would not be valid at this point"), list);
}

/** The stages of the plan as `[name, seconds]`. */
function stagesOf(load, total) {
  if (load?.stages?.length) return load.stages.map((stage) => [stage.type, Math.max(0.001, seconds(stage.length))]);
  const found = [["warm-up", seconds(load?.warm_up)], ["ramp-up", seconds(load?.ramp_up)]].filter(([, n]) => n > 0);
  const before = found.reduce((sum, [, n]) => sum + n, 0);
  return [...found, ["sustain", Math.max(0.001, total - before)]];
}

function tenureBar(first) {
  const el = h("div", { class: "tenure" });
  const update = (c) => {
    const from = Math.max(0, c.from_ms) / c.end;
    const to = Math.max(0, c.to_ms ?? c.now) / c.end;
    const series = window.vajraCharts.theme(window.vajraTheme.current() === "dark").series;
    const colour = series[(c.term - 1) % series.length];
    Object.assign(el.style, { left: `${from * 100}%`, width: `${Math.max(0.4, (to - from) * 100)}%`, background: `color-mix(in srgb, ${colour} 26%, var(--surface))` });
    setText(el, `${c.term} · ${c.name}`);
    el.title = `term ${c.term}: ${c.name}, from ${clock(c.from_ms / 1000)} to ${c.to_ms === null ? "now" : clock(c.to_ms / 1000)}`;
  };
  update(first);
  return { el, update };
}
