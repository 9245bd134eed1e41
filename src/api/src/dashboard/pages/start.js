// Starting a test: a plan by form or as text, what it amounts to, pre-flight, go.

import { Refused, get, post, saveAs } from "../js/api.js";
import { fill, h, icon } from "../js/dom.js";
import { repeat } from "../js/live.js";
import { failed, loading, notice, segments, toast } from "../js/ui.js";
import { NEW, planForm } from "./start/form.js";
import { outlinePanel } from "./start/outline.js";
import { preflightCard } from "./start/preflight.js";
import { label } from "./start/schema.js";

/** Pause after the last key before the node is asked what the plan amounts to. */
const SETTLE = 300;
/** Pause between two looks whether the node is still there, in milliseconds. */
const ALIVE = 5000;
const SAMPLE = `# A plan file, as start-test takes it.\nname = "my test"\n\n[task]\ntype = "HTTP"\nurl = "http://10.0.0.5:8080/"\n\n[load]\nrate = 500\nduration = "1m"\n\n`;

export async function startPage(main) {
  const schema = await get("/plan-schema");
  const kept = draft();
  const value = kept.value || structuredClone(NEW);
  let mode = kept.text ? "text" : "form";
  let text = kept.text || SAMPLE;
  let checked = null; // the plan in its canonical form, if what is written is one
  let asked = 0;
  let timer = null;
  let away = false;

  const outline = outlinePanel();
  const problem = h("div", { class: "slot" });
  const found = h("div", { "aria-live": "polite" });
  const left = h("div", { class: "main" });
  const go = h("button", { class: "btn primary", type: "button", id: "go", onclick: () => preflight() }, icon("start", 14), "Check and start");
  const download = h("button", { class: "btn", type: "button", onclick: () => saveAs(new Blob([JSON.stringify(checked, null, 2)], { type: "application/json" }), `${checked.name || "plan"}.json`) }, "Download plan");
  const form = planForm(schema, value, () => later());
  const area = h("textarea", { class: "plan", "aria-label": "The plan, as TOML or JSON", spellcheck: "false", oninput: () => { text = area.value; later(); } });
  area.value = text;

  const drawMode = () => fill(left, mode === "form" ? form.el
    : [h("p", { class: "muted small" }, "A plan file in TOML or JSON. Plans with data files are started from the command line."), area]);
  const modes = segments("How the plan is written", [["form", "Form"], ["text", "Paste a plan"]], mode, (to) => { mode = to; drawMode(); later(0); });

  fill(main, h("div", { class: "head" }, h("div", {}, h("h1", {}, "Start a test"), h("div", { class: "meta" }, "The swarm elects a coordinator for it and splits the load.")), h("div", { class: "actions" }, modes)),
    h("div", { class: "start" }, left, h("aside", {}, outline.el, problem, h("div", { class: "actions" }, go, download), found)));
  drawMode();

  function later(pause = SETTLE) {
    clearTimeout(timer);
    asked++; // what is being answered is about what was written before
    checked = null;
    go.disabled = download.disabled = true;
    fill(found);
    keep(mode, value, text);
    timer = setTimeout(look, pause);
  }

  function written() {
    if (mode === "form") return { plan: value };
    if (!text.trimStart().startsWith("{")) return { toml: text };
    try {
      const plan = JSON.parse(text);
      // Scenarios in the canonical form have a type that plan files don't.
      if (plan.task?.type === "SCENARIO") return { plan };
    } catch { /* the node says what is wrong with it, and where */ }
    return { json: text };
  }

  /** Asks what the plan amounts to; with `all`, shows what is wrong also where nobody has been yet. */
  async function look(all = false) {
    const mine = ++asked;
    const missing = mode === "form" ? form.missing() : null;
    if (missing) {
      form.showWrong(missing, "This is needed.", all === true);
      outline.show(null, `Still to fill in: ${label(missing.split(".").pop())}.`);
      fill(problem);
      go.disabled = false;
      return;
    }
    try {
      const read = await post("/plan", written());
      if (mine !== asked) return;
      checked = read.plan;
      outline.show(read);
      form.showWrong(null);
      fill(problem);
    } catch (e) {
      if (mine !== asked) return;
      checked = null;
      const refused = e instanceof Refused && e.status === 422;
      const shown = refused && mode === "form" && form.showWrong(place(e), e.message, all === true);
      outline.show(null, shown ? "The form tells what is not right yet." : "");
      fill(problem, shown ? null : refused && mode === "text"
        ? notice("bad", h("strong", {}, "This is no plan yet"), h("pre", { class: "text small", id: "plan-error" }, e.message)) : failed(e, () => look()));
    }
    go.disabled = mode === "text" && !checked;
    download.disabled = !checked;
  }

  async function preflight() {
    if (!checked) { await look(true); if (!checked) return; }
    const plan = checked;
    const mine = asked;
    go.disabled = true;
    fill(found, loading());
    try {
      const report = await post("/preflight", { plan });
      // What was edited, or left, meanwhile is not what was asked about.
      if (mine !== asked) return;
      if (report.verdict === "pass") return await begin(plan);
      const anyway = h("button", { class: "btn primary", type: "button", id: "anyway", onclick: () => begin(plan, anyway) }, "Start anyway");
      fill(found, h("div", { style: { display: "grid", gap: "12px" } }, preflightCard(report),
        report.verdict === "fail"
          ? notice("bad", "Nothing was started. Put right what failed, and check again.")
          : h("div", { class: "actions" }, anyway)));
      found.scrollIntoView({ block: "nearest", behavior: "smooth" });
    } catch (e) {
      if (mine === asked) fill(found, failed(e));
    } finally {
      if (mine === asked) go.disabled = false;
    }
  }

  async function begin(plan, button) {
    if (button) button.disabled = true;
    try {
      const { test_id } = await post("/tests", { plan });
      toast("The test was started");
      if (!away) location.hash = `#/tests/${test_id}`;
    } catch (e) {
      fill(found, failed(e));
    }
  }

  later(0);
  // While one writes nothing is asked; that the node went away is told all the same.
  const stop = repeat(ALIVE, () => get("/version"));
  return () => { away = true; clearTimeout(timer); asked++; stop(); outline.dispose(); };
}

/** Where it is wrong: a table that names one of its keys means that key. */
function place(e) {
  const named = /^([a-z_]+(?:\.[a-z_0-9]+|\[\d+\])*)/.exec(e.message)?.[1];
  return e.field && named?.startsWith(`${e.field}.`) ? named : e.field;
}

const KEY = "vajra.draft";

/** What was written before, or the plan of a test that is to run again. */
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

function keep(mode, value, text) {
  try { sessionStorage.setItem(KEY, JSON.stringify({ value, text: mode === "text" ? text : null })); } catch { /* not kept, then */ }
}
