"""The folders import each other in one direction, and functions take few parameters."""

import ast
from pathlib import Path

import sklearn_emma

PACKAGE = Path(sklearn_emma.__file__).parent
# Each may import those before it, and itself.
LAYERS = [
    {"compat", "nn"},
    {"engine"},
    {
        "categories",
        "column_lookup",
        "column_statistics",
        "explanations",
        "frames",
        "gap_fillings",
        "indicators",
        "lazy",
        "modalities",
        "tables",
        "targets",
        "user_warnings",
        "validation",
    }
    | {"corruption", "energy"},
    {"gate"},
    {"base", "estimator_energies", "hyperparameters", "parameters"}
    | {"predictor_read_outs", "read_outs", "training_data", "warm_start"},
    {"classifier", "log_probabilities", "regressor"},
    {"gated"},
    {"folds", "search", "metrics", "thesis"},
    {"datasets", "model_selection", "monitoring"},
    {"inspection", "export"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules():
    """Return the syntax tree of every module, by its dotted name in the package."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
        for path in PACKAGE.rglob("*.py")
        if path.parent != PACKAGE or path.stem != "__init__"
    }


def imported(tree, names):
    """Return the modules of the package that a module imports when it is imported."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn_emma."):
            name = node.module.removeprefix("sklearn_emma.")
            for alias in node.names:
                inner = f"{name}.{alias.name}"
                found.add(inner if inner in names else name)
    return {name if name in names else f"{name}.__init__" for name in found}


def test_imports_point_one_way():
    trees = modules()
    for name, tree in trees.items():
        own = name.split(".")[0]
        for other in imported(tree, trees):
            target = other.split(".")[0]
            assert LEVEL[target] <= LEVEL[own], f"{name} imports {other}"


def test_there_is_no_circle_of_imports():
    trees = modules()
    waiting = {name: imported(tree, trees) - {name} for name, tree in trees.items()}
    while waiting:
        free = {name for name, needs in waiting.items() if not needs & set(waiting)}
        assert free, f"these modules import each other: {sorted(waiting)}"
        waiting = {name: needs for name, needs in waiting.items() if name not in free}


def test_torch_modules_know_nothing_of_scikit_learn():
    for name, tree in modules().items():
        if name.startswith("nn."):
            roots = {
                (node.module or "").partition(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
            }
            assert not roots & {"sklearn", "skorch", "pandas"}, name


def test_functions_take_at_most_seven_parameters():
    public = {
        "failure_mode_analysis",
        "make_multimodal_classification",
        "robustness_curve",
        "stream_curve",
    }
    for name, tree in modules().items():
        if name.startswith("inspection."):
            continue  # Displays have public constructors
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name not in {"__init__", *public}:
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                taken = [a.arg for a in arguments if a.arg not in ("self", "cls")]
                assert len(taken) <= 7, f"{name}: {node.name} takes {len(taken)}"
