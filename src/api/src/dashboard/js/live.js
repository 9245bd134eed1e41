// Streams and polling that reconnect by themselves, show when the connection is lost, and stop while
// the tab is hidden.

import { Refused, Unreachable, stream } from "./api.js";
import { setText } from "./dom.js";

/** Longest pause between two attempts, in milliseconds. */
const MAX_PAUSE = 15_000;
const bar = () => document.getElementById("connection");

/**
 * Follows a stream of the API.
 *
 * `onEvent(name, data)` returns `false` to end the stream.
 * `onGap()` is called after a reconnection: missed data must be loaded.
 * `onRefused(error)` is called if the node refuses, for example because too many streams are open.
 */
export class Live {
  constructor(path, { onEvent, onGap, onRefused }) {
    Object.assign(this, { path, onEvent, onGap, onRefused });
    this.attempts = 0;
    this.closed = false;
    this.missed = false;
    this.onVisibility = () => this.visibility();
    document.addEventListener("visibilitychange", this.onVisibility);
    this.visibility();
  }

  visibility() {
    if (this.closed) return;
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
    this.closed = true;
    this.pause();
    document.removeEventListener("visibilitychange", this.onVisibility);
    bar().hidden = true;
  }

  async run() {
    const abort = (this.abort = new AbortController());
    try {
      await stream(this.path, (name, data) => {
        if (abort.signal.aborted) return;
        // An error of the page is not a lost connection.
        try { if (this.onEvent(name, data) === false) this.close(); } catch (error) { reportError(error); }
      }, abort.signal, () => this.opened());
    } catch (e) {
      if (abort.signal.aborted) return;
      if (e instanceof Refused && e.status < 500) { this.close(); this.onRefused?.(e); return; }
    }
    if (abort.signal.aborted || this.closed) return;
    this.missed = true;
    this.retry();
  }

  opened() {
    this.attempts = 0;
    bar().hidden = true;
    clearInterval(this.ticker);
    if (this.missed) { this.missed = false; this.onGap?.(); }
  }

  retry() {
    const pause = Math.min(MAX_PAUSE, 1000 * 2 ** this.attempts++);
    const at = Date.now() + pause;
    const show = () => {
      const s = Math.max(0, Math.ceil((at - Date.now()) / 1000));
      setText(bar(), s ? `Connection lost, retrying in ${s} s` : "Connection lost, retrying…");
    };
    show();
    bar().hidden = false;
    clearInterval(this.ticker);
    this.ticker = setInterval(show, 500);
    this.timer = setTimeout(() => this.run(), pause);
  }
}

/**
 * Calls `load` repeatedly, `ms` after the previous call, while the tab is visible. If it fails, a bar
 * shows the error until a call succeeds.
 */
export function repeat(ms, load) {
  let timer = null;
  let over = false;
  let busy = false;
  let isShown = false;
  const show = (text) => {
    if (text === null && !isShown) return;
    isShown = text !== null;
    setText(bar(), text);
    bar().hidden = !isShown;
  };
  const run = async () => {
    clearTimeout(timer);
    if (over || busy || document.hidden) return;
    busy = true;
    try {
      await load();
      if (!over) show(null);
    } catch (e) {
      if (!over) show(e instanceof Unreachable ? "Connection lost, retrying…" : e.message);
    } finally {
      busy = false;
    }
    if (!over) timer = setTimeout(run, ms);
  };
  document.addEventListener("visibilitychange", run);
  run();
  return () => { over = true; show(null); clearTimeout(timer); document.removeEventListener("visibilitychange", run); };
}
