// Form fields for the types of the plan schema.

import { fill, h, icon } from "../../js/dom.js";
import { label, plain, setAt, valueAt } from "./schema.js";

/** Fields that usually have several lines. */
const LONG = new Set(["body", "ca", "client_cert"]);
const WIDE = new Set(["url", "headers", "body", "addresses", "tls", "stages", "thresholds", "tags", "where"]);
let ids = 0;

/**
 * Creates a field that writes into `form.value` and calls `form.changed(path)`. `form.errors` maps paths
 * to the elements that show their errors.
 */
export function field(form, path, schema, required) {
  const name = path[path.length - 1];
  const id = `f${++ids}`;
  const help = plain(schema.description);
  const error = h("div", { class: "error", id: `${id}w`, role: "alert", hidden: true });
  const made = control(form, path, schema, id, required);
  form.errors.set(path.join("."), { el: error, input: made.input });
  made.input?.setAttribute("aria-describedby", `${id}h ${id}w`);
  const about = h("div", { class: "help", id: `${id}h` }, help, schema["x-range"] && help ? ` ${cap(schema["x-range"])}.` : "");
  const cls = `field ${WIDE.has(name) || made.wide ? "wide" : ""}`;
  if (made.check) return h("div", { class: cls }, h("div", { class: "check" }, made.el, h("label", { for: id }, label(name), h("div", { class: "help", style: { fontWeight: 400 } }, help))), error);
  const head = made.input ? h("label", { for: id }, label(name)) : h("span", { class: "label" }, label(name));
  return h("div", { class: cls, role: made.input ? null : "group", "aria-label": made.input ? null : label(name) }, head, made.el, error, about);
}

const cap = (text) => text[0].toUpperCase() + text.slice(1);

function control(form, path, schema, id, required) {
  const name = path[path.length - 1];
  const now = valueAt(form.value, path);
  const set = (value) => { setAt(form.value, path, value); form.changed(path); };
  const choices = form.schema.choices(schema);
  if (choices) {
    const input = h("select", { id, onchange: (e) => set(e.target.value === "" ? undefined : e.target.value) },
      !required && schema.default === undefined && h("option", { value: "" }, "not set"),
      choices.map(([value, about]) => h("option", { value, title: plain(about), selected: value === (now ?? schema.default) }, value)));
    return { el: input, input };
  }
  if (schema.type === "boolean") {
    const input = h("input", { id, type: "checkbox", checked: now ?? schema.default ?? false, onchange: (e) => set(e.target.checked || schema.default ? e.target.checked : undefined) });
    return { el: input, input, check: true };
  }
  if (schema.type === "array" && form.schema.resolve(schema.items)?.properties) return { el: tables(form, path, schema), wide: true };
  if (schema.type === "array") return { el: texts(form, path, schema), wide: true };
  if (schema.additionalProperties && typeof schema.additionalProperties === "object" || isPairs(schema)) return { el: pairs(form, path), wide: true };
  if (schema.properties) return { el: group(form, path, schema), wide: true };
  const number = schema.type === "integer" || schema.type === "number";
  const example = schema.default ?? schema.examples?.[0] ?? "";
  const read = (text) => {
    if (text === "") return undefined;
    const as = Array.isArray(schema.type) && (schema.type.includes("number") || schema.type.includes("integer"));
    return (number || as) && /^\s*-?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : text;
  };
  const props = { id, placeholder: String(example), spellcheck: "false", autocomplete: "off", required, maxlength: schema.maxLength ? String(schema.maxLength) : null,
    inputmode: number ? "decimal" : null, oninput: (e) => set(read(e.target.value)), onblur: () => form.touched(path) };
  const long = LONG.has(name);
  const input = long ? h("textarea", props) : h("input", { ...props, type: name === "url" ? "url" : "text" });
  if (now !== undefined) input.value = String(now);
  return { el: input, input, wide: long };
}

const isPairs = (schema) => (schema.anyOf || []).some((s) => s.type === "object" && s.additionalProperties);

/** A nested table, collapsed at first. */
function group(form, path, schema) {
  const keys = form.schema.keys(schema, valueAt(form.value, path));
  return h("details", { open: valueAt(form.value, path) !== undefined }, h("summary", { class: "small" }, "Show"),
    h("div", { class: "fields", style: { marginTop: "12px" } }, keys.map(([name, s, required]) => field(form, [...path, name], s, required && false))));
}

