// A stream that stays: it comes back by itself, tells when it is away, and rests while nobody
// looks.

import { Refused, Unreachable, stream } from "./api.js";
import { say } from "./dom.js";

/** Longest pause between two tries, in milliseconds. */
const MAX_PAUSE = 15_000;
const bar = () => document.getElementById("connection");

/**
 * Follows a stream of the API.
 *
 * `onEvent(name, data)`; return `false` to say that it is over.
 * `onGap()` before the first event after a break: what was missed must be loaded.
 * `onRefused(error)` when the node refuses: it has no place for another stream, say.
 */
export class Live {
  constructor(path, { onEvent, onGap, onRefused }) {
    Object.assign(this, { path, onEvent, onGap, onRefused });
    this.tries = 0;
    this.over = false;
    this.missed = false;
    this.seen = () => this.visibility();
    document.addEventListener("visibilitychange", this.seen);
    this.visibility();
  }

  visibility() {
    if (this.over) return;
    if (document.hidden) {
      this.pause();
      this.missed = true;
    } else if (!this.abort) {
      this.run();
    }
  }

  pause() {
    this.abort?.abort();
    this.abort = null;
    clearTimeout(this.timer);
    clearInterval(this.ticker);
  }

  close() {
    this.over = true;
    this.pause();
    document.removeEventListener("visibilitychange", this.seen);
    bar().hidden = true;
  }

  async run() {
    const abort = (this.abort = new AbortController());
    try {
      await stream(this.path, (name, data) => {
        if (abort.signal.aborted) return;
        // A mistake in the page is not a lost connection.
        try { if (this.onEvent(name, data) === false) this.close(); } catch (error) { reportError(error); }
      }, abort.signal, () => this.opened());
    } catch (e) {
      if (abort.signal.aborted) return;
      if (e instanceof Refused && e.status < 500) { this.close(); this.onRefused?.(e); return; }
    }
    if (abort.signal.aborted || this.over) return;
    this.missed = true;
    this.retry();
  }

  opened() {
    this.tries = 0;
    bar().hidden = true;
    clearInterval(this.ticker);
    if (this.missed) { this.missed = false; this.onGap?.(); }
  }

  retry() {
    const pause = Math.min(MAX_PAUSE, 1000 * 2 ** this.tries++);
    const at = Date.now() + pause;
    const tell = () => {
      const s = Math.max(0, Math.ceil((at - Date.now()) / 1000));
      say(bar(), s ? `Connection lost, retrying in ${s} s` : "Connection lost, retrying…");
    };
    tell();
    bar().hidden = false;
    clearInterval(this.ticker);
    this.ticker = setInterval(tell, 500);
    this.timer = setTimeout(() => this.run(), pause);
  }
}

/**
 * Calls `load` now and then, every `ms` after it has answered, while somebody looks. Where it
 * fails the bar says so until it is well again.
 */
export function repeat(ms, load) {
  let timer = null;
  let over = false;
  let busy = false;
  let told = false;
  const tell = (text) => {
    if (text === null && !told) return;
    told = text !== null;
    say(bar(), text);
    bar().hidden = !told;
  };
  const run = async () => {
    clearTimeout(timer);
    if (over || busy || document.hidden) return;
    busy = true;
    try {
      await load();
      if (!over) tell(null);
    } catch (e) {
      if (!over) tell(e instanceof Unreachable ? "Connection lost, retrying…" : e.message);
    } finally {
      busy = false;
    }
    if (!over) timer = setTimeout(run, ms);
  };
  document.addEventListener("visibilitychange", run);
  run();
  return () => { over = true; tell(null); clearTimeout(timer); document.removeEventListener("visibilitychange", run); };
}
