"""Markdown tables."""

import numpy as np


def table(header, lines):
    """Format a Markdown table with aligned columns."""
    lines = [header, *lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)


def spread(values):
    """Format mean and standard deviation over seeds."""
    return f"{np.mean(values):.3f} ±{np.std(values, ddof=min(1, len(values) - 1)):.3f}"
