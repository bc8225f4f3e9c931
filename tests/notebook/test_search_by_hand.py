"""The search of a learning rate by hand: what a try trains, what it says, and when stored runs can be seen."""

import numpy as np
import pytest

import rnntips as rt
from rnntips.notebook.rate_search import RATES, RateSearch

RECIPE = rt.Recipe(width=4, past=8, batch_size=8, updates=30)
STORED = {"Adam": {0.001: np.full(3, 0.9), 0.01: np.full(3, 0.6)}, "SGD": {0.1: np.full(3, 0.7)}}


@pytest.fixture
def search():
    return RateSearch(rt.tasks.forecast(rt.series.sines(600)), RECIPE, STORED)


def a_try(search, optimizer, rate):
    search.optimizer.value, search.rate.value = optimizer, rate
    search.try_button.click()


def test_a_try_trains_five_networks_and_nothing_is_shown_before(search):
    assert search.tries == {} and "Nothing tried with Adam yet" in search.said and "0.6" not in search.said
    a_try(search, "SGD", 0.01)
    runs = rt.train(RECIPE.but(optimizer="sgd", lr=0.01), search.task, range(5))
    np.testing.assert_allclose(search.tries["SGD", 0.01], runs.test_score / runs.naive)
    assert f"{np.median(runs.test_score / runs.naive):.2f} of naive, at 0.01" in search.said


def test_stored_runs_of_an_optimizer_can_be_shown_after_three_tries_with_it(search):
    for rate in RATES[12:15]:
        assert search.show_button.disabled
        a_try(search, "Adam", rate)
    before = search.picture.value
    search.show_button.click()
    assert search.shown == {"Adam"} and search.show_button.disabled and search.picture.value != before
    search.optimizer.value = "SGD"
    assert search.show_button.disabled and "Nothing tried with SGD" in search.said


def test_runs_that_diverged_are_drawn_at_the_top_and_said(search):
    search.tries["SGD", 10.0] = np.full(5, np.inf)
    search.optimizer.value = "SGD"
    assert "all diverged" in search.said and "inf" not in search.picture.value + search.said
    assert set(search._repr_mimebundle_()) >= {"text/plain", "image/png"}


def test_the_learning_rates_are_quarter_decades_in_plain_digits(search):
    assert RATES[0] == 1e-6 and RATES[-1] == 10 and 0.0032 in RATES
    labels = [label for label, _ in search.rate.options]
    assert labels[0] == "0.000001" and labels[-1] == "10" and not any("e" in label for label in labels)
