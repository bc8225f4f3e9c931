"""The settings that plans name."""

import pytest

import rnntips as rt
from rnntips.tasks.settings import SETTINGS


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_a_task_of_its_name(name):
    """Whose sizes the name may leave out."""
    task = SETTINGS[name]()
    naive, floor, _ = task.bounds(rt.Recipe(past=max(16, getattr(task, "sampled", 0))), 0)
    assert task.name.startswith(name.removesuffix(", longer")) and 0 <= floor <= naive
