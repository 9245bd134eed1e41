// The swarm: its nodes, running tests, connections and membership events.

import { Refused, get, post } from "../js/api.js";
import { add, fill, h, icon, keyed, setText } from "../js/dom.js";
import { ago, count, millis, percent, short, tail, when } from "../js/format.js";
import { Live, repeat } from "../js/live.js";
import { attempt, badge, card, dialog, empty, facts, setBadge, table, tiles, verdictBadge } from "../js/ui.js";
import { graphPanel } from "./graph.js";

/** Lag p99 of a node, in milliseconds, that is marked: the default limit of plans. */
const LAG_WARNING = 100;

const isDrained = (node) => node.status === "draining" || node.status === "leaving";

/** Health of a node, worst first: style, label and explanation. */
export function health(node) {
  if (node.health === "gone") return ["bad", "gone", "no adverts received"];
  if (node.status === "error") return ["bad", "error", "the node reports that it cannot work"];
  if (node.status === "isolated") return ["bad", "isolated", "no bootstrap address was reached since the start"];
  if (node.health === "late") return ["warn", "late", "an advert is overdue"];
  if (node.status === "overloaded") return ["warn", "overloaded", "the node sends requests late"];
  if (isDrained(node)) return ["warn", node.status, "the node takes no new share"];
  return ["good", node.status || "idle", "healthy"];
}

export async function swarmPage(main) {
  let [list, tests, events] = await Promise.all([get("/nodes"), get("/tests?limit=20").catch(() => get("/tests")), optional("/swarm/events?limit=100")]);
  events = events?.events || null;

  const pool = tiles([
    ["nodes", "Healthy nodes"], ["capacity", "Capacity", "Maximum number of concurrent tasks of the healthy nodes"],
    ["load", "In use"], ["free", "Free", "Unused capacity of the healthy nodes that take new shares"], ["running", "Running tests"],
  ]);
  const running = h("div", { class: "running" });
  const draw = { running: keyed(running, (t) => t.test_id, runCard) };
  const body = h("tbody");
  draw.nodes = keyed(body, (n) => `${n.peer}/${n.incarnation}`, (n) => nodeRow(n, () => tests.tests, () => list.nodes.find((other) => other.self)?.version));
  const nodes = card("Nodes", { pad: false, note: "", body: table([["Node"], ["Health"], ["Load"], ["Share"], ["Lag p99", "r", "lag p99 in the running tests"], ["Last seen", "r", "Time since the last advert"], ["Round trip", "r", "From this node"], ["Clock", "r", "Offset of the wall clock from that of this node"], ["Version"], [""]], body, "cards") });
  const log = h("ul", { class: "events" });
  draw.events = keyed(log, (e) => `${e.at}${e.kind}${e.peer}`, eventRow);
  const history = card("Membership events", { pad: false, body: log });
  const graph = graphPanel();
  const title = h("h1", {}, "Swarm");
  const runningPart = h("section", { "aria-label": "Running tests" }, running);

  fill(main,
    h("div", { class: "head" }, h("div", {}, title, h("div", { class: "meta" }, "All nodes, as seen by the node that serves this page.")),
      h("div", { class: "actions" }, h("a", { class: "btn primary", href: "#/start" }, icon("start"), "Start a test"))),
    runningPart, pool.el, nodes.el, h("div", { class: "grid-side" }, graph.el, history.el));

  const show = () => {
    const { pool: p } = list;
    const active = tests.tests.filter((t) => t.state !== "ended");
    const lost = p.total - p.healthy;
    const drained = list.nodes.filter((n) => n.health === "healthy" && isDrained(n)).length;
    const problems = [lost && `${lost} late or gone`, drained && `${drained} draining`].filter(Boolean);
    pool.set("nodes", p.healthy, `of ${p.total}`, problems.join(", ") || "all nodes", problems.length ? "warn" : "");
    pool.set("capacity", short(p.capacity), "tasks");
    pool.set("load", short(p.load), "tasks", p.capacity ? percent(p.load / p.capacity) : "");
    pool.set("free", short(p.available), "tasks");
    pool.set("running", active.length);
    runningPart.hidden = !active.length;
    draw.running(active);
    draw.nodes(list.nodes);
    setText(nodes.note, list.nodes.length === 1 ? "No other node is known. Start more nodes with --bootstrap and the address of this node." : `${count(list.nodes.length)} known to this node`);
    if (!events) fill(history.body, empty("No events", "This node does not record membership events."));
    else if (!events.length) fill(history.body, empty("No events yet", "Nodes that join, leave or are lost are listed here."));
    else { if (!log.isConnected) fill(history.body, log); draw.events(events); }
    graph.show(list.nodes);
  };
  show();

  const ends = [];
  const pollAll = () => ends.push(repeat(2000, async () => {
    [list, tests] = await Promise.all([get("/nodes"), get("/tests")]);
    show();
  }));
  const live = new Live("/events", {
    onEvent(name, data) {
      if (name !== "swarm") return;
      list = data.nodes;
      tests = data.tests;
      if (data.events) events = merged(data.events, events || []);
      show();
    },
    // If too many streams are open, the node is polled.
    onRefused: pollAll,
  });
  ends.push(() => live.close(), repeat(5000, async () => graph.links(await optional("/swarm/links").catch(() => null))), () => graph.dispose());
  return () => ends.forEach((end) => end());
}

