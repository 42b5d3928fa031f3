"""A failure mode analysis as an HTML page without scripts, which can be printed and signed."""

import html
from pathlib import Path
from typing import Any

import pandas as pd

#: Style of the page. The section with the results is legible without it.
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 1100px; margin: 0 auto;
  padding: 1rem 1.25rem 3rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; }
p { max-width: 75ch; color: #444; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
.text { text-align: left; }
"""
_MATRICES = {
    "score": "Score",
    "calibration_error": "Calibration error",
    "coverage": "Coverage of the prediction sets",
    "set_size": "Mean size of the prediction sets",
    "closed": "Share of samples in which the failing modality is closed",
}


def write_failure_page(analysis: Any, title: str) -> str:
    """Return the page of an analysis.

    Parameters
    ----------
    analysis : FailureModeAnalysis
        The analysis.
    title : str
        Title of the page.

    Returns
    -------
    str
        Self-contained HTML.
    """
    name = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{name}</title>\n"
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n{write_section(analysis)}"
        "<h2>Signature</h2>\n<p>Date: ____________ &emsp; Name: ______________________ &emsp; "
        "Signature: ______________________</p>\n</body>\n</html>\n"
    )


def write_section(analysis: Any) -> str:
    """Return the section of the page with the results of an analysis.

    Parameters
    ----------
    analysis : FailureModeAnalysis
        The analysis.

    Returns
    -------
    str
        HTML with headings, sentences and tables.
    """
    parts = [_lead(analysis), "<h2>Which modality can be absent</h2>", _verdicts(analysis)]
    parts += [_drops(analysis.importance, "modality")]
    if len(analysis.pairs):
        named = analysis.pairs.set_axis([" + ".join(pair) for pair in analysis.pairs.index])
        parts += ["<h2>Two modalities absent together</h2>", _drops(named, "modalities")]
    for column, title in _MATRICES.items():
        if column in analysis.effects:
            parts += [f"<h2>{title}, by failure</h2>", _matrix(analysis, column)]
    return "\n".join(parts) + "\n"


def _lead(analysis: Any) -> str:
    """Return a paragraph with the number of test samples and the results on clean samples."""
    clean = analysis.clean
    facts = [f"{html.escape(analysis.score_name)} {clean['score']:.3f}"]
    facts += [
        f"{_MATRICES[key].lower()} {clean[key]:.3f}"
        for key in ("calibration_error", "coverage", "set_size")
        if key in clean
    ]
    return (
        f"<p>{int(clean['n_samples'])} test samples; without failures: {', '.join(facts)}. "
        f"Tolerance: {analysis.tolerance:g}. Intervals: {100 * analysis.confidence_level:g} %, "
        "by bootstrap over the test samples and the repeats of a failure.</p>"
    )


def _verdicts(analysis: Any) -> str:
    """Return paragraphs that state which modalities are redundant."""
    importance, pairs = analysis.importance, analysis.pairs
    score, tolerance = html.escape(analysis.score_name), f"{analysis.tolerance:g}"
    spare = importance.index[importance["redundant"]]
    needed = importance.index[~importance["redundant"]]
    lines = []
    if len(spare):
        lines.append(f"Each of these can be absent by itself: {_names(spare)}.")
    if len(needed):
        lines.append(
            "These are needed, or there are too few test samples to show that they are not: "
            f"{_names(needed)}."
        )
    together = [" and ".join(pair) for pair in pairs.index[pairs["redundant"].astype(bool)]]
    if together:
        lines.append(f"These can be absent together: {_names(together)}.")
    elif len(spare) > 1:
        lines.append("No two of them can be absent together.")
    rule = (
        f"A modality can be absent if the upper bound of the interval for the drop of the {score} "
        f"is below {tolerance}. The bound allows for losses that are too rare for the test samples."
    )
    return "".join(f"<p>{line}</p>" for line in [*lines, rule])


def _names(names: Any) -> str:
    return ", ".join(f"<b>{html.escape(str(name))}</b>" for name in names)


def _drops(frame: pd.DataFrame, what: str) -> str:
    """Return a table of the drops, with a drawing of each interval."""
    low, high = min(0.0, frame["low"].min()), max(frame["high"].max(), 1e-9)
    rows = []
    for name, row in frame.iterrows():
        left, middle, right = (
            200 * (row[key] - low) / (high - low) for key in ("low", "drop", "high")
        )
        zero = 200 * -low / (high - low)
        drawn = (
            '<svg width="204" height="14" viewBox="-2 0 204 14" role="img" aria-label="interval">'
            f'<path d="M{zero:.1f} 0V14" stroke="#999"/>'
            f'<path d="M{left:.1f} 7H{right:.1f}" stroke="#0072b2" stroke-width="3"/>'
            f'<circle cx="{middle:.1f}" cy="7" r="4" fill="#0072b2"/></svg>'
        )
        verdict = "can be absent" if row["redundant"] else "needed, or too few samples"
        cells = "".join(f"<td>{row[key]:.3f}</td>" for key in ("drop", "low", "high"))
        rows.append(
            f'<tr><td class="text">{html.escape(str(name))}</td>{cells}<td>{drawn}</td>'
            f'<td class="text">{verdict}</td></tr>'
        )
    heads = "".join(f"<th>{head}</th>" for head in ("drop", "from", "to", "", ""))
    return f'<table><tr><th class="text">{what}</th>{heads}</tr>\n' + "\n".join(rows) + "</table>"


def _matrix(analysis: Any, column: str) -> str:
    """Return a table of one measure, with a row per failure and a column per modality."""
    effects = analysis.effects
    shape = effects.pivot_table(column, "failure", "modality", sort=False)
    worst = column in ("score", "coverage", "closed")  # low values are bad
    values = shape.to_numpy()
    spread = max(values.max() - values.min(), 1e-9)
    heads = "".join(f"<th>{html.escape(str(name))}</th>" for name in shape.columns)
    lines = [f'<tr><th class="text">failure</th>{heads}</tr>']
    for failure, row in shape.iterrows():
        cells = ""
        for value in row:
            bad = ((values.max() - value) if worst else (value - values.min())) / spread
            cells += f'<td style="background: rgb(213 94 0 / {0.45 * bad:.2f})">{value:.3f}</td>'
        lines.append(f'<tr><td class="text">{html.escape(str(failure))}</td>{cells}</tr>')
    return "<table>" + "\n".join(lines) + "</table>"


def write_text(page: str, buf: Any = None) -> str | None:
    """Write a page to a file, or return it.

    Parameters
    ----------
    page : str
        The page.
    buf : str, path or object with ``write``, default=None
        File to write to.

    Returns
    -------
    str or None
        The page if `buf` is None, else None.
    """
    if buf is None:
        return page
    if hasattr(buf, "write"):
        buf.write(page)
    else:
        Path(buf).write_text(page, encoding="utf-8")
    return None
