"""Tables, exponents and the figure of the scaling benchmark."""

from io import BytesIO

import numpy as np
from _tables import table

# Number of modalities up to which terms for each pair of them take no noticeable time.
FEW = 32
MEASURES = {"seconds": "processor time (s)", "memory": "memory (MiB)"}


def curves(records, axis):
    """Give the records of an axis by method, in order of size."""
    chosen = [record for record in records if record["axis"] == axis]
    methods = dict.fromkeys(record["method"] for record in chosen)
    return {
        method: sorted((r for r in chosen if r["method"] == method), key=lambda r: r["size"])
        for method in methods
    }


def exponent(sizes, values):
    """Fit the slope of log value on log size; None where fewer than two values are positive."""
    sizes, values = np.asarray(sizes, dtype=float), np.asarray(values, dtype=float)
    positive = values > 0
    if positive.sum() < 2:
        return None
    return float(np.polyfit(np.log(sizes[positive]), np.log(values[positive]), 1)[0])


def exponents(curve, measure):
    """Fit the slope over the upper half of the sizes, and over all of them."""
    sizes, values = [r["size"] for r in curve], [r[measure] for r in curve]
    half = len(sizes) // 2
    return exponent(sizes[half:], values[half:]), exponent(sizes, values)


def report(records):
    """Print a table for each axis, and one of exponents."""
    lines = []
    for axis in dict.fromkeys(record["axis"] for record in records):
        by_method = curves(records, axis)
        print(f"\n#### Scaling with {axis}\n\n{_axis_table(axis, by_method)}", flush=True)
        for method, curve in by_method.items():
            lines.append([axis, method, *_slopes(curve)])
            if axis == "modalities" and curve[-1]["size"] > FEW:
                few = [record for record in curve if record["size"] <= FEW]
                lines.append([f"{axis} up to {FEW}", method, *_slopes(few)])
    header = [
        "size",
        "method",
        "time, upper half",
        "time, all",
        "memory, upper half",
        "memory, all",
    ]
    print(f"\n#### Exponents\n\n{table(header, lines)}", flush=True)


def _slopes(curve):
    """Format the exponents of time and memory."""
    slopes = [slope for measure in MEASURES for slope in exponents(curve, measure)]
    return ["-" if slope is None else f"{slope:.2f}" for slope in slopes]


def _axis_table(axis, by_method):
    """Make a table with a line for each size."""
    cells = {(m, r["size"]): r for m, curve in by_method.items() for r in curve}
    lines = []
    for size in sorted({size for _, size in cells}):
        line = [f"{size:,}".replace(",", " ")]
        for method in by_method:
            record = cells.get((method, size))
            line += _cells(record) if record else ["-", "-"]
        lines.append(line)
    header = [axis]
    for method in by_method:
        header += [f"{method} (s)", "MiB"]
    return table(header, lines)


def _cells(record):
    """Format seconds and MiB."""
    seconds, memory = record["seconds"], record["memory"]
    return [f"{seconds:.3g}" if seconds < 100 else f"{seconds:.0f}", f"{memory:.0f}"]


def draw(records, folder):
    """Draw time and memory against size, axis by axis, into scaling.png."""
    from matplotlib.figure import Figure
    from PIL import Image  # comes with matplotlib

    axes = list(dict.fromkeys(record["axis"] for record in records))
    figure = Figure(figsize=(3.4 * len(axes), 6.0), layout="constrained")
    panels = figure.subplots(len(MEASURES), len(axes), squeeze=False, sharex="col")
    for column, axis in enumerate(axes):
        for row, (measure, label) in enumerate(MEASURES.items()):
            _draw_panel(panels[row, column], curves(records, axis), measure)
            if column == 0:
                panels[row, column].set_ylabel(label)
        panels[-1, column].set_xlabel(axis)
        panels[0, column].legend(fontsize="x-small", frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=80)
    # few colors: the file is kept in the repository
    Image.open(buffer).convert("RGB").quantize(64).save(folder / "scaling.png", optimize=True)


def _color(method):
    """Give a method the same color in every panel."""
    name, call = method.split(".")
    return f"C{2 * (name != 'DAEEnergyScorer') + (call != 'fit')}"


def _draw_panel(panel, by_method, measure):
    """Draw one measure of some methods, and linear growth as a dotted line."""
    for method, curve in by_method.items():
        points = [(r["size"], r[measure]) for r in curve if r[measure] > 0]
        if not points:
            continue
        sizes, values = zip(*points, strict=True)
        panel.plot(sizes, values, "o-", markersize=3, color=_color(method), label=method)
        line = [values[-1] * size / sizes[-1] for size in sizes]
        panel.plot(sizes, line, ":", linewidth=0.8, color=_color(method))
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.minorticks_off()
    panel.grid(alpha=0.3, linewidth=0.5)
