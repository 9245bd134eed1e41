// Formats numbers and times. Missing values are shown as a dash, never as 0.

export const DASH = "–";

/**
 * Shared with the charts and reports (charts.js), so that a number looks the same everywhere.
 */
export const { time: millis, count, bytes, clock, seconds } = window.vajraCharts.format;

/** Three significant digits with a suffix: `12.3k`. */
export function short(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return DASH;
  const abs = Math.abs(n);
  for (const [limit, suffix] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (abs >= limit) return trim(n / (limit === 1e4 ? 1e3 : limit)) + suffix;
  }
  return abs >= 1000 ? count(Math.round(n)) : trim(n);
}

function trim(n) {
  const abs = Math.abs(n);
  return String(Number(n.toFixed(abs >= 100 ? 0 : abs >= 10 ? 1 : 2)));
}

/** Milliseconds as a value and a unit. */
export const split = (ms) => { const [value, unit = ""] = millis(ms).split(" "); return [value, unit]; };

/** A ratio as percentage: `12.3 %`. */
export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return DASH;
  const p = share * 100;
  if (p === 0) return "0 %";
  return p < 0.01 ? "< 0.01 %" : `${trim(p)} %`;
}

/** A duration: `1 h 30 m`, `45 s`. */
export function length(s) {
  if (s === null || s === undefined) return DASH;
  if (s < 60) return `${trim(s)} s`;
  const [hours, minutes, seconds] = [Math.floor(s / 3600), Math.floor(s / 60) % 60, Math.round(s % 60)];
  return [hours && `${hours} h`, minutes && `${minutes} m`, !hours && seconds && `${seconds} s`].filter(Boolean).join(" ");
}

/** An RFC 3339 date in the local time zone. */
export function when(text) {
  const date = text ? new Date(text) : null;
  if (!date || Number.isNaN(date.getTime())) return DASH;
  const today = new Date().toDateString() === date.toDateString();
  const time = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  if (today) return `today ${time}`;
  return `${date.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" })}, ${time.slice(0, 5)}`;
}

/** A time span in the past. */
export function ago(ms) {
  if (ms === null || ms === undefined) return DASH;
  return ms < 1000 ? "now" : `${length(Math.round(ms / 1000))} ago`;
}

/** The last characters of an id. */
export const tail = (id) => (id ? `…${id.slice(-6)}` : DASH);
