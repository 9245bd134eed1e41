// The page's frame: where one is, and who answers.

import { get, keepToken, onToken, save, token } from "./api.js";
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
    const answer = await dialog("This node needs its token", [
      h("p", { class: "muted" }, wrong ? "The token is not the one that this node was started with. " : "",
        "It was given to the node by --api-token-file or VAJRA_API_TOKEN, and is kept in this tab only."),
      h("div", { class: "field" }, h("label", { for: "token" }, "Token"),
        h("input", { id: "token", name: "token", type: "password", autocomplete: "off", required: true, autofocus: true })),
    ], [["go", "Continue"]]);
    const given = answer?.data.get("token")?.trim();
    if (given) return keepToken(given);
  }
});

let leave = null;
let turn = 0;

async function route() {
  const hash = location.hash || "#/swarm";
  const found = PAGES.map(([pattern, page, nav, title]) => ({ match: pattern.exec(hash), page, nav, title })).find((p) => p.match);
  if (!found) { location.replace("#/swarm"); return; }
  const mine = ++turn;
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
    const left = await found.page(main, ...found.match.slice(1).map(decodeURIComponent));
    if (mine !== turn) left?.();
    else leave = left;
  } catch (e) {
    if (mine === turn) fill(main, failed(e, route));
  }
}

function frame() {
  fill(document.getElementById("nav"), NAV.map(([page, name]) =>
    h("a", { href: `#/${page}`, data: { page } }, icon(page), name)));
  const theme = h("button", { type: "button", onclick: () => window.vajraTheme.toggle() }, icon("sun"), h("span", {}, "Theme"));
  theme.setAttribute("aria-label", "Switch between light and dark");
  const who = h("div", { class: "who" });
  fill(document.getElementById("foot"),
    h("a", { href: "/api/docs", target: "_blank", rel: "noopener" }, icon("docs"), "API"),
    h("a", { href: "/metrics", target: "_blank", rel: "noopener", onclick: saveMetrics }, icon("metrics"), "Metrics"),
    theme, who);
  return who;
}

/** A new tab could not show the token. */
function saveMetrics(event) {
  if (!token()) return;
  event.preventDefault();
  attempt(null, () => save("/metrics", "vajra-metrics.txt"));
}

async function introduce(who) {
  try {
    const [version, self] = await Promise.all([get("/version"), get("/nodes/self")]);
    const commit = version.commit ? ` (${version.commit.slice(0, 7)})` : "";
    fill(who, h("div", {}, self.name), h("div", {}, `${version.name} ${version.version}${commit}`));
  } catch { /* the page says what is wrong */ }
}

const who = frame();
window.addEventListener("hashchange", () => {
  // Whoever reads by ear or keyboard begins at the new page's top.
  document.getElementById("main").focus({ preventScroll: true });
  route();
});
route().then(() => introduce(who));
