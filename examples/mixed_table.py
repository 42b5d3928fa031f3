r"""
A table with text, dates and missing values
===========================================

Tables often contain more than numbers. Text and categories are accepted without encoding, values
may be missing, and a date is converted to the relevant number (here, an age). The table is that of
398 cars of the years 1970 to 1982, from the package ``vega_datasets`` (``pip install
vega_datasets``). Which cars go at least 23 miles on a gallon? The columns come from three sources:
the engine, the body and the papers. One of the sources may be corrupted or missing.
"""

# %%
# The make is the first word of the name, and the date of the model becomes its age in years.

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from sklearn_emma import EMMAClassifier, GatedClassifier
from sklearn_emma.corruption import Missing, Noise
from sklearn_emma.inspection import modality_report

try:
    from vega_datasets import local_data
except ModuleNotFoundError:
    raise SystemExit("The data of this example are missing: pip install vega_datasets") from None

cars = local_data.cars().dropna(subset="Miles_per_Gallon")
cars["make"] = cars["Name"].str.split().str[0]
cars["age"] = (pd.Timestamp("1983-01-01") - cars["Year"]) / pd.Timedelta(days=365.25)
sources = {
    "engine": ["Cylinders", "Displacement", "Horsepower"],
    "body": ["Weight_in_lbs", "Acceleration"],
    "papers": ["make", "Origin", "age"],
}
economical = cars["Miles_per_Gallon"] >= 23
X, X_test, y, y_test = train_test_split(cars, economical, test_size=0.4, random_state=0)

# %%
# ``remainder="drop"`` ignores the other columns, whatever they hold: names, dates, and the miles
# per gallon themselves. Both models are trained on the unchanged samples. They are tested with the
# papers unchanged, corrupted by noise, and missing.

boosting = HistGradientBoostingClassifier(random_state=0)
emma = EMMAClassifier(sources, remainder="drop", random_state=0).fit(X, y)
gated = GatedClassifier(boosting, sources, remainder="drop", random_state=0).fit(X, y)
for failure in (Noise(fraction=0.0), Noise(4, only="papers"), Missing(only="papers")):
    bad, _ = failure.corrupt(X_test, sources, random_state=0, reference=X)
    scores = f"EMMA {emma.score(bad, y_test):.3f}, gated boosting {gated.score(bad, y_test):.3f}"
    print(f"{failure}: {scores}")

# %%
# A level that does not occur in the training samples (here, of the column ``Origin``) is detected:
# the modality ``papers`` is reported as failing.

report = modality_report(emma, X_test.assign(Origin="Atlantis"))
print(report.summary["failing"])
