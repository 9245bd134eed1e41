// Navigation, and the node that serves the page.

import { get, storeToken, onToken, save, token } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { attempt, dialog, failed, loading } from "./ui.js";
import { swarmPage } from "../pages/swarm.js";
import { startPage } from "../pages/start.js";
import { testPage } from "../pages/test.js";
import { historyPage } from "../pages/history.js";
import { comparePage } from "../pages/compare.js";

const PAGES = [
  [/^#\/swarm$/, swarmPage, "swarm", "Swarm"],
  [/^#\/start$/, startPage, "start", "Start a test"],
  [/^#\/tests\/([^/?]+)$/, testPage, "history", "Test"],
  [/^#\/history$/, historyPage, "history", "Tests"],
  [/^#\/compare\/([^/?]+)$/, comparePage, "history", "Compare"],
];
const NAV = [["swarm", "Swarm"], ["start", "Start"], ["history", "Tests"]];

onToken(async (wrong) => {
  for (;;) {
    const answer = await dialog("This node requires a token", [
      h("p", { class: "muted" }, wrong ? "The token is not the one of this node. " : "",
        "It is set on the node with --api-token-file or VAJRA_API_TOKEN. This page keeps it until the tab is closed."),
      h("div", { class: "field" }, h("label", { for: "token" }, "Token"),
        h("input", { id: "token", name: "token", type: "password", autocomplete: "off", required: true, autofocus: true })),
    ], [["go", "Continue"]]);
    const entered = answer?.data.get("token")?.trim();
    if (entered) return storeToken(entered);
  }
});

let leave = null;
let navigation = 0;

async function route() {
  const hash = location.hash || "#/swarm";
  const found = PAGES.map(([pattern, page, nav, title]) => ({ match: pattern.exec(hash), page, nav, title })).find((p) => p.match);
  if (!found) { location.replace("#/swarm"); return; }
  const current = ++navigation;
  leave?.();
  leave = null;
  document.title = `${found.title} · Vajra`;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.page === found.nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const main = document.getElementById("main");
  fill(main, loading());
  window.scrollTo(0, 0);
  try {
    const cleanup = await found.page(main, ...found.match.slice(1).map(decodeURIComponent));
    if (current !== navigation) cleanup?.();
    else leave = cleanup;
  } catch (e) {
    if (current === navigation) fill(main, failed(e, route));
  }
}

function frame() {
  fill(document.getElementById("nav"), NAV.map(([page, name]) =>
    h("a", { href: `#/${page}`, data: { page } }, icon(page), name)));
  const theme = h("button", { type: "button", onclick: () => window.vajraTheme.toggle() }, icon("sun"), h("span", {}, "Theme"));
  theme.setAttribute("aria-label", "Switch between light and dark");
  const node = h("div", { class: "node" });
  fill(document.getElementById("foot"),
    h("a", { href: "/api/docs", target: "_blank", rel: "noopener" }, icon("docs"), "API"),
    h("a", { href: "/metrics", target: "_blank", rel: "noopener", onclick: saveMetrics }, icon("metrics"), "Metrics"),
    theme, node);
  return node;
}

/** A new tab could not send the token. */
function saveMetrics(event) {
  if (!token()) return;
  event.preventDefault();
  attempt(null, () => save("/metrics", "vajra-metrics.txt"));
}

async function showNode(el) {
  try {
    const [version, self] = await Promise.all([get("/version"), get("/nodes/self")]);
    const commit = version.commit ? ` (${version.commit.slice(0, 7)})` : "";
    fill(el, h("div", {}, self.name), h("div", {}, `${version.name} ${version.version}${commit}`));
  } catch { /* the page shows the error */ }
}

const nodeElement = frame();
window.addEventListener("hashchange", () => {
  // Screen readers and keyboards start at the top of the new page.
  document.getElementById("main").focus({ preventScroll: true });
  route();
});
route().then(() => showNode(nodeElement));
