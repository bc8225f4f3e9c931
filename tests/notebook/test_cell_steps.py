"""The cell that is stepped through: its numbers are those of `torch.nn.RNN`, and so is the gradient's way back."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from rnntips.errors import BadArgument
from rnntips.lessons.an_rnn_in_ten_minutes.figure import forecast, gradient_by_step, way_back
from rnntips.notebook.cell_steps import CellSteps

RNG = np.random.default_rng(5)
SIZES = {"inputs": (6, 2), "W": (3, 2), "U": (3, 3), "b": 3, "v": 3}
GIVEN = {name: RNG.normal(size=size) for name, size in SIZES.items()}


def test_states_and_forecasts_are_those_of_torchs_cell():
    steps, cell = CellSteps(**GIVEN), nn.RNN(2, 3, batch_first=True).double()
    with torch.no_grad():
        for weight, name in zip(cell.parameters(), ("W", "U", "b", None), strict=True):
            weight.copy_(torch.tensor(GIVEN[name] if name else np.zeros(3)))
        states = cell(torch.tensor(GIVEN["inputs"][None]))[0][0].numpy()
    np.testing.assert_allclose(steps.states, np.vstack([np.zeros(3), states]), rtol=1e-12)
    np.testing.assert_allclose(steps.forecasts, states @ GIVEN["v"], rtol=1e-12)


def test_every_step_is_drawn_and_read_out():
    steps = CellSteps(**GIVEN)
    for t in range(6, 0, -1):
        steps.step.value = t
        (said,) = re.findall(r'aria-label="(Step [^"]*)"', steps.picture.value)
        numbers = [*steps.inputs[t - 1], *steps.states[t - 1], *steps.states[t], steps.forecasts[t - 1]]
        assert said.startswith(f"Step {t} of 6: ")
        assert re.findall(r"−?\d\.\d\d", said) == [f"{number:.2f}".replace("-", "−") for number in numbers]
        drawn = re.findall(r">(−?\d\.\d\d)</text>", steps.picture.value)
        assert drawn == re.findall(r"−?\d\.\d\d", said)
        inside, new = re.search(r"tanh\(([^)]*)\) = (−?\d\.\d\d)<", steps.picture.value).groups()
        assert re.findall(r"from [a-z ]*[a-z]", inside) == ["from the input", "from the state before", "from b"]
        terms = [float(sign.replace("−", "-") + number) for sign, number in re.findall(r"(−?) ?(\d\.\d\d)", inside)]
        x, before = steps.inputs[t - 1], steps.states[t - 1]
        assert terms == pytest.approx([GIVEN["W"][0] @ x, GIVEN["U"][0] @ before, GIVEN["b"][0]], abs=0.0051)
        assert np.tanh(sum(terms)) == pytest.approx(float(new.replace("−", "-")), abs=0.02)
    shown = steps._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= shown.keys()


@pytest.mark.parametrize("name", SIZES)
def test_shapes_that_do_not_fit_are_refused(name):
    with pytest.raises(BadArgument, match=re.escape("(T, C), (H, C), (H, H), (H,), (H,) are needed")):
        CellSteps(**GIVEN | {name: np.zeros((4, 4, 4) if name == "inputs" else 5)})


def test_the_gradient_s_way_back_is_that_of_the_formula():
    """By hand in float64: a step back multiplies with the slope of tanh and the transposed U."""
    rng = np.random.default_rng(0)
    inputs, targets = (torch.tensor(rng.normal(size=size), dtype=torch.float32) for size in ((7, 9, 1), (7, 1)))
    torch.manual_seed(0)
    cell, readout = nn.RNNCell(1, 24).double(), nn.Linear(24, 1).double()
    torch.manual_seed(0)
    for made, drawn in ((cell, nn.RNNCell(1, 24)), (readout, nn.Linear(24, 1))):
        made.load_state_dict(drawn.state_dict())
    W, U, b, c = (value.detach().numpy() for value in cell.parameters())
    v, offset = (value.detach().numpy() for value in readout.parameters())
    states = [np.zeros((7, 24))]
    for t in range(9):
        states.append(np.tanh(inputs[:, t].numpy() @ W.T + states[-1] @ U.T + b + c))
    gradient, norms = 2 * (states[-1] @ v.T + offset - targets.numpy()) @ v, []
    for state in states[:0:-1]:
        norms.append(np.linalg.norm(gradient, axis=1).mean())
        gradient = (gradient * (1 - state**2)) @ U
    np.testing.assert_allclose(gradient_by_step(inputs, targets), norms, rtol=1e-4)
    ax = way_back(inputs, targets)
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), np.array(norms) / norms[0], rtol=1e-4)
    factors = [text.get_text() for text in ax.figure.axes[0].texts if text.get_text().startswith("×")]
    assert factors == [f"× {norms[k + 1] / norms[k]:.2f}" for k in range(5)]


def test_a_network_that_repeats_the_last_value_is_drawn_upon_naive():
    values = torch.tensor(RNG.normal(size=(100, 1)), dtype=torch.float32)
    windows, following = values[:-1].unfold(0, 6, 1).transpose(1, 2), values[6:]
    ax = forecast(lambda inputs: inputs[:, -1], list(zip(windows.split(32), following.split(32), strict=True)))
    naive, came, network = (dict(line.get_xydata()) for line in ax.get_lines())
    assert naive == {hour: value for hour, value in network.items() if hour > 0}
    assert list(came.values()) == following[:48, 0].tolist() and list(came) == [k / 2 for k in range(48)]
