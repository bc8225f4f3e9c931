"""Errors: one family, and suggestions for names that are not known."""

import inspect

import pytest

from rnntips import errors
from rnntips.errors import RnntipsError, unknown_name

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_is_of_the_family_and_says_what_it_is_for(error):
    """One `except RnntipsError` catches all; bad arguments are `ValueError`s too; each has a docstring of its own."""
    assert issubclass(error, RnntipsError) and error.__doc__
    assert (error in (RnntipsError, errors.Busy, errors.TrainingFailed, errors.OutOfMemory)) != issubclass(
        error, ValueError
    )


@pytest.mark.parametrize(
    ("came", "nearest"),
    [("lsmt", "lstm"), ("GRU", "gru"), ("Tanh", "tanh"), ("transformer", None), (3, None), (None, None)],
)
def test_an_unknown_name_is_repeated_with_the_nearest_and_all_known(came, nearest):
    """The suggestion looks past capitals, and is left out where nothing is near."""
    words = str(unknown_name("cell", came, {"tanh": 1, "lstm": 2, "gru": 3}))
    assert words.startswith(f"cell {came!r} is not known.") and words.endswith("Choose one of: gru, lstm, tanh.")
    assert (f"Did you mean {nearest!r}?" if nearest else "Choose") in words
    assert (nearest is not None) == ("Did you mean" in words)
