  // Events of a test as marks and areas on the time axis.

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
