// Key figures of a test.

import { bytes, clock, percent, seconds, short, split } from "../../js/format.js";
import { tiles } from "../../js/ui.js";

/** Default limit of the lag p99 for a valid result, in milliseconds. */
const LAG_LIMIT = 100;

export function testTiles(state) {
  const part = tiles([
    ["rate", "Rate", "Requests sent per second: in the last interval, and after the end in the whole test"],
    ["sent", "Requests", "Requests sent, including the warm-up"], ["errors", "Errors", "Ratio of failed requests"],
    ["p50", "Median", "Response time from the intended send time"], ["p99", "p99"],
    ["flight", "In flight", "Requests waiting or in flight"],
    ["lag", "Lag p99", "Error of the generator itself: actual minus intended send time"], ["unsent", "Not sent", "Arrivals dropped by workers, and planned arrivals without a worker"],
    ["traffic", "Received", "Bytes received from the target"],
  ]);
  const update = () => {
    const { result: r, progress: p, timeline } = state;
    const over = r.state === "ended";
    const points = timeline.data.points;
    const [before, last] = [points[points.length - 2], points[points.length - 1]];
    const totals = r.totals;
    // A point has the planned rate at its end and the achieved rate since its start. The mean of two
    // planned rates is that of the middle, so that both are comparable while the load rises.
    const now = over ? r.rate.achieved : last?.rate ?? 0;
    const plannedRate = over ? r.rate.planned : ((before ?? last)?.planned + last?.planned) / 2 || 0;
    const users = over ? 0 : last?.users;
    part.set("rate", short(now), "/s", users ? `${short(users)} users` : plannedRate ? `of ${short(plannedRate)} planned` : "", plannedRate && now < plannedRate * 0.98 && last && last.from_s > 1 ? "warn" : "");
    // All from one source: the progress is newer than the result.
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
    part.set("lag", ...split(lag), late ? "above the limit" : "", late ? "bad" : "");
    const unsent = totals.dropped + totals.unsent;
    part.set("unsent", short(unsent), "", [totals.dropped && `${short(totals.dropped)} dropped`, totals.unsent && `${short(totals.unsent)} unsent`].filter(Boolean).join(", "), unsent ? "warn" : "");
    const [size, unit] = bytes(totals.bytes_received).split(" ");
    part.set("traffic", size, unit, `${bytes(totals.bytes_sent)} sent`);
  };
  return { el: part.el, update };
}
