// Draws the charts of a report from its embedded data, in the colour scheme of the system; on paper
// in the light one.

(function () {
  "use strict";

  var charts = window.vajraCharts;
  var data = JSON.parse(document.getElementById("data").textContent);
  var timeline = data.timeline || { nodes: [], heat_bounds_ms: [], points: [] };
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  // Below this width, labels would overlap.
  var NARROW = 640;
  var drawn = [];

  function element(tag, name, text) {
    var made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function markList() {
    var list = element("ol", "marks");
    charts.marks(timeline, data.result).forEach(function (mark) {
      var item = element("li", mark.tone);
      item.appendChild(element("b", "", String(mark.n)));
      item.appendChild(element("span", "at", charts.format.clock(mark.at_s)));
      item.appendChild(document.createTextNode(charts.describe(mark)));
      list.appendChild(item);
    });
    return list;
  }

  function place(chart) {
    var box = element("div", "chart");
    box.id = "chart-" + chart.id;
    box.appendChild(element("h3", "", chart.title));
    box.appendChild(element("p", "", chart.about));
    var area = element("div", "area");
    area.style.height = chart.height + "px";
    box.appendChild(area);
    if (chart.id === "rate") box.appendChild(markList());
    document.getElementById("charts").appendChild(box);
    drawn.push({ chart: chart, area: area, instance: null });
  }

  function draw(paper) {
    var narrow = document.body.clientWidth < NARROW;
    var theme = charts.theme(dark.matches && !paper, narrow);
    drawn.forEach(function (each) {
      if (each.instance) each.instance.dispose();
      each.instance = window.echarts.init(each.area, null, { renderer: "canvas" });
      if (each.chart.overTime) each.instance.group = "time";
      each.instance.setOption(each.chart.option(timeline, data.result, theme, data.spectra));
    });
    window.echarts.connect("time");
  }

  charts.list.filter(function (chart) {
    return chart.wanted(timeline, data.result, data.spectra);
  }).forEach(place);
  if (drawn.length === 0) return;
  draw(false);

  var width = document.body.clientWidth;
  window.addEventListener("resize", function () {
    var now = document.body.clientWidth;
    if (now === width) return;
    var crossed = (now < NARROW) !== (width < NARROW);
    width = now;
    if (crossed) draw(false);
    else drawn.forEach(function (each) { each.instance.resize(); });
  });
  dark.addEventListener("change", function () { draw(false); });
  window.addEventListener("beforeprint", function () { draw(true); });
  window.addEventListener("afterprint", function () { draw(false); });
})();
