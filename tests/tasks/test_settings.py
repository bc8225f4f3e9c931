"""The settings that plans name."""

import pytest

import rnntips as rt
from rnntips.tasks.settings import SETTINGS


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_a_task_of_its_name(name):
    naive, floor, _ = SETTINGS[name]().bounds(rt.Recipe(past=16), 0)
    assert name == SETTINGS[name]().name and 0 <= floor <= naive
