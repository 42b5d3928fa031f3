"""Every way of writing down modalities, and what is said of each wrong one."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_selector

from sklearn_emma.modalities import resolve_modalities, split_columns

COLUMNS = ["ip__mean", "ip__std", "dm__mean", "dm__std", "dm__skew"]
ARRAY = np.arange(10.0).reshape(2, 5)


def make_pandas(columns=COLUMNS):
    return pd.DataFrame(ARRAY, columns=columns)


def make_polars():
    return pytest.importorskip("polars").DataFrame(ARRAY, schema=COLUMNS)


def resolve(modalities, X, **kwargs):
    """Resolve to a dict of lists, which compares and prints well."""
    names, columns = resolve_modalities(modalities, X, **kwargs)
    return dict(zip(names, [positions.tolist() for positions in columns], strict=True))


frames = pytest.mark.parametrize("make_frame", [make_pandas, make_polars], ids=["pandas", "polars"])


@pytest.mark.parametrize("X", [ARRAY, ARRAY.tolist(), make_pandas()], ids=["array", "list", "df"])
def test_none_is_one_modality_of_all_columns(X):
    assert resolve(None, X) == {"all": [0, 1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("ip", "dm"),
    [
        ([0, 1], [2, 3, 4]),
        ((0, 1), range(2, 5)),
        (np.array([0, 1]), np.array([2, 3, 4], dtype=np.uint8)),
        (slice(0, 2), slice(2, None)),
        (slice(None, 2), slice(-3, None)),
        ([True, True, False, False, False], np.array([False, False, True, True, True])),
        ([-5, -4], lambda X: slice(2, X.shape[1])),
    ],
    ids=["lists", "tuple-range", "arrays", "slices", "open slices", "masks", "negative-callable"],
)
@pytest.mark.parametrize("X", [ARRAY, make_pandas()], ids=["array", "DataFrame"])
def test_positions_slices_and_masks(ip, dm, X):
    expected = {"ip": [0, 1], "dm": [2, 3, 4]}
    assert resolve({"ip": ip, "dm": dm}, X) == expected
    assert resolve([("ip", ip), ("dm", dm)], X) == expected


@frames
@pytest.mark.parametrize(
    "dm",
    [
        COLUMNS[2:],
        np.array(COLUMNS[2:]),
        pd.Index(COLUMNS[2:]),
        slice("dm__mean", "dm__skew"),
        slice("dm__mean", None),
        lambda X: [name for name in X.columns if name.startswith("dm")],
    ],
    ids=["list", "array", "index", "slice", "open slice", "callable"],
)
def test_names_of_a_frame(make_frame, dm):
    X = make_frame()
    assert resolve({"ip": COLUMNS[:2], "dm": dm}, X) == {"ip": [0, 1], "dm": [2, 3, 4]}


@frames
def test_a_single_name_or_position_is_a_modality_of_one_column(make_frame):
    modalities = {"first": "ip__mean", "last": -1, "second": np.int64(1)}
    assert resolve(modalities, make_frame(), remainder="drop") == {
        "first": [0],
        "last": [4],
        "second": [1],
    }


def test_column_selector():
    X = make_pandas().assign(ip__mean=["a", "b"])
    modalities = {
        "numbers": make_column_selector(dtype_include=np.number),
        "words": make_column_selector(dtype_exclude=np.number),
    }
    assert resolve(modalities, X) == {"numbers": [1, 2, 3, 4], "words": [0]}


@frames
def test_prefix_splits_at_the_first_separator(make_frame):
    assert resolve("prefix", make_frame()) == {"ip": [0, 1], "dm": [2, 3, 4]}
    X = pd.DataFrame(ARRAY[:, :2], columns=["a__b__c", "a__d"])
    assert resolve("prefix", X) == {"a": [0, 1]}


@frames
def test_callable_from_column_name_to_modality(make_frame):
    def statistic(column):
        return column.split("__")[1]

    expected = {"mean": [0, 2], "std": [1, 3], "skew": [4]}
    assert resolve(statistic, make_frame()) == expected


def test_callable_returning_none_leaves_the_column_over():
    def only_dm(column):
        return "dm" if column.startswith("dm") else None

    assert resolve(only_dm, make_pandas(), remainder="drop") == {"dm": [2, 3, 4]}
    with pytest.raises(ValueError, match=r"'ip__mean', 'ip__std'.*returned None"):
        resolve(only_dm, make_pandas())


def test_users_order_of_modalities_and_columns_is_kept():
    assert list(resolve({"b": [4, 2], "a": [3, 0, 1]}, ARRAY).items()) == [
        ("b", [4, 2]),
        ("a", [3, 0, 1]),
    ]


def test_positions_are_intp_arrays():
    _, columns = resolve_modalities({"ip": [0, 1], "dm": slice(2, 5)}, ARRAY)
    assert [positions.dtype for positions in columns] == [np.intp, np.intp]


def test_remainder_drops_or_gathers_leftover_columns():
    modalities = {"ip": [0, 3]}
    assert resolve(modalities, ARRAY, remainder="drop") == {"ip": [0, 3]}
    assert resolve(modalities, ARRAY, remainder="rest") == {"ip": [0, 3], "rest": [1, 2, 4]}


def test_remainder_without_leftover_columns_makes_no_modality():
    assert list(resolve({"ip": [0, 1], "dm": [2, 3, 4]}, ARRAY, remainder="rest")) == ["ip", "dm"]


def test_remainder_gathers_names_without_prefix():
    X = make_pandas(["a__x", "plain", "b__x", "__y", "b__z"])
    assert resolve("prefix", X, remainder="rest") == {"a": [0], "b": [2, 4], "rest": [1, 3]}


def test_repeated_column_names_can_be_used_by_position():
    X = make_pandas(["a", "a", "b", "c", "d"])
    assert resolve({"one": [0, 1], "two": slice(2, 5)}, X) == {"one": [0, 1], "two": [2, 3, 4]}


@pytest.mark.parametrize("remainder", ["error", "drop", "rest"])
@pytest.mark.parametrize("modalities", [{}, [], lambda column: None])
def test_no_modality(modalities, remainder):
    with pytest.raises(ValueError, match=r"There is no modality.*Expected None, a dict or list"):
        resolve(modalities, make_pandas(), remainder=remainder)


def test_no_modality_without_a_prefix():
    X = make_pandas(list("abcde"))
    for remainder in ("error", "drop"):
        with pytest.raises(ValueError, match=r"no modality.*Their names have no \"__\""):
            resolve("prefix", X, remainder=remainder)


def test_modality_may_have_a_keyword_as_name():
    modalities = {"error": slice(0, 2), "drop": slice(2, 5)}
    for remainder in ("error", "drop"):
        assert list(resolve(modalities, ARRAY, remainder=remainder)) == ["error", "drop"]


def test_all_columns_by_a_slice():
    assert resolve({"all": slice(None)}, ARRAY) == {"all": [0, 1, 2, 3, 4]}
    assert resolve({"even": slice(None, None, 2)}, ARRAY, remainder="drop") == {"even": [0, 2, 4]}


@pytest.mark.parametrize("empty", [[], slice(2, 2), [False] * 5, lambda X: []])
def test_empty_modality(empty):
    with pytest.raises(ValueError, match=r"The modality 'dm' is empty.*at least one column"):
        resolve({"ip": [0, 1], "dm": empty}, ARRAY)


@frames
@pytest.mark.parametrize("columns", ["ip__maen", ["ip__maen"], slice("ip__maen", None)])
def test_unknown_column(make_frame, columns):
    with pytest.raises(
        ValueError, match=r"Modality 'ip': unknown column\(s\) 'ip__maen'. Did you mean 'ip__mean'"
    ):
        resolve({"ip": columns}, make_frame())


def test_unknown_column_without_a_likely_spelling_lists_the_columns():
    with pytest.raises(ValueError, match=r"Check the spelling. The data have the columns 'ip__"):
        resolve({"ip": ["zzz"]}, make_pandas())


@pytest.mark.parametrize("columns", [5, [0, 5], np.array([5]), -6])
def test_position_out_of_range(columns):
    with pytest.raises(
        ValueError, match=r"Modality 'ip': position -?\d is out of range.*5 column.*0 to 4"
    ):
        resolve({"ip": columns}, ARRAY)


@pytest.mark.parametrize("mask", [[True, False], True])
def test_mask_of_wrong_length(mask):
    with pytest.raises(ValueError, match=r"Modality 'ip': a boolean mask .* expected 5, got"):
        resolve({"ip": mask}, ARRAY)


def test_column_in_two_modalities():
    message = r"The column 'dm__mean' is in two modalities, 'ip' and 'dm'"
    with pytest.raises(ValueError, match=message):
        resolve({"ip": slice(0, 3), "dm": slice(2, 5)}, make_pandas())
    with pytest.raises(ValueError, match=r"The column 2 is in two modalities, 'ip' and 'dm'"):
        resolve({"ip": slice(0, 3), "dm": slice(2, 5)}, ARRAY)


def test_column_twice_in_one_modality():
    with pytest.raises(ValueError, match=r"Modality 'ip' lists the column 0 twice"):
        resolve({"ip": [0, -5]}, ARRAY)


def test_duplicate_modality_names():
    with pytest.raises(ValueError, match=r"The modality 'ip' is given twice"):
        resolve([("ip", [0, 1]), ("ip", [2, 3, 4])], ARRAY)


def test_leftover_columns_are_named_with_the_way_out():
    with pytest.raises(ValueError, match=r"2 column\(s\).*'dm__std', 'dm__skew'.*remainder="):
        resolve({"ip": [0, 1, 2]}, make_pandas())


def test_many_leftover_columns_are_abbreviated():
    with pytest.raises(ValueError, match=r"99 column\(s\).* and 91 more"):
        resolve({"first": 0}, np.empty((1, 100)))


def test_remainder_that_clashes_with_a_modality():
    with pytest.raises(ValueError, match=r"remainder='ip' is already the name of a modality"):
        resolve({"ip": [0, 1]}, ARRAY, remainder="ip")


@pytest.mark.parametrize("remainder", [None, 3, ""])
def test_remainder_of_wrong_type(remainder):
    with pytest.raises(ValueError, match=r'remainder must be "error", "drop" or the name'):
        resolve({"ip": [0, 1]}, ARRAY, remainder=remainder)


@pytest.mark.parametrize("X", [ARRAY, make_pandas(range(5))], ids=["array", "integer names"])
@pytest.mark.parametrize(
    ("modalities", "message"),
    [
        ("prefix", r'modalities="prefix" needs column names that are strings'),
        (str.upper, r"A callable as `modalities` needs column names that are strings"),
        ({"ip": ["ip__mean"]}, r"Modality 'ip' names its columns .*, but the data have "),
    ],
    ids=["prefix", "callable", "names"],
)
def test_names_needed_where_there_are_none(X, modalities, message):
    with pytest.raises(ValueError, match=message + r".*DataFrame, .*or use column pos"):
        resolve(modalities, X)


def test_prefix_missing_from_a_column():
    X = make_pandas(["a__x", "plain", "b__x", "b__y", "b__z"])
    with pytest.raises(ValueError, match=r"1 column\(s\).*: 'plain'. Their names have no \"__\""):
        resolve("prefix", X)


@pytest.mark.parametrize("name", [0, None, ("a", "b"), ""])
def test_modality_name_that_is_no_string(name):
    message = r"A modality's name must be a non-empty string, got "
    with pytest.raises(ValueError, match=message):
        resolve({name: [0, 1, 2, 3, 4]}, ARRAY)
    if name is not None:
        with pytest.raises(ValueError, match=message):
            resolve(lambda column: name, make_pandas())


@pytest.mark.parametrize("modalities", [3, {"a", "b"}, 1.5])
def test_wrong_type_of_modalities(modalities):
    with pytest.raises(ValueError, match=r"`modalities` has the wrong type.*Expected None, a dict"):
        resolve(modalities, ARRAY)


@pytest.mark.parametrize(
    ("modalities", "wrong"),
    [
        (["ip", "dm"], "'ip'"),
        ([0, 0, 1, 1, 1], "0"),
        ([("ip", [0]), ("dm",)], r"\('dm',\)"),
        ([("ip", [0], [1])], r"\('ip', \[0\], \[1\]\)"),
    ],
)
def test_element_that_is_no_pair(modalities, wrong):
    message = rf"must hold \(name, columns\) pairs, but {wrong} is not one, .*Expected None, a dict"
    with pytest.raises(ValueError, match=message):
        resolve(modalities, ARRAY)


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize(
    "groups",
    [
        [[0, 1], [2, 3], [4]],
        [(0, 1), (2, 3), (4,)],
        [[0, 1, 2], [3, 4]],
        [np.array([0, 1]), np.array([2, 3, 4])],
        [slice(0, 2), slice(2, 5)],
        [["ip__mean", "ip__std"], ["dm__mean", "dm__std"]],
        [["ip__mean", "ip__std"], ["dm__mean", "dm__std", "dm__skew"]],
    ],
)
@pytest.mark.parametrize("remainder", ["error", "drop"])
def test_groups_of_columns_without_names(kind, groups, remainder):
    """The message holds what names them."""
    with pytest.raises(ValueError, match="groups of columns without names") as caught:
        resolve(kind(groups), make_pandas(), remainder=remainder)
    message = str(caught.value)
    assert f'{{"modality0": {groups[0]!r}, "modality1": {groups[1]!r}' in message
    assert f'[("modality0", {groups[0]!r}), ("modality1", {groups[1]!r})' in message
    named = {"modality0": groups[0], "modality1": groups[1]}
    assert len(resolve(named, make_pandas(), remainder="drop")) == 2


def test_names_of_columns_may_be_names_of_modalities():
    X = make_pandas()
    assert resolve([(name, name) for name in COLUMNS], X)["dm__std"] == [3]
    pairs = [("ip__mean", "ip__mean"), ("dm__mean", "dm__std")]
    assert resolve(pairs, X, remainder="drop") == {"ip__mean": [0], "dm__mean": [3]}


def test_modalities_given_to_columns():
    with pytest.raises(ValueError, match="Give each modality its columns, and not each column its"):
        resolve({"ip__mean": "ip", "ip__std": "ip"}, make_pandas())


@pytest.mark.parametrize("modalities", ["prefix", {"ip": ["ip__mean"]}])
def test_levels_of_column_names(modalities):
    """The message renames the columns of a MultiIndex to what "prefix" reads."""
    X = make_pandas(pd.MultiIndex.from_tuples([name.split("__") for name in COLUMNS]))
    with pytest.raises(ValueError, match=r"column name \('ip', 'mean'\), of type tuple") as caught:
        resolve(modalities, X)
    advice = str(caught.value).partition("X.columns = ")[2].partition(", or use")[0]
    X.columns = eval(advice, {"X": X})
    assert list(X.columns) == COLUMNS


def test_unknown_keyword():
    with pytest.raises(ValueError, match=r"The only string .* is \"prefix\", got 'suffix'"):
        resolve("suffix", make_pandas())


@pytest.mark.parametrize("columns", [1.5, [0, "ip__mean"], None, {0, 1}, [[0, 1]], slice(0, "b")])
def test_columns_of_wrong_type(columns):
    with pytest.raises(ValueError, match=r"Modality 'ip': .* is not a valid choice of columns"):
        resolve({"ip": columns}, make_pandas())


def test_repeated_column_name():
    X = make_pandas(["a", "a", "b", "c", "d"])
    with pytest.raises(ValueError, match=r"several columns named 'a'.*use column positions"):
        resolve({"one": ["a"]}, X)


def test_data_must_be_two_dimensional():
    with pytest.raises(ValueError, match=r"expected 2D data, got 1D data"):
        resolve({"ip": [0]}, np.arange(3))


def test_split_gives_views_of_contiguous_columns():
    blocks = split_columns(ARRAY, [np.array([0, 1]), np.array([2]), np.array([4, 3])])
    assert [np.shares_memory(block, ARRAY) for block in blocks] == [True, True, False]
    for block, expected in zip(
        blocks, [ARRAY[:, :2], ARRAY[:, 2:3], ARRAY[:, [4, 3]]], strict=True
    ):
        np.testing.assert_array_equal(block, expected)


def test_split_takes_tensors():
    blocks = split_columns(torch.from_numpy(ARRAY), [np.array([1, 2]), np.array([3, 0])])
    np.testing.assert_array_equal(blocks[0].numpy(), ARRAY[:, 1:3])
    np.testing.assert_array_equal(blocks[1].numpy(), ARRAY[:, [3, 0]])
