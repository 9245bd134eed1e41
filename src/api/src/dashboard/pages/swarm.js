// The swarm: who is there, how they are, what runs, and who came and went.

import { Refused, get, post } from "../js/api.js";
import { add, fill, h, icon, keyed, say } from "../js/dom.js";
import { ago, count, millis, percent, short, tail, when } from "../js/format.js";
import { Live, repeat } from "../js/live.js";
import { attempt, badge, card, dialog, empty, facts, setBadge, table, tiles, verdictBadge } from "../js/ui.js";
import { graphPanel } from "./graph.js";

/** Lag, in milliseconds, from which on a node spoils what it measures: what plans allow by default. */
const LAG_WARNING = 100;

const isDrained = (node) => node.status === "draining" || node.status === "leaving";

/** How a node is, worst first: a kind, a word, and why. */
export function health(node) {
  if (node.health === "gone") return ["bad", "gone", "nothing was heard of it for too long"];
  if (node.status === "error") return ["bad", "error", "it says that it cannot work"];
  if (node.status === "isolated") return ["bad", "isolated", "none of its bootstrap addresses was ever reached"];
  if (node.health === "late") return ["warn", "late", "an advert is overdue"];
  if (node.status === "overloaded") return ["warn", "overloaded", "it is late with what it sends"];
  if (isDrained(node)) return ["warn", node.status, "it takes no new share"];
  return ["good", node.status || "idle", "healthy"];
}

export async function swarmPage(main) {
  let [list, tests, events] = await Promise.all([get("/nodes"), get("/tests?limit=20").catch(() => get("/tests")), optional("/swarm/events?limit=100")]);
  events = events?.events || null;

  const pool = tiles([
    ["nodes", "Nodes healthy"], ["capacity", "Capacity", "Tasks that the healthy nodes can run at once"],
    ["load", "In use"], ["free", "Free", "Of the healthy nodes that take new shares"], ["running", "Tests running"],
  ]);
  const running = h("div", { class: "running" });
  const draw = { running: keyed(running, (t) => t.test_id, runCard) };
  const body = h("tbody");
  draw.nodes = keyed(body, (n) => `${n.peer}/${n.incarnation}`, (n) => nodeRow(n, () => tests.tests, () => list.nodes.find((other) => other.self)?.version));
  const nodes = card("Nodes", { pad: false, note: "", body: table([["Node"], ["Health"], ["Load"], ["Share"], ["Lag p99", "r", "How late it is with what it sends in the running tests"], ["Heard", "r"], ["Round trip", "r", "From the node that answers"], ["Clock", "r", "How far its wall clock is ahead"], ["Version"], [""]], body, "cards") });
  const log = h("ul", { class: "events" });
  draw.events = keyed(log, (e) => `${e.at}${e.kind}${e.peer}`, eventRow);
  const history = card("Joins and losses", { pad: false, body: log });
  const graph = graphPanel();
  const title = h("h1", {}, "Swarm");
  const runningPart = h("section", { "aria-label": "Running tests" }, running);

  fill(main,
    h("div", { class: "head" }, h("div", {}, title, h("div", { class: "meta" }, "Every node is equal; this page is served by one of them and shows all.")),
      h("div", { class: "actions" }, h("a", { class: "btn primary", href: "#/start" }, icon("start"), "Start a test"))),
    runningPart, pool.el, nodes.el, h("div", { class: "grid-side" }, graph.el, history.el));

  const show = () => {
    const { pool: p } = list;
    const active = tests.tests.filter((t) => t.state !== "ended");
    const lost = p.total - p.healthy;
    const drained = list.nodes.filter((n) => n.health === "healthy" && isDrained(n)).length;
    const told = [lost && `${lost} late or gone`, drained && `${drained} draining`].filter(Boolean);
    pool.set("nodes", p.healthy, `of ${p.total}`, told.join(", ") || "all of them", told.length ? "warn" : "");
    pool.set("capacity", short(p.capacity), "tasks");
    pool.set("load", short(p.load), "tasks", p.capacity ? percent(p.load / p.capacity) : "");
    pool.set("free", short(p.available), "tasks");
    pool.set("running", active.length);
    runningPart.hidden = !active.length;
    draw.running(active);
    draw.nodes(list.nodes);
    say(nodes.note, list.nodes.length === 1 ? "Only this one is known. Start others with --bootstrap and this node's address." : `${count(list.nodes.length)} known to this node`);
    if (!events) fill(history.body, empty("No list yet", "This node keeps no list of who came and went."));
    else if (!events.length) fill(history.body, empty("Nobody came or went", "Joins and losses appear here."));
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
    // A node whose streams are all taken is asked now and then instead.
    onRefused: pollAll,
  });
  ends.push(() => live.close(), repeat(5000, async () => graph.links(await optional("/swarm/links").catch(() => null))), () => graph.dispose());
  return () => ends.forEach((end) => end());
}

