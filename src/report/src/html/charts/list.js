  // The charts, and what the script exports.

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
