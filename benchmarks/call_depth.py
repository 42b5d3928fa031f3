"""Print the number of calls between a public method and the code that computes its formula.

A frame is a Python function of this package, comprehensions included::

    python benchmarks/call_depth.py
"""

import ast
import sys
from pathlib import Path

import sklearn_emma
from sklearn_emma import EMMAClassifier, EMMAClassifierCV
from sklearn_emma.datasets import load_breast_cancer_modalities

PACKAGE = Path(sklearn_emma.__file__).parent
# public method, formula, and the largest number of frames between them
ROADS = {
    "predict_proba to the potential": ("predict_proba", "DAEEnergy.potential", 9),
    "predict_proba to the gate": ("predict_proba", "EnergyAttention.state", 6),
    "score_samples to the potential": ("score_samples", "DAEEnergy.potential", 6),
    "EMMAClassifierCV.fit to the loss": ("fit", "gated_loss", 14),
}
MOST_PARAMETERS = 7


def road(call, formula):
    """Return the frames of this package from a call to the first call of a formula."""
    stack, found = [], []

    def profile(frame, event, arg):
        code = frame.f_code
        if not code.co_filename.startswith(str(PACKAGE)):
            return
        if event == "call":
            stack.append((code.co_qualname, Path(code.co_filename).relative_to(PACKAGE)))
            if code.co_qualname == formula and not found:
                found.extend(stack)
        elif event == "return" and stack:
            stack.pop()

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def most_parameters():
    """Return the functions with the most parameters, constructors and functions separately."""
    counts = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name != "__init__":
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                names = [a.arg for a in arguments if a.arg not in ("self", "cls")]
                counts[f"{path.relative_to(PACKAGE)}:{node.name}"] = len(names)
    return sorted(counts.items(), key=lambda item: -item[1])


def main():
    X, y = load_breast_cancer_modalities(return_X_y=True)
    classifier = EMMAClassifier("prefix", max_epochs=1, random_state=0).fit(X, y)
    scorer = classifier.energy_scorers_["mean"]
    columns = X.to_numpy()[:, classifier.modality_columns_[0]]
    search = EMMAClassifierCV("prefix", param_grid={"coldness": [0.1, 1.0]}, cv=2, max_epochs=1)
    calls = {
        "predict_proba": lambda: classifier.predict_proba(X[:1]),
        "score_samples": lambda: scorer.score_samples(columns[:1]),
        "fit": lambda: search.fit(X[:100], y[:100]),
    }
    too_deep = False
    for name, (method, formula, most) in ROADS.items():
        frames = road(calls[method], formula)
        files = sum(a[1] != b[1] for a, b in zip(frames, frames[1:], strict=False))
        too_deep |= not 0 < len(frames) <= most
        print(f"{name}: {len(frames)} frames (at most {most}), {files} changes of file")
        for function, file in frames:
            print(f"    {function}  ({file})")
    print("\nfunctions of most parameters:")
    for name, count in most_parameters()[:8]:
        print(f"    {count}  {name}")
    sys.exit(too_deep)


if __name__ == "__main__":
    main()
