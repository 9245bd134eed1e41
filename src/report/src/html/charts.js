// The charts of a test, as pure functions from the JSON of the API (docs/result.md) to an option
// object of Apache ECharts 5. A report draws them once; a page that follows a running test calls
// them again and passes the result to `setOption`.
//
//   vajraCharts.list       every chart: {id, title, about, height, overTime, wanted, option}
//     .wanted(timeline, result, spectra)           whether there are data for the chart
//     .option(timeline, result, theme, spectra)    the option object
//   vajraCharts.theme(dark, narrow)      colours; `narrow` for narrow screens
//   vajraCharts.marks(timeline, result)  events with their numbers on the time axis
//   vajraCharts.describe(mark)           the text of an event
//   vajraCharts.spectrum(text)           a percentile distribution (report?format=hgrm) as numbers
//   vajraCharts.format                   times, counts, bytes as text
//
// `spectra` is {response, service, lag}: lists of [1/(1 - quantile), milliseconds]; or null.
// Text from a result (names, messages) is escaped before it is put into a tooltip, the only place
// where ECharts takes HTML.

(function () {
  "use strict";

  // ---- text -------------------------------------------------------------------------------

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

  // ---- colours ----------------------------------------------------------------------------

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

  // ---- events ----------------------------------------------------------------------

  var KINDS = {
    lost: "bad", threshold: "bad", setup_failed: "bad", teardown_failed: "bad",
    overloaded: "warn", refused: "warn", left: "warn", stop_requested: "warn",
    elected: "change", scaled: "change", paused: "change", resumed: "change",
    joined: "note", rejoined: "note", rebalanced: "note", share_reduced: "note",
  };

  function nameOf(result, peer) {
    var node = (result.nodes || []).find(function (n) { return n.peer === peer; });
    if (node && node.name) return node.name;
    return peer ? "…" + peer.slice(-6) : "";
  }

  // The events that are drawn as vertical lines: {n, at_s, kind, tone, node, text}, sorted by time
  // and numbered from 1. Terms and losses that are missing in the event log (its authors may be
  // lost) are taken from the other lists.
  function marks(timeline, result) {
    var found = (result.events || []).map(function (e) {
      return {
        at_s: e.at_ms / 1e3, kind: e.kind, node: e.peer ? nameOf(result, e.peer) : "", text: e.text,
      };
    });
    function add(at_s, kind, node, text) {
      var known = found.some(function (m) {
        return m.kind === kind && Math.abs(m.at_s - at_s) < 1 && (!node || !m.node || m.node === node);
      });
      if (!known) found.push({ at_s: at_s, kind: kind, node: node, text: text });
    }
    (result.coordinators || []).forEach(function (c) {
      add(c.from_ms / 1e3, "elected", nameOf(result, c.peer), "coordinator of term " + c.term);
    });
    (result.nodes || []).forEach(function (n) {
      if (n.lost_at_ms !== null && n.lost_at_ms !== undefined) {
        add(n.lost_at_ms / 1e3, "lost", n.name || nameOf(result, n.peer), "no more reports");
      }
    });
    (result.changes || []).forEach(function (c) {
      add(c.at_s, c.kind, "", c.level === null ? c.kind : "to " + count(c.level));
    });
    var span = range(timeline, result);
    return found
      .filter(function (m) { return KINDS[m.kind] && m.at_s >= 0 && m.at_s <= span.max; })
      .sort(function (a, b) { return a.at_s - b.at_s; })
      .map(function (m, i) {
        m.n = i + 1;
        m.tone = KINDS[m.kind];
        return m;
      });
  }

  // Marks that are close together become one line, labelled with the first and the last number.
  function lines(timeline, result, t) {
    var span = range(timeline, result);
    var near = (span.max - span.min) / (t.narrow ? 16 : 45);
    var order = ["bad", "warn", "change", "note"];
    var groups = [];
    marks(timeline, result).forEach(function (mark) {
      var last = groups[groups.length - 1];
      if (last && mark.at_s - last[0].at_s < near) last.push(mark);
      else groups.push([mark]);
    });
    return groups.map(function (group) {
      var tone = order.find(function (o) {
        return group.some(function (m) { return m.tone === o; });
      });
      var first = group[0].n;
      var last = group[group.length - 1].n;
      return {
        xAxis: group[0].at_s,
        marks: group,
        label: { formatter: first === last ? String(first) : first + "–" + last, color: t.marks[tone] },
        lineStyle: { color: t.marks[tone] },
      };
    });
  }

  // Highlighted ranges of the time axis: the warm-up, pauses.
  function areas(timeline, result) {
    var found = [];
    var warm = seconds(result.load && result.load.warm_up);
    if (warm > 0) found.push(["warm-up", 0, warm]);
    var since = null;
    (result.changes || []).forEach(function (c) {
      if (c.kind === "paused" && since === null) since = c.at_s;
      if (c.kind === "resumed" && since !== null) {
        found.push(["paused", since, c.at_s]);
        since = null;
      }
    });
    if (since !== null) found.push(["paused", since, range(timeline, result).max]);
    return found.map(function (a) {
      return [{ name: a[0], xAxis: a[1] }, { xAxis: a[2] }];
    });
  }

  // ---- common parts of charts over time ------------------------------------------------------

  function range(timeline, result) {
    var points = timeline.points;
    var last = points.length ? points[points.length - 1].to_s : 0;
    return { min: 0, max: Math.max(last, result.state === "ended" ? 0 : result.duration_s || 0, 1) };
  }

  function axis(t, more) {
    return Object.assign({
      axisLine: { lineStyle: { color: t.grid } },
      axisTick: { show: false },
      axisLabel: { color: t.muted, hideOverlap: true },
      splitLine: { lineStyle: { color: t.grid } },
      nameTextStyle: { color: t.muted },
    }, more);
  }

  function timeAxis(timeline, result, t) {
    var span = range(timeline, result);
    return axis(t, {
      type: "value", min: span.min, max: span.max, interval: step(span.max - span.min, t.narrow ? 4 : 10),
      splitLine: { show: false },
      axisLine: { lineStyle: { color: t.muted } },
      axisLabel: { color: t.muted, hideOverlap: true, showMaxLabel: false, formatter: clock },
      axisPointer: { label: { show: false }, lineStyle: { color: t.muted, type: "solid" } },
    });
  }

  // A round number of seconds between two labels.
  function step(span, most) {
    var round = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
    return round.find(function (s) { return span / s <= most; }) || 28800;
  }

  // A linear axis from zero, or a logarithmic one if the values span a large range.
  function timesAxis(values, t) {
    var real = values.filter(function (v) { return v > 0; });
    var most = Math.max.apply(null, real.concat([1e-3]));
    var least = Math.min.apply(null, real.concat([most]));
    if (most / least < 60) {
      return axis(t, { type: "value", min: 0, axisLabel: { color: t.muted, formatter: axisTime } });
    }
    return axis(t, {
      type: "log", min: Math.pow(10, Math.floor(Math.log10(least))),
      axisLabel: { color: t.muted, formatter: axisTime },
    });
  }

  function countAxis(t, format) {
    return axis(t, {
      type: "value", min: 0, axisLabel: { color: t.muted, formatter: format || axisCount },
    });
  }

  function tooltip(t, more) {
    return Object.assign({
      backgroundColor: t.ground, borderColor: t.grid, padding: 8, confine: true,
      textStyle: { color: t.text, fontSize: 12 },
    }, more);
  }

  // One line of a tooltip. `marker` is ECharts' own dot.
  function row(marker, name, value) {
    return marker + escape(name) +
      '<span style="float:right;margin-left:16px;font-variant-numeric:tabular-nums">' +
      escape(value) + "</span>";
  }

  function interval(point) {
    return clock(point.from_s) + " – " + clock(point.to_s);
  }

  function describe(mark) {
    var node = mark.node && mark.text.indexOf(mark.node) < 0 ? mark.node + ": " : "";
    return mark.kind + ": " + node + mark.text;
  }

  // The value of a datum; in a stacked chart its own value, not the sum.
  function ownValue(datum) {
    return datum.length > 2 ? datum[2] : datum[1];
  }

  // A chart over time with one datum per point, with axes, marks, legend and tooltip.
  function over(timeline, result, t, format, yAxis, series) {
    var points = timeline.points;
    var area = areas(timeline, result);
    series.forEach(function (s) {
      s.type = "line";
      s.symbol = "none";
      s.emphasis = { disabled: true };
      s.data = points.map(function (p, i) {
        var datum = [p.to_s, s.value(p, i)];
        if (s.own) datum.push(s.own(p, i));
        return datum;
      });
      delete s.value;
    });
    // Marks have a series of their own: a series that is switched off in the legend hides its marks.
    series.push({
      name: "\u200b", type: "line", data: [], symbol: "none", color: t.muted,
      markLine: {
        symbol: "none", animation: false,
        label: { show: true, position: "end", distance: 3, fontSize: 11 },
        lineStyle: { type: "dashed", width: 1.2 },
        emphasis: { lineStyle: { width: 2 } },
        data: lines(timeline, result, t),
        tooltip: {
          trigger: "item",
          formatter: function (p) {
            return p.data.marks.map(function (m) {
              return escape(m.n + "  " + clock(m.at_s) + "  " + describe(m));
            }).join("<br>");
          },
        },
      },
      markArea: {
        silent: true, itemStyle: { color: t.area, opacity: 0.1 },
        label: { show: !t.narrow, color: t.muted, fontSize: 11, position: "insideTop" },
        data: area,
      },
    });
    var drawn = series.slice(0, -1);
    var sums = drawn.some(function (s) { return s.own; });
    var shown = drawn.map(function (s) { return s.name; });
    if (sums) shown.reverse();
    return {
      animation: false,
      textStyle: { fontFamily: "inherit" },
      grid: { left: 58, right: Array.isArray(yAxis) ? 52 : 14, top: 50, bottom: 28 },
      // Stacked series cannot be switched off: those above would keep their position.
      legend: Object.assign(legend(t, shown), sums ? { selectedMode: false } : {}),
      tooltip: tooltip(t, {
        trigger: "axis",
        formatter: function (rows) {
          rows = Array.isArray(rows) ? rows : [rows];
          var point = points[rows[0].dataIndex];
          if (!point) return "";
          // At most twenty, largest first.
          var most = rows.length > 20
            ? rows.slice().sort(function (a, b) { return ownValue(b.value) - ownValue(a.value); }).slice(0, 20)
            : rows;
          var body = most.map(function (r) {
            var how = series[r.seriesIndex] && series[r.seriesIndex].format;
            return row(r.marker, r.seriesName, (how || format)(ownValue(r.value)));
          });
          if (most.length < rows.length) body.push("and " + (rows.length - most.length) + " more");
          return ["<b>" + escape(interval(point)) + "</b>"].concat(body).join("<br>");
        },
      }),
      xAxis: timeAxis(timeline, result, t),
      yAxis: yAxis,
      series: series,
    };
  }

  function legend(t, names) {
    return {
      type: "scroll", top: 0, left: 0, right: 0, itemWidth: 14, itemHeight: 8, itemGap: 14,
      // Without padding, a scrolling legend cuts its text.
      textStyle: { color: t.text, padding: [3, 0, 3, 0] }, pageTextStyle: { color: t.muted },
      pageIconColor: t.muted, pageIconInactiveColor: t.grid,
      data: names,
    };
  }

  function line(name, color, value, more) {
    return Object.assign({
      name: name, color: color, value: value, lineStyle: { width: 1.6 },
    }, more);
  }

  // Stacked series. ECharts stacks along the wrong axis if both axes are numeric, so the sums are
  // computed here: each series reaches from zero to the sum of the series up to it, and is painted
  // before the ones below. A datum is [time, sum, own value].
  function stacked(timeline, t, series, more) {
    var sums = timeline.points.map(function () { return 0; });
    return series.map(function (s) {
      var below = sums.slice();
      sums = timeline.points.map(function (p, i) { return below[i] + s.value(p, i); });
      var upTo = sums;
      return Object.assign({
        name: s.name, color: s.color, own: s.value, lineStyle: { width: 0.8 },
        areaStyle: { opacity: 1, color: mixed(s.color, t.ground, 0.5) },
        value: function (_, i) { return upTo[i]; },
      }, more);
    }).reverse();
  }

  function mixed(one, other, part) {
    return "#" + [1, 3, 5].map(function (at) {
      var a = parseInt(one.slice(at, at + 2), 16);
      var b = parseInt(other.slice(at, at + 2), 16);
      return Math.round(a * part + b * (1 - part)).toString(16).padStart(2, "0");
    }).join("");
  }

  function any(timeline, value) {
    return timeline.points.some(function (p) { return value(p) > 0; });
  }

  function length(point) {
    return Math.max(point.to_s - point.from_s, 1e-3);
  }

  // ---- the charts ---------------------------------------------------------------------------

  function rate(timeline, result, t) {
    var perSecond = function (n) { return count(n) + "/s"; };
    var series = [line("achieved", t.series[0], function (p) { return p.rate; }, {
      areaStyle: { opacity: 0.12 },
    })];
    var axes = countAxis(t);
    if (any(timeline, function (p) { return p.planned; })) {
      // No arrivals are planned after the end; that is not a drop of the rate.
      var end = timeline.points.length - 1;
      var planned = function (p, i) { return i === end && p.planned === 0 ? null : p.planned; };
      series.push(line("planned", t.series[1], planned, {
        lineStyle: { width: 1.6, type: "dashed" },
      }));
    }
    if (any(timeline, function (p) { return p.dropped; })) {
      series.push(line("dropped", t.series[3], function (p) { return p.dropped / length(p); }));
    }
    if (any(timeline, function (p) { return p.users; })) {
      axes = [countAxis(t), axis(t, {
        type: "value", min: 0, minInterval: 1, splitLine: { show: false },
        axisLabel: { color: t.muted, formatter: axisCount },
      })];
      series.push(line("users (right)", t.series[1], function (p) { return p.users; }, {
        yAxisIndex: 1, lineStyle: { width: 1.6, type: "dashed" }, format: count,
      }));
    }
    return over(timeline, result, t, perSecond, axes, series);
  }

  var PERCENTILES = [["p50", "p50"], ["p90", "p90"], ["p99", "p99"], ["p99.9", "p999"]];

  function percentiles(timeline, result, t) {
    var at = function (key) {
      return function (p) { return p.response_time_ms ? p.response_time_ms[key] : null; };
    };
    var series = PERCENTILES.map(function (each, i) {
      return line(each[0], t.ramp[i], at(each[1]));
    });
    series.push(line("max", t.muted, at("max"), { lineStyle: { width: 1, type: "dotted" } }));
    var values = [];
    timeline.points.forEach(function (p) {
      if (p.response_time_ms) values.push(p.response_time_ms.p50, p.response_time_ms.max);
    });
    return over(timeline, result, t, time, timesAxis(values, t), series);
  }

  // HdrHistogram's usual diagram: the axis of quantiles is stretched by 1/(1 - quantile).
  function distribution(timeline, result, t, spectra) {
    var names = [["response time", "response"], ["service time", "service"]];
    var series = names.filter(function (n) { return spectra[n[1]]; }).map(function (n, i) {
      return {
        name: n[0], type: "line", symbol: "none", color: t.series[i], data: spectra[n[1]],
        emphasis: { disabled: true },
        lineStyle: { width: i === 0 ? 2 : 1.4, type: i === 0 ? "solid" : "dashed" },
      };
    });
    return {
      animation: false,
      textStyle: { fontFamily: "inherit" },
      grid: { left: 58, right: 24, top: 40, bottom: 44 },
      legend: legend(t, series.map(function (s) { return s.name; })),
      tooltip: tooltip(t, {
        trigger: "axis",
        formatter: function (rows) {
          var inverse = rows[0].value[0];
          var percent = 100 - 100 / inverse;
          var places = Math.max(0, Math.min(6, Math.ceil(Math.log10(inverse))));
          return ["<b>" + escape(percent.toFixed(places) + " %") + "</b>"].concat(rows.map(function (r) {
            return row(r.marker, r.seriesName, time(r.value[1]));
          })).join("<br>");
        },
      }),
      xAxis: axis(t, {
        type: "log", min: 1, name: "share of requests that are at most this slow", nameLocation: "middle", nameGap: 26,
        axisPointer: { label: { show: false } },
        axisLabel: { color: t.muted, hideOverlap: true, formatter: quantile },
      }),
      yAxis: axis(t, { type: "value", min: 0, axisLabel: { color: t.muted, formatter: axisTime } }),
      series: series,
    };
  }

  // A column per interval, a row per bucket of response times. The cells are rectangles, because the
  // heat map of ECharts has cells of equal size, and intervals may differ in length.
  function heat(timeline, result, t) {
    var bounds = timeline.heat_bounds_ms;
    var cells = [];
    var low = Infinity;
    var high = 0;
    var most = 0;
    timeline.points.forEach(function (p) {
      p.heat.forEach(function (cell) {
        var bucket = cell[0];
        var top = bucket < bounds.length
          ? bounds[bucket]
          : Math.max(p.response_time_ms ? p.response_time_ms.max : 0, bounds[bounds.length - 1] * 1.25);
        var bottom = bucket > 0 ? bounds[bucket - 1] : bounds[0] / 2;
        low = Math.min(low, bottom);
        high = Math.max(high, top);
        var perSecond = cell[1] / length(p);
        most = Math.max(most, perSecond);
        cells.push([p.from_s, p.to_s, bottom, top, Math.log10(1 + perSecond), cell[1]]);
      });
    });
    var option = over(timeline, result, t, count, axis(t, {
      type: "log", min: low, max: high,
      splitLine: { show: false },
      axisLabel: {
        color: t.muted, hideOverlap: true, showMinLabel: false, showMaxLabel: false, formatter: axisTime,
      },
    }), []);
    option.grid.top = 40;
    option.grid.bottom = 62;
    option.legend.show = false;
    option.tooltip.trigger = "item";
    option.tooltip.formatter = function (p) {
      if (!p.value) return "";
      var v = p.value;
      return "<b>" + escape(clock(v[0]) + " – " + clock(v[1])) + "</b><br>" +
        row("", axisTime(v[2]) + " – " + axisTime(v[3]), count(v[5]) + " requests");
    };
    option.visualMap = {
      type: "continuous", dimension: 4, seriesIndex: 1, min: 0, max: Math.log10(1 + most),
      inRange: { color: t.heat }, orient: "horizontal", left: "center", bottom: 0, itemHeight: 160,
      itemWidth: 10, textStyle: { color: t.muted }, calculable: false,
      text: [count(most) + " requests/s", "0"],
    };
    option.series.push({
      name: "response times", type: "custom", data: cells, clip: true, z: 1,
      dimensions: ["from", "to", "bottom", "top", "colour", "count"],
      encode: { x: [0, 1], y: [2, 3] },
      progressive: 4000,
      renderItem: function (_, api) {
        var a = api.coord([api.value(0), api.value(3)]);
        var b = api.coord([api.value(1), api.value(2)]);
        // Slightly larger than the cell, so that there are no gaps between neighbours.
        return {
          type: "rect",
          shape: { x: a[0], y: a[1], width: Math.max(b[0] - a[0] + 0.5, 1), height: b[1] - a[1] + 0.5 },
          style: { fill: api.visual("color") },
        };
      },
    });
    return option;
  }

  function errors(timeline, result, t) {
    var kinds = {};
    timeline.points.forEach(function (p) {
      Object.keys(p.errors).forEach(function (kind) {
        kinds[kind] = (kinds[kind] || 0) + p.errors[kind];
      });
    });
    var names = Object.keys(kinds).sort(function (a, b) { return kinds[b] - kinds[a]; });
    // Red first.
    var colours = [3, 1, 4, 6, 9, 5, 7, 2, 0, 8].map(function (i) { return t.series[i]; });
    var series = names.map(function (kind, i) {
      return line(kind, colours[i % colours.length], function (p) {
        return (p.errors[kind] || 0) / length(p);
      });
    });
    var perSecond = function (n) { return count(n) + "/s"; };
    var all = stacked(timeline, t, series, { step: "end" });
    return over(timeline, result, t, perSecond, countAxis(t), all);
  }

  function inFlight(timeline, result, t) {
    return over(timeline, result, t, count, Object.assign(countAxis(t), { minInterval: 1 }), [
      line("waiting or in flight", t.series[5], function (p) { return p.in_flight; }, {
        areaStyle: { opacity: 0.12 },
      }),
    ]);
  }

  function lag(timeline, result, t) {
    var values = timeline.points.map(function (p) { return p.lag_p99_ms; });
    return over(timeline, result, t, time, timesAxis(values, t), [
      line("lag p99", t.series[2], function (p) { return p.lag_p99_ms; }),
    ]);
  }

  function nodes(timeline, result, t) {
    var names = timeline.nodes.map(function (n, i) {
      var name = n.name || "…" + n.peer.slice(-6);
      var same = timeline.nodes.slice(0, i).filter(function (o) {
        return (o.name || "…" + o.peer.slice(-6)) === name;
      });
      return same.length ? name + " (" + (same.length + 1) + ")" : name;
    });
    var series = names.map(function (name, i) {
      return line(name, t.series[i % t.series.length], function (p) { return p.node_rates[i] || 0; });
    });
    var listed = function (p) {
      return p.node_rates.reduce(function (a, b) { return a + b; }, 0);
    };
    if (timeline.points.some(function (p) { return p.rate - listed(p) > 0.01 * p.rate + 1; })) {
      series.push(line("all others", t.muted, function (p) { return Math.max(p.rate - listed(p), 0); }));
    }
    var perSecond = function (n) { return count(n) + "/s"; };
    var all = stacked(timeline, t, series);
    return over(timeline, result, t, perSecond, countAxis(t), all);
  }

  function traffic(timeline, result, t) {
    var perSecond = function (n) { return bytes(n) + "/s"; };
    var most = Math.max.apply(null, timeline.points.map(function (p) {
      return Math.max(p.bytes_received, p.bytes_sent) / length(p);
    }));
    var yAxis = countAxis(t, bytes);
    yAxis.interval = bytesStep(most / 4);
    yAxis.max = Math.ceil(most / yAxis.interval) * yAxis.interval;
    return over(timeline, result, t, perSecond, yAxis, [
      line("received", t.series[0], function (p) { return p.bytes_received / length(p); }),
      line("sent", t.series[1], function (p) { return p.bytes_sent / length(p); }),
    ]);
  }

  // A step between labels that is round in units of 1024.
  function bytesStep(least) {
    var unit = 1;
    while (least > 512 * unit) unit *= 1024;
    return [1, 2, 5, 10, 20, 50, 100, 200, 256, 512].map(function (n) { return n * unit; })
      .find(function (n) { return n >= least; });
  }

  function some(timeline) {
    return timeline.points.length > 0;
  }

  var list = [
    {
      id: "rate", overTime: true, title: "Rate", height: 260, option: rate, wanted: some,
      about: "Requests sent per second and the planned rate. If achieved is below planned, load was dropped or unsent.",
    },
    {
      id: "percentiles", overTime: true, title: "Response time", height: 300, option: percentiles,
      about: "Percentiles of each interval, from the instant a request was due, waiting included.",
      wanted: function (tl) { return tl.points.some(function (p) { return p.response_time_ms; }); },
    },
    {
      id: "heat", title: "Response time distribution", height: 330, option: heat,
      about: "The number of requests by interval and response time. It shows bands that percentiles hide.",
      wanted: function (tl) {
        return tl.heat_bounds_ms.length > 0 && tl.points.some(function (p) { return p.heat.length > 0; });
      },
    },
    {
      id: "distribution", title: "Latency by percentile", height: 300, option: distribution,
      about: "The whole test. Each step to the right is ten times rarer. Response time above service time means that requests waited.",
      wanted: function (tl, r, spectra) { return Boolean(spectra && spectra.response && spectra.response.length); },
    },
    {
      id: "errors", overTime: true, title: "Errors", height: 240, option: errors,
      about: "Failed requests per second, by kind.",
      wanted: function (tl) {
        return any(tl, function (p) { return Object.keys(p.errors).length; });
      },
    },
    {
      id: "in-flight", overTime: true, title: "In flight", height: 220, option: inFlight,
      about: "Requests waiting or in flight at the end of each interval. A steady increase means that the target is overloaded.",
      wanted: some,
    },
    {
      id: "lag", overTime: true, title: "Lag", height: 220, option: lag,
      about: "Lag of the generator, 99th percentile: its own error.",
      wanted: function (tl) { return any(tl, function (p) { return p.lag_p99_ms; }); },
    },
    {
      id: "nodes", overTime: true, title: "Rate by node", height: 280, option: nodes,
      about: "Requests sent per second by each node, stacked. It shows how the load moved between nodes.",
      wanted: function (tl) { return tl.nodes.length > 1; },
    },
    {
      id: "traffic", overTime: true, title: "Traffic", height: 220, option: traffic,
      about: "Bytes per second on the connections.",
      wanted: function (tl) {
        return any(tl, function (p) { return p.bytes_sent + p.bytes_received; });
      },
    },
  ];

  // Parses a percentile distribution as written by `--hgrm`: [1/(1 - quantile), value].
  function spectrum(text) {
    var found = [];
    text.split("\n").forEach(function (l) {
      var cells = l.trim().split(/\s+/).map(Number);
      if (cells.length >= 3 && cells.every(isFinite) && cells[1] < 1) {
        found.push([1 / (1 - cells[1]), cells[0]]);
      }
    });
    return found;
  }

  window.vajraCharts = {
    list: list,
    theme: theme,
    marks: marks,
    describe: describe,
    spectrum: spectrum,
    format: { time: time, count: count, bytes: bytes, clock: clock, seconds: seconds, escape: escape },
  };
})();
