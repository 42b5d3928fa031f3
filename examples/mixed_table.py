r"""
A table as it comes: text, dates and gaps
=========================================

Why: tables hold more than numbers. Text and categories are taken as they are, gaps may stay, and of
a date one says what matters. The table is that of 398 cars of the years 1970 to 1982, from the
package ``vega_datasets`` (``pip install vega_datasets``), which ships it. Which cars go at least 23
miles per gallon? What is known of a car comes from three sources: the engine, the body, and the
papers. One of them may be mixed up, or lost.
"""

# %%
# The make is the first word of the name, and the date of the model becomes its age in years. The
# number of cylinders stands for a type of engine. Text could stay text, but boosting by itself asks
# for the type ``category``.

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from vega_datasets import local_data

from sklearn_emma import EMMAClassifier, GatedClassifier
from sklearn_emma.corruption import Missing, Noise
from sklearn_emma.inspection import modality_report

cars = local_data.cars().dropna(subset="Miles_per_Gallon")
cars["make"] = cars["Name"].str.split().str[0]
cars["age"] = (pd.Timestamp("1983-01-01") - cars["Year"]) / pd.Timedelta(days=365.25)
cars = cars.astype(dict.fromkeys(["make", "Origin", "Cylinders"], "category"))
sources = {
    "engine": ["Cylinders", "Displacement", "Horsepower"],
    "body": ["Weight_in_lbs", "Acceleration"],
    "papers": ["make", "Origin", "age"],
}
X_train, X_test, y_train, y_test = train_test_split(
    cars, cars["Miles_per_Gallon"] >= 23, test_size=0.4, random_state=0
)

# %%
# ``remainder="drop"`` leaves the other columns out, whatever they hold: names, dates, and the miles
# per gallon themselves. Boosting by itself gets the columns of the three sources. All learn from
# the cars as they are, and are tested with each source failing in turn.

boosting = HistGradientBoostingClassifier(random_state=0)
used = [column for columns in sources.values() for column in columns]
models = {
    "EMMA": EMMAClassifier(sources, remainder="drop", random_state=0),
    "gated boosting": GatedClassifier(boosting, sources, remainder="drop", random_state=0),
    "boosting": make_pipeline(FunctionTransformer(lambda table: table[used]), boosting),
}
for name, model in models.items():
    model.fit(X_train, y_train)
    print(f"{name:>14}: accuracy {model.score(X_test, y_test):.3f}", end="")
    for failure in (Noise(4), Missing()):
        tables = [
            failure.set_params(only=source).corrupt(X_test, sources, 0, reference=X_train)[0]
            for source in sources
        ]
        score = sum(model.score(table, y_test) for table in tables) / len(tables)
        print(f", with {type(failure).__name__.lower()} {score:.3f}", end="")
    print()

# %%
# An origin that was never seen is noticed and named. A new make is not: so many makes occur once,
# some of them misspelt, that new ones are to be expected.

for column in ("Origin", "make"):
    report = modality_report(models["EMMA"], X_test.assign(**{column: "Atlantis"}))
    print(f"new {column}: papers failing in {report.summary.failing['papers']:.0%} of the samples")
    print(report.worst[["modality", "columns"]].head(1).to_string(index=False, header=False))
