// The API of the node that served this page.

const BASE = "/api/v1";
const KEY = "vajra.token";
let promptForToken = null;

/** The API refused the request; the message is that of the problem details (RFC 9457). */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail || problem?.title || `the node answered with status ${status}`);
    this.status = status;
    this.field = problem?.field || null;
  }
}

/** The node cannot be reached. */
export class Unreachable extends Error {}

/** The token of this tab, if one was entered. */
export const token = () => { try { return sessionStorage.getItem(KEY); } catch { return null; } };

export function storeToken(value) {
  try { sessionStorage.setItem(KEY, value); } catch { /* the next page asks for it again */ }
}

/** Sets the function that asks for a token when it is missing or wrong; it resolves when there is one. */
export function onToken(prompt) { promptForToken = prompt; }

function headers(extra = {}) {
  const value = token();
  return value ? { ...extra, Authorization: `Bearer ${value}` } : extra;
}

/** The metrics are outside the versioned API, where scrapers expect them. */
const address = (path) => (path === "/metrics" ? path : BASE + path);

let pendingPrompt = null;
async function send(path, options) {
  const used = token();
  let response;
  try {
    response = await fetch(address(path), { ...options, headers: headers(options.headers), cache: "no-store" });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Unreachable("this node cannot be reached");
  }
  if (response.status === 401 && promptForToken) {
    // All waiting requests share one prompt, which may have been answered by now.
    if (token() === used) {
      pendingPrompt ||= promptForToken(used !== null).finally(() => { pendingPrompt = null; });
      await pendingPrompt;
    }
    return send(path, options);
  }
  if (!response.ok) {
    let problem = null;
    try { problem = await response.json(); } catch { /* the response is not from the API */ }
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

/** Saves a response as a file. A plain link could not send the token. */
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
 * Opens a response in a new tab. A new tab could not send the token, so with a token the response is
 * saved as a file instead.
 */
export async function open(path, name) {
  if (token()) return save(path, name);
  window.open(BASE + path, "_blank", "noopener");
}

/**
 * Server-sent events with `fetch`, which can send a token, unlike `EventSource`. Resolves when the
 * stream ends; rejects when the connection is lost.
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
