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


def ranked_table(names, models, values, *, rising=False, average="mean"):
    """Format the scores of models on data sets, with an average and the mean ranks.

    `values` has one row per data set. With `rising`, high scores are good.
    """
    rank = np.argsort(np.argsort(-values if rising else values, axis=1), axis=1) + 1
    lines = [[n, *(f"{v:.3f}" for v in row)] for n, row in zip(names, values, strict=True)]
    lines.append([average, *(f"{v:.3f}" for v in getattr(np, average)(values, axis=0))])
    lines.append(["mean rank", *(f"{v:.1f}" for v in rank.mean(axis=0))])
    return table(["table", *models], lines)
