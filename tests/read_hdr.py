"""Reads an interval log and a percentile spectrum by HdrHistogram's Python port, which shares
no code with ours, and prints what is in them as JSON.

    python3 read_hdr.py FILE.hlog FILE.hgrm
"""

import io
import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
TICKS_PER_HALF_DISTANCE = 5
US_PER_MS = 1000.0


def numbers(text):
    """The lines of a spectrum as numbers; head and foot are left out."""
    lines = []
    for line in text.splitlines():
        cells = line.split()
        if len(cells) >= 3 and cells[0].replace(".", "", 1).isdigit():
            lines.append([float(cells[0]), float(cells[1]), int(cells[2])])
    return lines


log, spectrum = sys.argv[1:3]
whole = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
reader = HistogramLogReader(log, HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS))
intervals = 0
while True:
    one = reader.get_next_interval_histogram()
    if one is None:
        break
    intervals += 1
    whole.add(one)

own = io.BytesIO()
whole.output_percentile_distribution(own, US_PER_MS, TICKS_PER_HALF_DISTANCE)
with open(spectrum, encoding="utf-8") as f:
    theirs = numbers(f.read())

json.dump(
    {
        "intervals": intervals,
        "start_time_s": reader.start_time_sec,
        "count": whole.get_total_count(),
        "percentiles_ms": {
            name: whole.get_value_at_percentile(p) / US_PER_MS
            for name, p in [("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9), ("max", 100)]
        },
        "spectrum_is_the_same": numbers(own.getvalue().decode()) == theirs,
        "spectrum_lines": len(theirs),
    },
    sys.stdout,
)
