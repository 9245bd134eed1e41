// The form of a plan, generated from the schema. Only the grouping of the keys is defined here.

import { fill, h } from "../../js/dom.js";
import { card, segments } from "../../js/ui.js";
import { field } from "./fields.js";
import { Schema, plain } from "./schema.js";

/** Keys that are always visible; the other keys of a table are collapsed. */
const FIRST = {
  task: ["url", "method", "headers", "body", "ms"],
  load: ["rate", "users", "think_time", "duration", "ramp_up", "warm_up", "stages"],
};
/** Required here, but not in the schema: a plan file may use its `[local]` target instead. */
const REQUIRED = new Set(["url"]);
/** The initial plan. */
export const NEW = { task: { type: "HTTP", method: "GET" }, load: { model: "open", rate: 100, duration: "30s" } };

export function planForm(rootSchema, value, changed) {
  const schema = new Schema(rootSchema);
  const touched = new Set();
  let last = null; // the last error and its path
  const form = {
    schema, value, errors: new Map(),
    changed: (path) => { touched.add(path.join(".")); changed(); },
    // Leaving a field changes no value, so a button that is about to be clicked stays enabled.
    touched: (path) => { touched.add(path.join(".")); if (last) showError(...last); },
  };
  const target = h("div");
  const load = h("div");
  let staged = Boolean(value.load?.stages);

  const part = (name) => schema.resolve(rootSchema.properties[name]);
  const fields = (name, keys) => h("div", { class: "fields" }, keys.map(([key, s, required]) => field(form, [name, key], s, required || REQUIRED.has(key))));
  const folded = (title, name, keys, open) => keys.length > 0 && h("details", { open, style: { marginTop: "16px" } }, h("summary", { class: "small" }, title), h("div", { style: { marginTop: "14px" } }, fields(name, keys)));

  function drawTarget() {
    const types = schema.choices(schema.resolve(part("task").properties.type)) || [];
    value.task ||= { ...NEW.task };
    const choice = h("div", { class: "choice", role: "radiogroup", "aria-label": "Task type" }, types.map(([type, about]) => h("label", {},
      h("input", { type: "radio", name: "task-type", value: type, checked: value.task.type === type, onchange: () => changeType(type) }),
      h("span", {}, type, h("small", {}, plain(about))))));
    const keys = schema.keys(part("task"), value.task).filter(([key]) => key !== "type");
    const first = keys.filter(([key, , required]) => required || FIRST.task.includes(key));
    first.sort((a, b) => order(FIRST.task, a[0]) - order(FIRST.task, b[0]));
    const rest = keys.filter((key) => !first.includes(key));
    fill(target, choice, h("div", { style: { marginTop: "16px" } }, fields("task", first)), folded("More request options", "task", rest, rest.some(([key]) => value.task[key] !== undefined)));
  }

  function changeType(type) {
    value.task.type = type;
    const allowed = new Set(schema.keys(part("task"), value.task).map(([key]) => key));
    for (const key of Object.keys(value.task)) if (!allowed.has(key)) delete value.task[key];
    drawTarget();
    form.changed(["task", "type"]);
  }

  function drawLoad() {
    const models = schema.choices(schema.resolve(part("load").properties.model)) || [];
    value.load ||= { ...NEW.load };
    value.load.model ||= value.load.users ? "closed" : "open";
    const { model } = value.load;
    const other = model === "open" ? "Closed model" : "Open model";
    const modelChoice = segments("Model", models.map(([m, about]) => [m, `${m === "open" ? "Open" : "Closed"}: ${plain(about).replace(/\.$/, "").toLowerCase()}`]), model, (m) => {
      value.load.model = m;
      for (const [key, s] of schema.keys(part("load"), value.load)) if (plain(s.description).startsWith(m === "open" ? "Closed model" : "Open model")) delete value.load[key];
      if (m === "open") value.load.rate ??= 100; else value.load.users ??= 10;
      drawLoad();
      form.changed(["load", "model"]);
    });
    const shape = segments("Shape", [[false, "Constant"], [true, "Stages"]], staged, (to) => {
      staged = to;
      const { load: l } = value;
      if (to) {
        l.stages ||= [{ type: "ramp", length: "10s" }, { type: "sustain", length: l.duration || "30s" }];
        for (const key of ["duration", "warm_up", "ramp_up"]) delete l[key];
      } else {
        delete l.stages;
        l.duration ||= "30s";
      }
      drawLoad();
      form.changed(["load", "stages"]);
    });
    const hidden = new Set(staged ? ["duration", "warm_up", "ramp_up"] : ["stages"]);
    const keys = schema.keys(part("load"), value.load).filter(([key, s]) => key !== "model" && !hidden.has(key) && !plain(s.description).startsWith(other));
    const first = keys.filter(([key]) => FIRST.load.includes(key)).sort((a, b) => order(FIRST.load, a[0]) - order(FIRST.load, b[0]));
    const rest = keys.filter(([key]) => !FIRST.load.includes(key));
    fill(load, h("div", { class: "actions", style: { marginBottom: "16px" } }, modelChoice, shape), fields("load", first),
      folded("Limits, pacing, arrivals", "load", rest, rest.some(([key]) => value.load[key] !== undefined)));
  }

  drawTarget();
  drawLoad();
  const top = ["name", "tags"].filter((key) => rootSchema.properties[key]);
  const more = h("details", {}, h("summary", { class: "small" }, "Name, tags, nodes, limits of a valid result"),
    h("div", { class: "fields", style: { marginTop: "14px" } }, top.map((key) => field(form, [key], part(key), false)),
      ["swarm", "limits"].flatMap((name) => schema.keys(part(name), value[name]).map(([key, s, required]) => field(form, [name, key], s, required)))));
  const thresholds = field(form, ["thresholds"], part("thresholds"), false);
  // The header of the card shows both.
  for (const part of [".label", ".help"]) thresholds.querySelector(part)?.remove();

  const el = h("form", { novalidate: true, onsubmit: (e) => e.preventDefault() },
    card("Target", { body: target, note: plain(part("task").description) }).el,
    card("Load", { body: load, note: plain(part("load").description) }).el,
    card("Thresholds", { body: thresholds, note: "For example response_time.p99 < 250ms, error_rate < 1%, rate > 990/s" }).el,
    h("section", { class: "card" }, h("div", { class: "pad" }, more)));

  /** Path of the first required field that is empty; null if there is none. */
  const missing = () => {
    for (const [path, { input }] of form.errors) if (input?.required && input.isConnected && !input.value.trim()) return path;
    return null;
  };

  /** Shows an error at its field; returns whether there is such a field. */
  const showError = (path, text, all) => {
    for (const { el: box, input } of form.errors.values()) { box.hidden = true; input?.removeAttribute("aria-invalid"); }
    last = path ? [path, text, false] : null;
    if (!path) return false;
    const keys = path.replace(/\[(\d+)\]/g, ".$1").split(".");
    for (let n = keys.length; n > 0; n--) {
      const key = keys.slice(0, n).join(".");
      const at = form.errors.get(key);
      if (!at?.el.isConnected) continue;
      if (!all && !touched.has(key)) return true;
      at.el.textContent = text.replace(new RegExp(`^${path.replace(/[.[\]]/g, "\\$&")}:?\\s*`), "").replace(/^./, (c) => c.toUpperCase());
      at.el.hidden = false;
      at.input?.setAttribute("aria-invalid", "true");
      if (all) {
        at.el.closest("details")?.setAttribute("open", "");
        (at.input || at.el).scrollIntoView({ block: "center" });
        at.input?.focus();
      }
      return true;
    }
    return false;
  };
  return { el, missing, showError };
}

/** Position of a key in a list; unknown keys come last. */
const order = (list, key) => (list.includes(key) ? list.indexOf(key) : list.length);
