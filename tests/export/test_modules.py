"""Counting by bisection."""

import numpy as np
import pytest
import torch

from sklearn_emma.export.modules import CountBelow


@pytest.mark.parametrize("n_numbers", [1, 2, 3, 7, 8, 100])
def test_counts_are_those_of_a_search(n_numbers):
    random = np.random.RandomState(0)
    numbers = random.normal(size=(n_numbers, 3))
    values = np.vstack([random.normal(size=(50, 3)), numbers, np.full((1, 3), np.inf)])
    found = CountBelow(numbers)(torch.from_numpy(values)).numpy()
    np.testing.assert_array_equal(found, (numbers < values[:, None]).sum(axis=1))


def test_numbers_that_are_equal_but_for_rounding_count_as_equal():
    numbers = np.array([[1.0], [1000.0]])
    values = torch.from_numpy(numbers + 1e-14 * np.abs(numbers))
    assert CountBelow(numbers)(values).flatten().tolist() == [0.0, 1.0]