function remover(what, onclick) {
  const button = h("button", { type: "button", class: "btn quiet small", onclick }, icon("bad", 12));
  button.setAttribute("aria-label", `Remove ${what}`);
  return button;
}

const adder = (text, onclick) => h("div", {}, h("button", { type: "button", class: "btn small", onclick }, icon("plus", 12), text));

/** Pairs of names and values. */
function pairs(form, path) {
  const initial = valueAt(form.value, path) || {};
  const rows = (Array.isArray(initial) ? initial : Object.entries(initial)).map(([k, v]) => [k, v]);
  const box = h("div", { class: "rows" });
  const write = () => {
    const filled = rows.filter(([k]) => k !== "");
    const repeated = new Set(filled.map(([k]) => k)).size < filled.length;
    setAt(form.value, path, filled.length ? (repeated ? filled : Object.fromEntries(filled)) : undefined);
    form.changed(path);
  };
  const draw = (focus) => {
    fill(box, rows.map((row, i) => h("div", { class: "row" },
      h("input", { "aria-label": "Name", placeholder: "name", value: row[0], oninput: (e) => { row[0] = e.target.value; write(); } }),
      h("input", { "aria-label": "Value", placeholder: "value", value: String(row[1]), oninput: (e) => { row[1] = e.target.value; write(); } }),
      remover("this line", () => { rows.splice(i, 1); write(); draw(); }))),
    adder("Add", () => { rows.push(["", ""]); draw(true); }));
    if (focus) box.children[rows.length - 1].firstChild.focus();
  };
  draw();
  return box;
}

/** A list of strings. */
function texts(form, path, schema) {
  const item = form.schema.resolve(schema.items);
  const inner = item.anyOf ? form.schema.resolve(item.anyOf[0]) : item;
  const rows = [...(valueAt(form.value, path) || [])];
  const box = h("div", { class: "rows" });
  const write = () => {
    const filled = rows.filter((r) => r !== "");
    setAt(form.value, path, filled.length ? filled : undefined);
    form.changed(path);
  };
  const draw = (focus) => {
    fill(box, rows.map((row, i) => h("div", { class: "row" },
      typeof row === "string"
        ? h("input", { "aria-label": label(path[path.length - 1]), placeholder: inner.examples?.[0] || "", value: row, class: "mono", spellcheck: "false", oninput: (e) => { rows[i] = e.target.value; write(); }, onblur: () => form.touched(path) })
        : h("code", {}, JSON.stringify(row)),
      remover("this line", () => { rows.splice(i, 1); write(); draw(); }))),
    adder("Add", () => { rows.push(""); draw(true); }));
    if (focus) box.children[rows.length - 1].firstChild.focus();
  };
  draw();
  return box;
}

/** A list of tables, such as the stages of a load. */
function tables(form, path, schema) {
  const item = form.schema.resolve(schema.items);
  const rows = valueAt(form.value, path) || [];
  const box = h("div", { class: "rows" });
  const write = () => { setAt(form.value, path, rows.length ? rows : undefined); form.changed(path); };
  const draw = () => {
    fill(box, rows.map((row, i) => {
      const sub = { ...form, value: row, errors: new Map(), changed: (p) => { write(); if (p[0] === "type") draw(); } };
      const parts = form.schema.keys(item, row).map(([name, s, required]) => {
        const at = `${[...path, i].join(".")}.${name}`;
        const made = field(sub, [name], s, required);
        form.errors.set(at, sub.errors.get(name));
        made.querySelector(".help")?.remove();
        made.classList.remove("wide");
        return made;
      });
      return h("div", { class: "row", style: { alignItems: "flex-end" } }, parts, remover(`stage ${i + 1}`, () => { rows.splice(i, 1); write(); draw(); }));
    }), adder("Add a stage", () => {
      const types = form.schema.choices(form.schema.resolve(item.properties?.type || {}));
      rows.push({ ...(types ? { type: rows.length ? "sustain" : "ramp" } : {}), length: "30s" });
      write();
      draw();
    }));
  };
  draw();
  return box;
}
