// The API of the node that served this page.

const BASE = "/api/v1";
const KEY = "vajra.token";
let ask = null;

/** What the API refused, as it says it (RFC 9457). */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail || problem?.title || `the node answered with status ${status}`);
    this.status = status;
    this.field = problem?.field || null;
  }
}

/** The node could not be reached at all. */
export class Unreachable extends Error {}

/** The token of this tab, if one was asked for. */
export const token = () => { try { return sessionStorage.getItem(KEY); } catch { return null; } };

export function keepToken(value) {
  try { sessionStorage.setItem(KEY, value); } catch { /* asked again on the next page */ }
}

/** Called once whenever the token is missing or wrong; resolves when there is a new one. */
export function onToken(how) { ask = how; }

function headers(extra = {}) {
  const shown = token();
  return shown ? { ...extra, Authorization: `Bearer ${shown}` } : extra;
}

/** Metrics are where scrapers look for them, beside the API. */
const address = (path) => (path === "/metrics" ? path : BASE + path);

let asking = null;
async function send(path, options) {
  const used = token();
  let response;
  try {
    response = await fetch(address(path), { ...options, headers: headers(options.headers), cache: "no-store" });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Unreachable("this node cannot be reached");
  }
  if (response.status === 401 && ask) {
    // All requests that wait share one question, which may be answered by now.
    if (token() === used) {
      asking ||= ask(used !== null).finally(() => { asking = null; });
      await asking;
    }
    return send(path, options);
  }
  if (!response.ok) {
    let problem = null;
    try { problem = await response.json(); } catch { /* not from the API itself */ }
    throw new Refused(response.status, problem);
  }
  return response;
}

export async function get(path, signal) {
  return (await send(path, { signal })).json();
}

export async function post(path, body = {}, signal) {
  const options = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal };
  return (await send(path, options)).json();
}

export async function remove(path) {
  return (await send(path, { method: "DELETE" })).json();
}

/** Saves what the API answers as a file; a plain link could not show the token. */
export async function save(path, name) {
  const blob = await (await send(path, {})).blob();
  saveAs(blob, name);
}

export function saveAs(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * Opens what the API answers in a tab of its own. A new tab could not show the token, so where
 * there is one it is saved as a file instead.
 */
export async function open(path, name) {
  if (token()) return save(path, name);
  window.open(BASE + path, "_blank", "noopener");
}

/**
 * Server-sent events by `fetch`, which can show a token, as `EventSource` cannot. Resolves when
 * the stream ends; rejects when it breaks.
 */
export async function stream(path, onEvent, signal, onOpen) {
  const response = await send(path, { signal, headers: { Accept: "text/event-stream" } });
  onOpen?.();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const event = parse(rest.slice(0, end));
      rest = rest.slice(end + 2);
      if (event) onEvent(event.name, event.data);
    }
  }
}

function parse(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? { name, data: JSON.parse(data.join("\n")) } : null;
}
