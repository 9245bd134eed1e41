  // Text, numbers and colours.

  function escape(text) {
    return String(text).replace(/[&<>"']/g, function (c) {
      return "&#" + c.charCodeAt(0) + ";";
    });
  }

  // Milliseconds, with three significant digits.
  function time(ms) {
    if (ms === null || ms === undefined || !isFinite(ms)) return "–";
    if (ms < 0.9995) return Math.round(ms * 1e3) + " µs";
    if (ms < 999.995) return digits(ms) + " ms";
    return digits(ms / 1e3) + " s";
  }

  function digits(n) {
    if (n < 9.995) return n.toFixed(2);
    if (n < 99.95) return n.toFixed(1);
    return n.toFixed(0);
  }

  // A number on an axis, without trailing zeros.
  function axisTime(ms) {
    if (ms === 0) return "0";
    if (ms < 1) return trimmed(ms * 1e3) + " µs";
    if (ms < 1e3) return trimmed(ms) + " ms";
    return trimmed(ms / 1e3) + " s";
  }

  function trimmed(n) {
    return String(Number(n.toPrecision(3)));
  }

  function count(n) {
    if (n === null || n === undefined || !isFinite(n)) return "–";
    var rounded = Math.abs(n) < 100 && n % 1 !== 0 ? n.toFixed(1) : Math.round(n).toString();
    return rounded.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  }

  function axisCount(n) {
    if (Math.abs(n) >= 1e6) return trimmed(n / 1e6) + "M";
    if (Math.abs(n) >= 1e4) return trimmed(n / 1e3) + "k";
    return trimmed(n);
  }

  function bytes(n) {
    if (n === null || n === undefined || !isFinite(n)) return "–";
    var units = ["B", "KiB", "MiB", "GiB", "TiB"];
    var unit = 0;
    while (n >= 1023.995 && unit + 1 < units.length) {
      n /= 1024;
      unit += 1;
    }
    return (unit === 0 ? n.toFixed(0) : trimmed(n)) + " " + units[unit];
  }

  // Seconds after the start: 0:07, 12:30, 1:02:03; tenths only if not zero.
  function clock(s) {
    if (s === null || s === undefined || !isFinite(s)) return "–";
    var sign = s < 0 ? "−" : "";
    var tenths = Math.round(Math.abs(s) * 10);
    var whole = Math.floor(tenths / 10);
    var hours = Math.floor(whole / 3600);
    var minutes = Math.floor(whole / 60) % 60;
    var rest = String(whole % 60).padStart(2, "0");
    if (tenths % 10 !== 0) rest += "." + (tenths % 10);
    return sign + (hours > 0 ? hours + ":" + String(minutes).padStart(2, "0") : minutes) + ":" + rest;
  }

  // The quantile of a position on the axis of the percentile distribution: 0 %, 90 %, 99 %, …
  function quantile(inverse) {
    var nines = Math.round(Math.log10(inverse));
    if (Math.abs(Math.log10(inverse) - nines) > 1e-9) return "";
    if (nines <= 0) return "0 %";
    return (100 - Math.pow(10, 2 - nines)).toFixed(Math.max(0, nines - 2)) + " %";
  }

  // A duration of a plan: "1m 30s", "500ms".
  function seconds(text) {
    var units = {
      ns: 1e-9, us: 1e-6, "µs": 1e-6, ms: 1e-3, s: 1, sec: 1, m: 60, min: 60, h: 3600, day: 86400, days: 86400,
    };
    var sum = 0;
    String(text || "").replace(/([\d.]+)\s*([a-zµ]+)/g, function (_, n, unit) {
      sum += Number(n) * (units[unit] || 0);
    });
    return sum;
  }

  // The colours of the series can be distinguished with red-green colour blindness: neighbours also
  // differ in lightness.
  function theme(dark, narrow) {
    var colours = dark
      ? {
          ground: "#171a21", text: "#e6e8ec", muted: "#98a1b0", grid: "#2b303a", area: "#8a94a8",
          series: ["#6ea8fe", "#f5b041", "#4fd1a5", "#f2777a", "#b794f6", "#4dd0e1", "#f48fb1",
                   "#b5cf6b", "#c7ccd6", "#d7a86e"],
          ramp: ["#4767a8", "#6c95e8", "#a9c7ff", "#f5d76e"],
          heat: ["#20304a", "#2f5f8a", "#3f97a5", "#7fc97f", "#f2d65c"],
        }
      : {
          ground: "#ffffff", text: "#1d2330", muted: "#5f6b7d", grid: "#e3e6ec", area: "#64748b",
          series: ["#2563c9", "#d9790b", "#0b8f68", "#cc3340", "#7a4fd0", "#0a8ba3", "#c7387f",
                   "#6f8f12", "#6a7383", "#8f5a23"],
          ramp: ["#a9c6f2", "#5b93e0", "#1f55b5", "#b3261e"],
          heat: ["#e3eef9", "#a6cbe8", "#4f9ccb", "#1f5fa3", "#3b1466"],
        };
    colours.dark = Boolean(dark);
    colours.narrow = Boolean(narrow);
    colours.marks = {
      bad: colours.series[3],
      warn: colours.series[1],
      change: colours.series[4],
      note: colours.muted,
    };
    return colours;
  }
