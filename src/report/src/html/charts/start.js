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
//
// The files of this folder are parts of one function, in the order of `CHARTS` in mod.rs.

(function () {
  "use strict";

