// Components of pages.

import { fill, h, icon, setText } from "./dom.js";
import { Unreachable } from "./api.js";

/** A label with an icon; the colour only repeats their meaning. */
export function badge(kind, word, title) {
  const symbol = { good: "good", warn: "warn", bad: "bad", live: "live" }[kind] || "idle";
  return h("span", { class: `badge ${kind}`, title }, icon(symbol, 12), word);
}

/** Replaces a badge if it changed. */
export function setBadge(old, kind, word, title) {
  const key = `${kind}\n${word}\n${title || ""}`;
  if (old.dataset.key === key) return old;
  const now = badge(kind, word, title);
  now.dataset.key = key;
  old.replaceWith(now);
  return now;
}

export const VERDICTS = { valid: "good", degraded: "warn", invalid: "bad" };

export function verdictBadge(test) {
  if (test.state !== "ended") return badge("live", test.state);
  if (!test.verdict) return badge("idle", "ended");
  return badge(VERDICTS[test.verdict] || "idle", test.verdict);
}

/** Tiles of numbers: `tiles([["rate", "Rate"], …])` creates them, `set(key, …)` updates one. */
export function tiles(names) {
  const parts = {};
  const el = h("dl", { class: "tiles", style: { margin: 0 } }, names.map(([key, name, title]) => {
    const value = document.createTextNode("–");
    const unit = h("small");
    const note = h("div", { class: "note" });
    const tile = h("div", { class: "tile", title }, h("dt", {}, name), h("dd", {}, value, unit), note);
    parts[key] = { tile, value, unit, note };
    return tile;
  }));
  const set = (key, value, unit = "", note = "", kind = "") => {
    const part = parts[key];
    if (part.value.data !== String(value)) part.value.data = value;
    setText(part.unit, unit);
    setText(part.note, note);
    part.tile.className = `tile ${kind}`;
  };
  return { el, set };
}

export function card(title, { note, tools, body, pad = true, cls = "" } = {}) {
  const inner = h("div", { class: pad ? "pad" : "flush" }, body);
  const about = h("p", {}, note);
  const el = h("section", { class: `card ${cls}`, "aria-label": title },
    h("header", {}, h("div", {}, h("h2", {}, title), note !== undefined && about), tools), inner);
  return { el, body: inner, note: about };
}

export const empty = (title, text, action) =>
  h("div", { class: "empty" }, h("strong", {}, title), text && h("p", {}, text), action);

export const skeleton = (height) => h("div", { class: "skeleton", style: { height: `${height}px` }, "aria-hidden": "true" });

export function loading() {
  return h("div", { role: "status", "aria-label": "Loading", style: { display: "grid", gap: "16px" } }, skeleton(52), skeleton(86), skeleton(280));
}

export function notice(kind, ...children) {
  return h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, icon(kind === "good" ? "good" : kind === "bad" ? "bad" : "warn"), h("div", {}, children));
}

/** An error, with a button to retry. */
export function failed(error, retry) {
  const title = error instanceof Unreachable ? "This node cannot be reached" : "The request failed";
  return notice("bad", h("strong", {}, title), h("div", {}, error.message),
    retry && h("p", { style: { marginTop: "8px" } }, h("button", { class: "btn small", onclick: retry }, "Retry")));
}

export function toast(text, kind = "") {
  const el = h("div", { class: `toast ${kind}` }, text);
  const all = document.getElementById("toasts");
  all.append(el);
  while (all.childElementCount > 4) all.firstChild.remove();
  setTimeout(() => el.remove(), kind === "bad" ? 9000 : 4500);
}

/** Runs a request and shows its error, if any, as a toast. The button is disabled meanwhile. */
export async function attempt(button, work, done) {
  if (button) button.disabled = true;
  try {
    const answer = await work();
    if (done) toast(done);
    return answer;
  } catch (e) {
    toast(e.message, "bad");
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

/** A dialog; resolves to the value of the chosen action and the data of the form, or null if cancelled. */
export function dialog(title, body, actions) {
  return new Promise((resolve) => {
    const form = h("form", { method: "dialog" }, h("h2", {}, title), body,
      h("div", { class: "actions" },
        h("button", { class: "btn", type: "button", onclick: () => box.close() }, "Cancel"),
        actions.map(([value, name, cls]) => h("button", { class: `btn ${cls || "primary"}`, value }, name))));
    const box = h("dialog", { "aria-label": title }, form);
    let answer = null;
    form.addEventListener("submit", (e) => { answer = { value: e.submitter?.value, data: new FormData(form) }; });
    box.addEventListener("close", () => { box.remove(); resolve(answer); });
    box.addEventListener("click", (e) => { if (e.target === box) box.close(); });
    document.body.append(box);
    box.showModal();
  });
}

/** A row of buttons to choose one value, or several. */
export function segments(label, choices, chosen, onChange, many = false) {
  const el = h("div", { class: "segments", role: "group", "aria-label": label });
  const draw = () => fill(el, choices.map(([value, name, title]) => h("button", {
    type: "button", title, "aria-pressed": String(many ? chosen.has(value) : chosen === value), data: { value: String(value) },
    onclick: () => {
      if (many) { if (chosen.has(value)) chosen.delete(value); else chosen.add(value); } else { chosen = value; }
      for (const button of el.children) {
        const on = many ? [...chosen].some((v) => String(v) === button.dataset.value) : button.dataset.value === String(chosen);
        button.setAttribute("aria-pressed", String(on));
      }
      onChange(chosen);
    },
  }, name)));
  draw();
  return el;
}

/** A table with a header; `columns` are `[name, "r"?, title?]`. */
export function table(columns, body, cls = "") {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, h("table", { class: cls },
    h("thead", {}, h("tr", {}, columns.map(([name, align, title]) => h("th", { class: align, scope: "col", title }, name)))), body));
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
