"""Which processor trains: what is asked for in a call, else what the environment names, else the CPU."""

import pytest
import torch

import rnntips as rt
from rnntips.engine.devices import resolve_device
from rnntips.errors import BadArgument, NoDevice


@pytest.mark.parametrize(
    ("asked", "named", "found"),
    [("auto", None, "cpu"), ("auto", "", "cpu"), ("auto", "cpu", "cpu"), ("auto", "cuda", "cuda"),
     ("cpu", "cuda", "cpu"), ("cuda", "cpu", "cuda"), ("cuda", None, "cuda")],
)  # fmt: skip
def test_a_gpu_is_used_by_those_who_ask_for_it(asked, named, found, monkeypatch):
    """In the call, or for all calls that ask for nothing, in the environment; a call stands above the environment."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("RNNTIPS_DEVICE", raising=False)
    if named is not None:
        monkeypatch.setenv("RNNTIPS_DEVICE", named)
    assert resolve_device(asked) == found


@pytest.mark.parametrize(("named", "words"), [("cuda", "^RNNTIPS_DEVICE=cuda: .*no GPU"),
                                              ("gpu", '^RNNTIPS_DEVICE=gpu: "cpu" or "cuda"')])  # fmt: skip
def test_the_environment_is_blamed_for_what_it_asked(named, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("RNNTIPS_DEVICE", named)
    with pytest.raises(BadArgument, match=words):
        resolve_device("auto")
    assert resolve_device("cpu") == "cpu"


def test_a_gpu_that_is_not_there_is_an_error_in_words_unless_others_compute(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NoDevice, match="sees no GPU here"):
        rt.train(rt.Recipe(updates=1), rt.series.sines(steps=600), [0], device="cuda")
    assert resolve_device("cuda", away=True) == "cuda"
