// Actions on a test: stop, pause, change the load, export.

import { open, post, remove, save, saveAs } from "../../js/api.js";
import { h, icon, setText } from "../../js/dom.js";
import { attempt, dialog } from "../../js/ui.js";

const EXPORTS = [["json", "Result as JSON", "json"], ["csv", "Timeline as CSV", "csv"], ["hgrm", "Percentiles (.hgrm)", "hgrm"], ["hlog", "Histogram log (.hlog)", "hlog"], ["junit", "Thresholds as JUnit XML", "xml"]];

export function testActions(state, refresh) {
  const id = state.result.test_id;
  const path = `/tests/${id}`;
  const done = (answer) => { if (answer) refresh().catch(() => {}); };

  const pause = h("button", { class: "btn", type: "button", onclick: async () => {
    const paused = isPaused(state.result);
    done(await attempt(pause, () => post(`${path}/${paused ? "resume" : "pause"}`), paused ? "Test resumed" : "Test paused"));
  } }, "Pause");
  const scale = h("button", { class: "btn", type: "button", onclick: () => askScale(state, scale, path, done) }, "Change load");
  const stopWord = h("span", {}, "Stop");
  const stop = h("button", { class: "btn danger", type: "button", id: "stop", onclick: () => askStop(stop, path, done, state.result.state === "stopping") }, icon("stop", 14), stopWord);

  const report = h("button", { class: "btn", type: "button", id: "report", onclick: () => attempt(report, () => open(`${path}/report?format=html`, `vajra-${id}.html`)) }, "Report");
  const menu = h("details", { class: "menu" }, h("summary", { class: "btn", "aria-label": "Exports" }, icon("more")),
    h("div", {},
      EXPORTS.map(([format, name, end]) => h("button", { type: "button", onclick: (e) => { menu.open = false; attempt(e.target, () => save(`${path}/report?format=${format}`, `vajra-${id}.${end}`)); } }, name)),
      h("button", { type: "button", onclick: () => { menu.open = false; saveAs(new Blob([JSON.stringify(state.result.plan, null, 2)], { type: "application/json" }), `plan-${id}.json`); } }, "Plan as JSON"),
      h("a", { href: "#/history" }, "Compare with another test…")));
  menu.querySelector("summary").className = "btn";
  menu.addEventListener("keydown", (e) => { if (e.key === "Escape") { menu.open = false; menu.firstChild.focus(); } });
  menu.addEventListener("focusout", (e) => { if (!menu.contains(e.relatedTarget)) menu.open = false; });

  const again = h("button", { class: "btn", type: "button", onclick: () => {
    sessionStorage.setItem("vajra.plan", JSON.stringify(state.result.plan));
    location.hash = "#/start";
  } }, "Run again");

  const el = h("div", { class: "actions" }, pause, scale, stop, again, report, menu);
  const update = () => {
    const { result } = state;
    const live = result.state === "running" && state.progress?.state !== "ended";
    const over = result.state === "ended";
    pause.hidden = scale.hidden = !live;
    stop.hidden = over || state.progress?.state === "ended";
    // A graceful stop can be followed by an immediate one.
    setText(stopWord, result.state === "stopping" ? "Stop now" : "Stop");
    again.hidden = !over || !result.plan || !Object.keys(result.plan).length;
    const label = isPaused(result) ? "Resume" : "Pause";
    if (pause.textContent !== label) pause.textContent = label;
  };
  return { el, update };
}

/** Whether the test is paused: the last pause or resumption was a pause. */
export function isPaused(result) {
  const last = result.changes.filter((c) => c.kind !== "scaled").pop();
  return result.state === "running" && last?.kind === "paused";
}

async function askStop(button, path, done, stopping) {
  const now = ["now", "Stop now", "danger"];
  const answer = stopping
    ? await dialog("Stop waiting?", h("p", { class: "muted" }, "The test is stopping and waits for requests in flight. Stopping now aborts them; they are counted as abandoned."), [now])
    : await dialog("Stop this test?", h("p", { class: "muted" },
      "The test stops on every node. A graceful stop waits for requests in flight; stopping now aborts them, and they are counted as abandoned."),
    [now, ["graceful", "Stop gracefully"]]);
  if (!answer) return;
  const query = answer.value === "now" ? "?graceful=false" : "";
  done(await attempt(button, () => remove(path + query), "The test is stopping"));
}

async function askScale(state, button, path, done) {
  const { result } = state;
  const closed = result.load?.model === "closed" || (!result.load?.rate && result.load?.users);
  const key = closed ? "users" : "rate";
  const last = [...(result.changes || [])].reverse().find((c) => c.kind === "scaled");
  const now = last?.level ?? result.load?.[key] ?? "";
  const input = h("input", { id: "level", name: "level", type: "number", min: closed ? 1 : 0.001, step: closed ? 1 : "any", required: true, value: String(now), autofocus: true });
  const answer = await dialog("Change the load", [
    h("p", { class: "muted" }, "Sets the full load of the plan, at the same time on all nodes. All other levels change in proportion."),
    h("div", { class: "field" }, h("label", { for: "level" }, closed ? "Users, over the whole swarm" : "Arrivals per second, over the whole swarm"), input),
  ], [["scale", "Change"]]);
  const level = Number(answer?.data.get("level"));
  if (!answer || !level) return;
  done(await attempt(button, () => post(`${path}/scale`, { [key]: level }), `Full load changed to ${level}${closed ? " users" : "/s"}`));
}
