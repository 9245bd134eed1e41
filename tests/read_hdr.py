"""Reads an interval log and a percentile spectrum with HdrHistogram's Python port, which shares
no code with Vajra, and prints their content as JSON.

    python3 read_hdr.py FILE.hlog FILE.hgrm
"""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
US_PER_MS = 1000.0


def numbers(text):
    """The lines of a spectrum as numbers, without header and footer."""
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

# Each line must have the number of values up to its value, and enough for its percentile.
# (The port's own spectrum uses other steps than HdrHistogram.)
values = [(v.value_iterated_to / US_PER_MS, v.total_count_to_this_value) for v in whole.get_recorded_iterator()]


def percentile(per_mille):
    """The lowest value that at least `per_mille` of 1,000 values do not exceed. The port's own
    function rounds to the nearest rank instead."""
    enough = whole.get_total_count() * per_mille
    return next(value for value, count in values if count * 1000 >= enough)


with open(spectrum, encoding="utf-8") as f:
    lines = numbers(f.read())
wrong = [
    line
    for line in lines
    if max(count for value, count in values if value <= line[0]) != line[2]
    or line[2] < line[1] * whole.get_total_count() - 1e-6
]

json.dump(
    {
        "intervals": intervals,
        "start_time_s": reader.start_time_sec,
        "count": whole.get_total_count(),
        "percentiles_ms": {
            name: percentile(per_mille)
            for name, per_mille in [("p50", 500), ("p90", 900), ("p99", 990), ("p999", 999), ("max", 1000)]
        },
        "spectrum_lines": len(lines),
        "wrong_lines": wrong,
    },
    sys.stdout,
)
