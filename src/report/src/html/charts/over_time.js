  // Common parts of the charts over time: axes, tooltips, legends, series.

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