async function optional(path) {
  try { return await get(path); } catch (e) { if (e instanceof Refused) return null; throw e; }
}

/** Merges lists of events: newest first, without duplicates, at most 100. */
function merged(fresh, old) {
  const seen = new Set();
  return [...fresh, ...old].filter((e) => {
    const key = `${e.at}${e.kind}${e.peer}`;
    return !seen.has(key) && seen.add(key);
  }).slice(0, 100);
}

function runCard(test) {
  const el = h("a", { class: "card run", href: `#/tests/${test.test_id}` },
    h("div", { class: "line" }, h("strong", {}, test.name || "Unnamed test"), verdictBadge(test)),
    h("div", { class: "line muted small" }, h("span", {}, test.started_at ? `started ${when(test.started_at)}` : "not started yet"), h("span", { class: "mono" }, tail(test.test_id))));
  return { el };
}

const KINDS = { joined: "good", rejoined: "good", left: "idle", gone: "bad" };

function eventRow(e) {
  const clock = when(e.at).replace(/^today /, "");
  const el = h("li", {}, h("time", { datetime: e.at, title: when(e.at) }, clock), h("span", {}, badge(KINDS[e.kind] || "idle", e.kind)), h("span", { class: "text" }, h("strong", {}, e.name || `…${e.peer.slice(-6)}`), ` ${e.text}`));
  return { el };
}

