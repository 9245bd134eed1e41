// The result of a pre-flight check.

import { h } from "../../js/dom.js";
import { badge, card } from "../../js/ui.js";

const WORDS = { pass: ["good", "PASS"], warn: ["warn", "WARN"], fail: ["bad", "FAIL"], skip: ["idle", "SKIP"] };
const word = (finding) => badge(...(WORDS[finding] || ["idle", finding]));

export function preflightCard(report) {
  const rows = report.checks.map((check) => {
    const details = report.nodes.flatMap((node) => node.checks
      .filter((c) => c.name === check.name && (c.subject || null) === (check.subject || null) && (c.finding === "warn" || c.finding === "fail"))
      .map((c) => h("li", {}, h("strong", {}, node.name), `: ${c.text}`)));
    return h("li", {}, word(check.finding), h("div", {},
      h("div", {}, h("span", { class: "name" }, check.name), check.subject && h("span", { class: "muted" }, ` ${check.subject}`)),
      h("div", {}, check.text), check.hint && h("div", { class: "hint" }, check.hint), details.length > 0 && h("ul", {}, details)));
  });
  const nodes = h("details", { style: { padding: "10px 16px 14px", borderTop: "1px solid var(--line)" } }, h("summary", { class: "small" }, `Checks by node (${report.nodes.length})`),
    report.nodes.map((node) => h("div", { style: { marginTop: "10px" } },
      h("div", { class: "node-name" }, node.name, node.able ? badge("good", "takes part") : badge("warn", "does not take part")),
      h("ul", { class: "checks" }, node.checks.map((c) => h("li", { style: { paddingLeft: 0, paddingRight: 0 } }, word(c.finding), h("div", {}, h("span", { class: "name" }, c.name), ` ${c.text}`)))))));
  const notes = { pass: "All checks passed", warn: "The result may be degraded or invalid", fail: "The test cannot run" };
  return card("Pre-flight check", { pad: false, note: notes[report.verdict] || "", body: [h("ul", { class: "checks" }, rows), nodes] }).el;
}
