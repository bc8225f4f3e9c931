"""Sliders over a picture: every step of one draws anew, and in time."""

import re
from time import perf_counter

import pytest

from rnntips.errors import BadArgument
from rnntips.notebook.drawing import Label, Line
from rnntips.notebook.explorer import Explorer


def drawn(height, name):
    said = f"{name} reaches {height}."
    return said, [Line("baseline", [(0, 0), (100, height)], 2), Label(5, 9, f"−{height}", "ink", "end")]


def test_a_slider_s_step_draws_what_its_values_say():
    explorer = Explorer(drawn, {"height": [1, 2, 30], "name": [("a line", "A"), ("another", "B")]}, height=120)
    assert explorer.said == "A reaches 1." and "another" not in explorer.picture.value
    explorer.sliders["height"].index, explorer.sliders["name"].index = 2, 1
    assert explorer.said == "B reaches 30."
    picture = explorer.picture.value
    assert 'aria-label="B reaches 30."' in picture and 'viewBox="0 0 760 120"' in picture
    assert re.findall(r' d="([^"]*)"', picture) == ["M0.0 0.0L100.0 30.0"]
    assert 'text-anchor="end"' in picture and ">−30</text>" in picture
    shown = explorer._repr_mimebundle_()
    assert shown["text/plain"] == "B reaches 30." and {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(
        shown
    )


def test_a_slider_without_values_is_refused():
    with pytest.raises(BadArgument, match="The slider 'name' has no values"):
        Explorer(drawn, {"height": [1], "name": []})


def test_a_slider_starts_where_it_is_told_to():
    choices = {"height": [1, 2, 30], "name": [("a line", "A"), ("another", "B")]}
    assert Explorer(drawn, choices, {"height": 2, "name": "B"}).said == "B reaches 2."
    for start in ({"height": 3}, {"name": "a line"}, {"width": 1}):
        with pytest.raises(BadArgument, match="no slider of that name has that value"):
            Explorer(drawn, choices, start)


def test_a_step_takes_a_tenth_of_a_second_at_most():
    explorer = Explorer(lambda size: drawn(size, "It"), {"size": range(200)})
    began = perf_counter()
    for index in range(1, 11):
        explorer.sliders["size"].index = index
    assert (perf_counter() - began) / 10 < 0.1