function nodeRow(first, tests, ownVersion) {
  let node = first;
  const name = h("button", { type: "button", title: "Details", onclick: () => details(node, tests()) });
  const self = h("span", { class: "tag", hidden: true }, "this node");
  const labels = h("span", { class: "sub" });
  let state = badge("idle", "–");
  const bar = h("i");
  const loadText = h("span", { class: "small num nowrap" });
  const load = h("div", { class: "bar", role: "img" }, bar);
  const cells = {};
  const cell = (key, label) => (cells[key] = h("td", { class: "r", data: { label } }));
  const drain = h("button", { class: "btn small quiet", type: "button", onclick: () => askDrain(node, drain) }, "Drain");
  const version = h("td", { data: { label: "Version" } });
  const lag = h("td", { class: "r", data: { label: "Lag p99" } });
  const share = h("td", { class: "num", data: { label: "Share" } });
  const el = h("tr", {},
    h("td", {}, h("div", { class: "node-name" }, name, self), labels),
    h("td", { data: { label: "Health" } }, state),
    h("td", { data: { label: "Load" }, style: { minWidth: "120px" } }, load, loadText), share, lag,
    cell("seen", "Last seen"), cell("trip", "Round trip"), cell("clock", "Clock"), version, h("td", { class: "r" }, drain));
  const update = (n) => {
    node = n;
    setText(name, n.name || tail(n.peer));
    self.hidden = !n.self;
    setText(labels, Object.entries(n.labels || {}).map(([k, v]) => `${k}=${v}`).join("  ") || tail(n.peer));
    const [kind, word, why] = health(n);
    state = setBadge(state, kind, word, why);
    const used = n.capacity ? Math.min(1, n.load / n.capacity) : 0;
    bar.style.width = `${used * 100}%`;
    load.className = used > 0.9 ? "bar warn" : "bar";
    load.setAttribute("aria-label", `load ${percent(used)}`);
    setText(loadText, `${short(n.load)} of ${short(n.capacity)}`);
    const shares = Object.values(n.shares || {});
    setText(share, shares.length ? shares.map(percent).join(", ") : "–");
    const late = n.lag_p99_ms >= LAG_WARNING;
    const lagText = millis(n.lag_p99_ms);
    if (lag.textContent !== lagText) fill(lag, late ? badge("warn", lagText, "Above 100 ms: results of this node may be invalid") : lagText);
    setText(cells.seen, n.self ? "–" : ago(n.last_seen_ms));
    setText(cells.trip, millis(n.round_trip_ms));
    setText(cells.clock, n.clock_offset_ms === null || n.clock_offset_ms === undefined ? "–" : Math.abs(n.clock_offset_ms) < 0.001 ? "±0" : `${n.clock_offset_ms < 0 ? "−" : "+"}${millis(Math.abs(n.clock_offset_ms))}`);
    const other = ownVersion() !== undefined && n.version !== ownVersion();
    setText(version, other ? `${n.version} ≠` : n.version);
    version.style.color = other ? "var(--warn)" : "";
    version.title = other ? `The node that serves this page has version ${ownVersion()}` : "";
    drain.hidden = n.health === "gone" || isDrained(n);
    el.classList.toggle("off", n.health === "gone");
  };
  return { el, update };
}

async function askDrain(node, button) {
  const answer = await dialog(`Drain ${node.name}?`, h("p", { class: "muted" }, "The node hands its shares of running tests to other nodes and takes no new share until it is restarted."), [["drain", "Drain"]]);
  if (answer) await attempt(button, () => post(`/nodes/${node.peer}/drain`), `${node.name} is draining`);
}

function details(node, tests) {
  const testName = (id) => tests.find((t) => t.test_id === id)?.name || tail(id);
  const [, word, why] = health(node);
  const orNone = (parts) => (parts.length ? parts : "none");
  const lines = (values) => values.map((v) => h("div", { class: "mono" }, v));
  const list = facts([
    ["Health", `${word}: ${why}`], ["Machine", node.environment], ["Version", node.version],
    ["Capacity", `${count(node.load)} of ${count(node.capacity)} tasks in use`],
    ["Shares", orNone(Object.entries(node.shares || {}).map(([id, s]) => h("div", {}, h("a", { href: `#/tests/${id}` }, testName(id)), ` ${percent(s)}`)))],
    ["Task types", node.task_types?.join(", ")],
    ["Labels", h("div", { class: "tags" }, orNone(Object.entries(node.labels || {}).map(([k, v]) => h("span", { class: "tag" }, `${k}=${v}`))))],
    ["Addresses", orNone(lines(node.addresses || []))], ["Peer id", h("span", { class: "mono" }, node.peer)],
    ["Started", node.incarnation > 1e12 ? when(new Date(node.incarnation).toISOString()) : null],
  ]);
  dialogInfo(node.name || tail(node.peer), list);
}

function dialogInfo(title, body) {
  const box = h("dialog", { "aria-label": title, style: { width: "min(620px, calc(100vw - 32px))" } });
  add(box, [h("form", { method: "dialog" }, h("h2", {}, title), body, h("div", { class: "actions" }, h("button", { class: "btn", autofocus: true }, "Close")))]);
  box.addEventListener("close", () => box.remove());
  box.addEventListener("click", (e) => { if (e.target === box || e.target.tagName === "A") box.close(); });
  document.body.append(box);
  box.showModal();
}
