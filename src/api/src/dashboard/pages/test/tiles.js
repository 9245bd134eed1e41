// What was counted, in large numbers.

import { bytes, clock, percent, seconds, short, split } from "../../js/format.js";
import { tiles } from "../../js/ui.js";

/** Lag in milliseconds beyond which the generator itself spoils a result, unless the plan says otherwise. */
const LAG_LIMIT = 100;

export function testTiles(state) {
  const part = tiles([
    ["rate", "Rate", "Requests sent a second: in the last interval, and at the end over the whole test"],
    ["sent", "Requests", "Written, warm-up included"], ["errors", "Errors", "Failed of sent"],
    ["p50", "Median", "Response time from the instant a request was due"], ["p99", "p99"],
    ["flight", "In flight", "Waiting or in flight now"],
    ["lag", "Lag p99", "How late the generator itself was"], ["missing", "Missing", "Arrivals dropped by workers, and those that no worker was there for"],
    ["traffic", "Received", "Bytes read from connections"],
  ]);
  const update = () => {
    const { result: r, progress: p, timeline } = state;
    const over = r.state === "ended";
    const points = timeline.data.points;
    const [before, last] = [points[points.length - 2], points[points.length - 1]];
    const totals = r.totals;
    // A point tells what was asked for at its end, and what came since its beginning: while the
    // load rises the two are of different moments, unless one takes the middle.
    const now = over ? r.rate.achieved : last?.rate ?? 0;
    const asked = over ? r.rate.planned : ((before ?? last)?.planned + last?.planned) / 2 || 0;
    const users = over ? 0 : last?.users;
    part.set("rate", short(now), "/s", users ? `${short(users)} users` : asked ? `of ${short(asked)} planned` : "", asked && now < asked * 0.98 && last && last.from_s > 1 ? "warn" : "");
    // Of one moment, all of them: what is told every second is newer than the result.
    const { sent, failed, elapsed_s: at } = over || !p ? { ...totals, elapsed_s: r.duration_s } : p;
    const planned = over && r.load?.model === "open" && totals.planned;
    part.set("sent", short(sent), "", planned ? `${short(planned)} planned` : at > 0 ? `in ${clock(Math.floor(at))}` : "");
    const share = sent ? failed / sent : 0;
    part.set("errors", sent ? percent(share).replace(" %", "") : "–", sent ? "%" : "", `${short(failed)} failed`, share > 0.01 ? "bad" : failed ? "warn" : "");
    const whole = r.response_time_ms;
    const live = over ? whole : last?.response_time_ms || whole;
    part.set("p50", ...split(over ? whole?.p50 : p?.p50_ms ?? live?.p50), over || !whole ? "" : `${split(whole.p50).join(" ")} overall`);
    part.set("p99", ...split(over ? whole?.p99 : p?.p99_ms ?? live?.p99), over || !whole ? (whole ? `max ${split(whole.max).join(" ")}` : "") : `${split(whole.p99).join(" ")} overall`);
    part.set("flight", over ? "0" : last ? short(last.in_flight) : "–");
    const lag = over ? r.lag_ms?.p99 : p?.lag_p99_ms ?? r.lag_ms?.p99;
    const late = lag > (1000 * seconds(r.plan?.limits?.lag_p99) || LAG_LIMIT);
    part.set("lag", ...split(lag), late ? "the generator is late" : "", late ? "bad" : "");
    const missing = totals.dropped + totals.unsent;
    part.set("missing", short(missing), "", [totals.dropped && `${short(totals.dropped)} dropped`, totals.unsent && `${short(totals.unsent)} unsent`].filter(Boolean).join(", "), missing ? "warn" : "");
    const [size, unit] = bytes(totals.bytes_received).split(" ");
    part.set("traffic", size, unit, `${bytes(totals.bytes_sent)} sent`);
  };
  return { el: part.el, update };
}
