// What the nodes found when they looked at a plan, check by check.

import { h } from "../../js/dom.js";
import { badge, card } from "../../js/ui.js";

const WORDS = { pass: ["good", "PASS"], warn: ["warn", "WARN"], fail: ["bad", "FAIL"], skip: ["idle", "SKIP"] };
const word = (finding) => badge(...(WORDS[finding] || ["idle", finding]));

export function preflightCard(report) {
  const rows = report.checks.map((check) => {
    const said = report.nodes.flatMap((node) => node.checks
      .filter((c) => c.name === check.name && (c.subject || null) === (check.subject || null) && (c.finding === "warn" || c.finding === "fail"))
      .map((c) => h("li", {}, h("strong", {}, node.name), `: ${c.text}`)));
    return h("li", {}, word(check.finding), h("div", {},
      h("div", {}, h("span", { class: "name" }, check.name), check.subject && h("span", { class: "muted" }, ` ${check.subject}`)),
      h("div", {}, check.text), check.hint && h("div", { class: "hint" }, check.hint), said.length > 0 && h("ul", {}, said)));
  });
  const nodes = h("details", { style: { padding: "10px 16px 14px", borderTop: "1px solid var(--line)" } }, h("summary", { class: "small" }, `Node by node (${report.nodes.length})`),
    report.nodes.map((node) => h("div", { style: { marginTop: "10px" } },
      h("div", { class: "node-name" }, node.name, node.able ? badge("good", "takes part") : badge("warn", "takes no part")),
      h("ul", { class: "checks" }, node.checks.map((c) => h("li", { style: { paddingLeft: 0, paddingRight: 0 } }, word(c.finding), h("div", {}, h("span", { class: "name" }, c.name), ` ${c.text}`)))))));
  const told = { pass: "Nothing stands in the way", warn: "Something may spoil the result", fail: "The test would not run" };
  return card("Pre-flight", { pad: false, note: told[report.verdict] || "", body: [h("ul", { class: "checks" }, rows), nodes] }).el;
}
