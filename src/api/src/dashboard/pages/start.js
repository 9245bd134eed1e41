// Start a test: enter a plan as form or text, preview it, run the pre-flight check, start.

import { Refused, get, post, saveAs } from "../js/api.js";
import { fill, h, icon } from "../js/dom.js";
import { repeat } from "../js/live.js";
import { failed, loading, notice, segments, toast } from "../js/ui.js";
import { NEW, planForm } from "./start/form.js";
import { outlinePanel } from "./start/outline.js";
import { preflightCard } from "./start/preflight.js";
import { label } from "./start/schema.js";

/** Pause after the last edit before the plan is previewed, in milliseconds. */
const DEBOUNCE = 300;
/** Pause between two checks that the node is reachable, in milliseconds. */
const PING_INTERVAL = 5000;
const SAMPLE = `# A plan file, as for start-test.\nname = "my test"\n\n[task]\ntype = "HTTP"\nurl = "http://10.0.0.5:8080/"\n\n[load]\nrate = 500\nduration = "1m"\n\n`;

export async function startPage(main) {
  const schema = await get("/plan-schema");
  const saved = draft();
  const value = saved.value || structuredClone(NEW);
  let mode = saved.text ? "text" : "form";
  let text = saved.text || SAMPLE;
  let checked = null; // the valid plan in its canonical form
  let revision = 0;
  let timer = null;
  let left = false;

  const outline = outlinePanel();
  const problem = h("div", { class: "slot" });
  const found = h("div", { "aria-live": "polite" });
  const editor = h("div", { class: "main" });
  const go = h("button", { class: "btn primary", type: "button", id: "go", onclick: () => preflight() }, icon("start", 14), "Check and start");
  const download = h("button", { class: "btn", type: "button", onclick: () => saveAs(new Blob([JSON.stringify(checked, null, 2)], { type: "application/json" }), `${checked.name || "plan"}.json`) }, "Download plan");
  const form = planForm(schema, value, () => later());
  const area = h("textarea", { class: "plan", "aria-label": "The plan, as TOML or JSON", spellcheck: "false", oninput: () => { text = area.value; later(); } });
  area.value = text;

  const drawMode = () => fill(editor, mode === "form" ? form.el
    : [h("p", { class: "muted small" }, "A plan file in TOML or JSON. Plans with data files are started from the command line."), area]);
  const modes = segments("How the plan is written", [["form", "Form"], ["text", "Paste a plan"]], mode, (to) => { mode = to; drawMode(); later(0); });

  fill(main, h("div", { class: "head" }, h("div", {}, h("h1", {}, "Start a test"), h("div", { class: "meta" }, "The swarm elects a coordinator for it and splits the load.")), h("div", { class: "actions" }, modes)),
    h("div", { class: "start" }, editor, h("aside", {}, outline.el, problem, h("div", { class: "actions" }, go, download), found)));
  drawMode();

  function later(pause = DEBOUNCE) {
    clearTimeout(timer);
    revision++; // pending responses are for an older revision
    checked = null;
    go.disabled = download.disabled = true;
    fill(found);
    saveDraft(mode, value, text);
    timer = setTimeout(preview, pause);
  }

  function source() {
    if (mode === "form") return { plan: value };
    if (!text.trimStart().startsWith("{")) return { toml: text };
    try {
      const plan = JSON.parse(text);
      // The canonical form of scenarios has a type that plan files do not have.
      if (plan.task?.type === "SCENARIO") return { plan };
    } catch { /* the node reports the error and its line */ }
    return { json: text };
  }

  /** Previews the plan. With `all`, errors are also shown in fields that were not edited yet. */
  async function preview(all = false) {
    const current = ++revision;
    const missing = mode === "form" ? form.missing() : null;
    if (missing) {
      form.showError(missing, "Required.", all === true);
      outline.show(null, `Still to fill in: ${label(missing.split(".").pop())}.`);
      fill(problem);
      go.disabled = false;
      return;
    }
    try {
      const read = await post("/plan", source());
      if (current !== revision) return;
      checked = read.plan;
      outline.show(read);
      form.showError(null);
      fill(problem);
    } catch (e) {
      if (current !== revision) return;
      checked = null;
      const refused = e instanceof Refused && e.status === 422;
      const shown = refused && mode === "form" && form.showError(fieldOf(e), e.message, all === true);
      outline.show(null, shown ? "Errors are shown in the form." : "");
      fill(problem, shown ? null : refused && mode === "text"
        ? notice("bad", h("strong", {}, "The plan is invalid"), h("pre", { class: "text small", id: "plan-error" }, e.message)) : failed(e, () => preview()));
    }
    go.disabled = mode === "text" && !checked;
    download.disabled = !checked;
  }

  async function preflight() {
    if (!checked) { await preview(true); if (!checked) return; }
    const plan = checked;
    const current = revision;
    go.disabled = true;
    fill(found, loading());
    try {
      const report = await post("/preflight", { plan });
      // The plan was edited, or the page left, meanwhile.
      if (current !== revision) return;
      if (report.verdict === "pass") return await start(plan);
      const anyway = h("button", { class: "btn primary", type: "button", id: "anyway", onclick: () => start(plan, anyway) }, "Start anyway");
      fill(found, h("div", { style: { display: "grid", gap: "12px" } }, preflightCard(report),
        report.verdict === "fail"
          ? notice("bad", "Nothing was started. Fix the failed checks and try again.")
          : h("div", { class: "actions" }, anyway)));
      found.scrollIntoView({ block: "nearest", behavior: "smooth" });
    } catch (e) {
      if (current === revision) fill(found, failed(e));
    } finally {
      if (current === revision) go.disabled = false;
    }
  }

  async function start(plan, button) {
    if (button) button.disabled = true;
    try {
      const { test_id } = await post("/tests", { plan });
      toast("Test started");
      if (!left) location.hash = `#/tests/${test_id}`;
    } catch (e) {
      fill(found, failed(e));
    }
  }

  later(0);
  // Detects an unreachable node also while nothing is edited.
  const stop = repeat(PING_INTERVAL, () => get("/version"));
  return () => { left = true; clearTimeout(timer); revision++; stop(); outline.dispose(); };
}

/** Path of the invalid field. If the field is a table and the message names a key in it, that key. */
function fieldOf(e) {
  const named = /^([a-z_]+(?:\.[a-z_0-9]+|\[\d+\])*)/.exec(e.message)?.[1];
  return e.field && named?.startsWith(`${e.field}.`) ? named : e.field;
}

const KEY = "vajra.draft";

/** The last draft, or the plan of a test that is to be run again. */
function draft() {
  try {
    const again = JSON.parse(sessionStorage.getItem("vajra.plan"));
    sessionStorage.removeItem("vajra.plan");
    if (again) return again.task?.type === "SCENARIO" ? { text: JSON.stringify(again, null, 2) } : { value: again };
    return JSON.parse(sessionStorage.getItem(KEY)) || {};
  } catch {
    return {};
  }
}

function saveDraft(mode, value, text) {
  try { sessionStorage.setItem(KEY, JSON.stringify({ value, text: mode === "text" ? text : null })); } catch { /* the draft is lost on reload */ }
}
