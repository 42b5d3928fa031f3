"""The data of the examples on pulsars, or a message on how to get them."""

import os
import sys
from pathlib import Path

from sklearn_emma.datasets import fetch_htru2

LOCAL = Path(__file__).resolve().parents[2] / "shared" / "data"
ADVICE = (
    "This example needs the data set HTRU2, which is not there: download htru2.zip from "
    "https://archive.ics.uci.edu/dataset/372/htru2 and set the environment variable "
    "SKLEARN_EMMA_DATA to the folder you put it in."
)


def load_pulsars():
    """Load HTRU2; if it is missing, say how to get it and end the program.

    The file is taken from the folder that ``SKLEARN_EMMA_DATA`` names, from ``../shared/data``
    beside the repository, from earlier downloads, or downloaded.

    Returns
    -------
    X : DataFrame of shape (17898, 8)
        The columns, four of each modality.
    y : Series of shape (17898,)
        1 for pulsars, 0 for the rest.
    """
    local = "SKLEARN_EMMA_DATA" not in os.environ and any(LOCAL.glob("htru2.*"))
    try:
        return fetch_htru2(path=LOCAL if local else None, return_X_y=True)
    except (OSError, ValueError, ImportError) as error:
        if "sphinx_gallery" in sys.modules:  # which would take an exit for the end of its work
            raise
        print(f"{ADVICE}\nThe reason: {error}")
        sys.exit(0)


if __name__ == "__main__":
    X, y = load_pulsars()
    print(f"HTRU2 is there: {len(X)} samples with {X.shape[1]} columns; {y.sum()} are pulsars.")
