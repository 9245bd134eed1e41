// Numbers and times as people read them. Absent values are a dash, never 0.

export const DASH = "–";
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A count, in full: 12,345. */
export const count = (n) => (n === null || n === undefined ? DASH : grouped.format(n));

/** Three significant digits with a suffix: 12.3k. */
export function short(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return DASH;
  const abs = Math.abs(n);
  for (const [limit, suffix] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (abs >= limit) return trim(n / (limit === 1e4 ? 1e3 : limit)) + suffix;
  }
  return abs >= 1000 ? grouped.format(n) : trim(n);
}

function trim(n) {
  const abs = Math.abs(n);
  return String(Number(n.toFixed(abs >= 100 ? 0 : abs >= 10 ? 1 : 2)));
}

/** Milliseconds as a value and a unit. */
export function split(ms) {
  if (ms === null || ms === undefined) return [DASH, ""];
  if (ms < 1) return [trim(ms * 1000), "µs"];
  if (ms < 10_000) return [trim(ms), "ms"];
  return [trim(ms / 1000), "s"];
}

export const millis = (ms) => split(ms).join(" ").trim();

/** A share of one: 12.3 %. */
export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return DASH;
  const p = share * 100;
  if (p === 0) return "0 %";
  return p < 0.01 ? "< 0.01 %" : `${trim(p)} %`;
}

/** Seconds on a clock: 1:05, 2:03:07. */
export function clock(s) {
  if (s === null || s === undefined) return DASH;
  const sign = s < 0 ? "−" : "";
  const all = Math.floor(Math.abs(s));
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (n) => String(n).padStart(2, "0");
  return sign + (hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`);
}

/** A length of time: 1 h 30 m, 45 s. */
export function length(s) {
  if (s === null || s === undefined) return DASH;
  if (s < 60) return `${trim(s)} s`;
  const [hours, minutes, seconds] = [Math.floor(s / 3600), Math.floor(s / 60) % 60, Math.round(s % 60)];
  return [hours && `${hours} h`, minutes && `${minutes} m`, !hours && seconds && `${seconds} s`].filter(Boolean).join(" ");
}

export function bytes(n) {
  if (n === null || n === undefined) return DASH;
  for (const [limit, unit] of [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (n >= limit) return `${trim(n / limit)} ${unit}`;
  }
  return `${n} B`;
}

/** A date from RFC 3339, in the reader's own zone. */
export function when(text) {
  const date = text ? new Date(text) : null;
  if (!date || Number.isNaN(date.getTime())) return DASH;
  const today = new Date().toDateString() === date.toDateString();
  const time = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  if (today) return `today ${time}`;
  return `${date.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" })}, ${time.slice(0, 5)}`;
}

/** How long ago. */
export function ago(ms) {
  if (ms === null || ms === undefined) return DASH;
  return ms < 1000 ? "now" : `${length(Math.round(ms / 1000))} ago`;
}

/** The end of an id, which is what differs. */
export const tail = (id) => (id ? `…${id.slice(-6)}` : DASH);
