"""The tables of the robustness benchmark, from the records of its runs."""

import numpy as np
from _baselines import EMMA, SPECIALIST
from _robustness_failures import ANY, CLEAN, COLUMNS, FAILURES, GROUPS, SEVERAL, TRAININGS
from _tables import spread, table
from scipy.stats import rankdata

LEVELS = [level for levels in FAILURES.values() for level in levels]


class Results:
    """The results of the models on one task, trained on one corruption.

    `title` says which task and corruption, `records` is a dict from model to its records by seed.
    """

    def __init__(self, name, training, metric, cells, records):
        self.name, self.title = name, f"{name}, {training} training"
        self.metric, self.records = metric, records
        self.groups, self.who, self.levels = map(np.array, zip(*cells, strict=True))
        self.models = [model for model in records if model != SPECIALIST]

    def get(self, model, key="score"):
        """Give a measure of a model, with one sample per seed."""
        return np.array([record[key] for record in self.records[model].values()], dtype=float)

    def ratio(self, model):
        """Give score(model) / score(specialist) per cell, on the seeds that both have, or None."""
        specialist = self.records.get(SPECIALIST, {})
        mine = self.records[model]
        seeds = [seed for seed in mine if seed in specialist]
        if not seeds:
            return None
        mine, specialist = (np.array([r[s]["score"] for s in seeds]) for r in (mine, specialist))
        return mine / np.maximum(specialist, 1e-12)

    def columns(self):
        """Give (heading, mask of cells) of each kind of failure, for all modalities."""
        alone = [(level, (self.groups != "several") & (self.levels == level)) for level in LEVELS]
        together = [
            (f"{who}: {level}", (self.who == who) & (self.levels == level))
            for who in dict.fromkeys(self.who[self.groups == "several"])
            for level in SEVERAL
        ]
        columns = [(level, self.levels == level) for level in COLUMNS if level in self.levels]
        return alone + together + columns


def _section(title, header, lines):
    print(f"\n#### {title}\n\n{table(header, lines)}", flush=True)


def _number(values):
    return f"{np.mean(values):.3f}" if np.size(values) else "-"


def report_failures(results):
    """Print scores by failure, averaged over the modalities."""
    columns = results.columns()
    _section(
        f"{results.title}: {results.metric} by failure, mean over modalities",
        ["model", *(heading for heading, _ in columns)],
        [
            [model, *(_number(results.get(model)[:, mask]) for _, mask in columns)]
            for model in results.records
        ],
    )


def report_modalities(results):
    """Print scores of every cell, with a table for each modality."""
    for who in dict.fromkeys(results.who):
        mask = results.who == who
        _section(
            f"{results.title}: {results.metric} when {who} fails".replace("fail fails", "fail"),
            ["model", *results.levels[mask]],
            [[model, *map(spread, results.get(model)[:, mask].T)] for model in results.records],
        )


def report_groups(results):
    """Print means over groups of cells, and ratios to the score of the specialist."""
    lines = []
    core, clean = results.groups == "core", results.levels == CLEAN
    for model in results.records:
        score, ratio = results.get(model), results.ratio(model)
        groups = [_number(score[:, results.groups == group]) for group in GROUPS]
        line = [model, spread(score.mean(axis=1)), *groups, _number(score[:, clean])]
        line.append(f"{score.mean(axis=0).min():.3f}")
        if ratio is None:
            line += 3 * ["-"]
        else:
            line.append(f"{ratio.mean(axis=0).min():.3f}")
            line += [spread(ratio[:, core].mean(axis=1)), spread(ratio.mean(axis=1))]
        lines.append(line)
    header = ["model", "all cells", *GROUPS, "clean", "worst cell", "worst ratio"]
    title = f"{results.title}: {results.metric}, means over the {len(core)} cells"
    _section(title, [*header, "ratio, core", "ratio, all"], lines)


def report_rejection(results):
    """Print calibration, rejection, and the seconds of the fit."""
    lines = []

    def mean(model, key):
        return f"{results.get(model, key).mean():.4f}"

    for model in results.models:
        keys = ("calibration", "rejection", "pooled rejection")
        seconds = f"{results.get(model, 'seconds').mean():.1f}"
        lines.append([model, *(mean(model, key) for key in keys), seconds])
        if model == EMMA:
            keys = ("energy rejection", "pooled energy rejection")
            lines.append([f"{EMMA}, total energy", "-", *(mean(model, key) for key in keys), "-"])
    if lines:
        header = ["calibration error", "risk-coverage area", "pooled", "fit (s)"]
        _section(f"{results.title}: calibration and rejection", ["model", *header], lines)


def report_names(results):
    """Print how often EMMA's energies name the modality that fails."""
    if EMMA not in results.records:
        return
    named = results.get(EMMA, "named")
    columns = [
        (heading, mask)
        for heading, mask in results.columns()
        if heading != CLEAN and not np.isnan(named[:, mask]).any()
    ]
    modalities = list(dict.fromkeys(results.who[results.groups == "core"]))
    lines = [
        [who, *(_number(named[:, mask & (results.who == who)]) for _, mask in columns)]
        for who in modalities
    ]
    lines.append(["any", *(_number(named[:, mask]) for _, mask in columns)])
    chance = f"(chance {1 / len(modalities):.2f})"
    title = f"{results.title}: rate at which {EMMA} identifies the failing modality {chance}"
    _section(title, ["fails", *(heading for heading, _ in columns)], lines)


def report_tasks(all_results):
    """Print means and ranks over the tasks, of the models that ran on all of them."""
    models = [m for m in all_results[0].models if all(m in r.models for r in all_results)]
    means = np.array([[r.get(m).mean() for r in all_results] for m in models])
    ranks = rankdata(-means, axis=0)
    lines = [
        [model, *map(_number, mean), _number(mean), f"{rank.mean():.2f}"]
        for model, mean, rank in zip(models, means, ranks, strict=True)
    ]
    header = ["model", *(r.name for r in all_results), "mean", "mean rank"]
    title = all_results[0].title.replace(all_results[0].name, "all tasks")
    _section(f"{title}: mean over all cells", header, lines)


def _select(content, order, task, training):
    """Give the records of a task and training: dict model -> dict seed -> record."""
    records = {model: {} for model in order}
    for record in content["records"]:
        if record["task"] == task and record["training"] in (training, ANY):
            records[record["model"]][record["seed"]] = record
    records = {model: by_seed for model, by_seed in records.items() if by_seed}
    own = {record["training"] for by_seed in records.values() for record in by_seed.values()}
    return records if training in own else {}


def report(content, order, details=False):
    """Print all tables.

    Parameters
    ----------
    content : dict
        With "tasks", name -> metric and cells, and "records", one for each fit.
    order : sequence of str
        Names of the models, in the order of the tables.
    details : bool, default=False
        Whether to print every cell.
    """
    found = {record["training"] for record in content["records"]}
    for training in [name for name in TRAININGS if name in found] or [ANY]:
        print(f"\n### Training corruption: {training}")
        all_results = []
        for name, task in content["tasks"].items():
            records = _select(content, order, name, training)
            if not records:
                continue
            results = Results(name, training, task["metric"], task["cells"], records)
            all_results.append(results)
            report_failures(results)
            if details:
                report_modalities(results)
            report_groups(results)
            report_rejection(results)
            report_names(results)
        if len(all_results) > 1:
            report_tasks(all_results)