async function optional(path) {
  try { return await get(path); } catch (e) { if (e instanceof Refused) return null; throw e; }
}

/** Newest first, each once, at most a hundred. */
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

function nodeRow(first, tests, usual) {
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
    cell("heard", "Heard"), cell("trip", "Round trip"), cell("clock", "Clock"), version, h("td", { class: "r" }, drain));
  const update = (n) => {
    node = n;
    say(name, n.name || tail(n.peer));
    self.hidden = !n.self;
    say(labels, Object.entries(n.labels || {}).map(([k, v]) => `${k}=${v}`).join("  ") || tail(n.peer));
    const [kind, word, why] = health(n);
    state = setBadge(state, kind, word, why);
    const used = n.capacity ? Math.min(1, n.load / n.capacity) : 0;
    bar.style.width = `${used * 100}%`;
    load.className = used > 0.9 ? "bar warn" : "bar";
    load.setAttribute("aria-label", `load ${percent(used)}`);
    say(loadText, `${short(n.load)} of ${short(n.capacity)}`);
    const shares = Object.values(n.shares || {});
    say(share, shares.length ? shares.map(percent).join(", ") : "–");
    const late = n.lag_p99_ms >= LAG_WARNING;
    const lagText = millis(n.lag_p99_ms);
    if (lag.textContent !== lagText) fill(lag, late ? badge("warn", lagText, "It is too late with what it sends: what it measures is spoilt") : lagText);
    say(cells.heard, n.self ? "–" : ago(n.last_seen_ms));
    say(cells.trip, millis(n.round_trip_ms));
    say(cells.clock, n.clock_offset_ms === null || n.clock_offset_ms === undefined ? "–" : Math.abs(n.clock_offset_ms) < 0.001 ? "±0" : `${n.clock_offset_ms < 0 ? "−" : "+"}${millis(Math.abs(n.clock_offset_ms))}`);
    const other = usual() !== undefined && n.version !== usual();
    say(version, other ? `${n.version} ≠` : n.version);
    version.style.color = other ? "var(--warn)" : "";
    version.title = other ? `This page's node is ${usual()}` : "";
    drain.hidden = n.health === "gone" || isDrained(n);
    el.classList.toggle("off", n.health === "gone");
  };
  return { el, update };
}

async function askDrain(node, button) {
  const answer = await dialog(`Drain ${node.name}?`, h("p", { class: "muted" }, "It gives its share of running tests to the others and takes no new one until it is started again."), [["drain", "Drain"]]);
  if (answer) await attempt(button, () => post(`/nodes/${node.peer}/drain`), `${node.name} gives its share away`);
}

function details(node, tests) {
  const named = (id) => tests.find((t) => t.test_id === id)?.name || tail(id);
  const [, word, why] = health(node);
  const some = (parts) => (parts.length ? parts : "none");
  const lines = (values) => values.map((v) => h("div", { class: "mono" }, v));
  const list = facts([
    ["Health", `${word}: ${why}`], ["Machine", node.environment], ["Version", node.version],
    ["Capacity", `${count(node.load)} of ${count(node.capacity)} tasks in use`],
    ["Shares", some(Object.entries(node.shares || {}).map(([id, s]) => h("div", {}, h("a", { href: `#/tests/${id}` }, named(id)), ` ${percent(s)}`)))],
    ["Task types", node.task_types?.join(", ")],
    ["Labels", h("div", { class: "tags" }, some(Object.entries(node.labels || {}).map(([k, v]) => h("span", { class: "tag" }, `${k}=${v}`))))],
    ["Addresses", some(lines(node.addresses || []))], ["Peer id", h("span", { class: "mono" }, node.peer)],
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
