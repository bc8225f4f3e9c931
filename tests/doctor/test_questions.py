"""What people ask when their recurrent network does not train: seventeen small programs, and what the doctor says.

Each is the kind of program that such questions show, written anew on a wave, on noise or on symbols.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import rnntips as rt

B, T, H = 32, 20, 16
SERIES = torch.sin(torch.arange(3000) / 5) + 0.1 * torch.randn(3000, generator=torch.Generator().manual_seed(0))


def windows(count=B, seed=0):
    """Windows of the wave (B, T, 1) and the value after each (B, 1)."""
    starts = torch.randint(len(SERIES) - T - 1, (count,), generator=torch.Generator().manual_seed(seed))
    return (torch.stack([SERIES[s : s + T, None] for s in starts]), SERIES[starts + T, None])


class Forecaster(nn.Module):
    def __init__(self, cell=nn.LSTM, channels=1, **more):
        super().__init__()
        self.cell, self.readout = cell(channels, H, **{"batch_first": True} | more), nn.Linear(H, 1)

    def forward(self, inputs):
        return self.readout(self.cell(inputs)[0][:, -1])


def first(report):
    return report.findings[0].code if report.findings else None


def looped(model, lr=0.01, updates=60, before=None, after=None, zero=True, size=B):
    """A usual loop around a model, watched."""
    optimizer = torch.optim.Adam(model.parameters(), lr)
    with rt.doctor.watch(model, optimizer) as seen:
        for update in range(updates):
            inputs, targets = windows(size, update)
            loss = F.mse_loss(model(inputs), targets)
            if zero:
                optimizer.zero_grad()
            loss.backward()
            if before:
                before(model)
            optimizer.step()
            if after:
                after(model)
    return seen.report


def forecasts_are_all_the_same_axes_swapped():
    return rt.doctor.check(Forecaster(batch_first=False), *windows(), F.mse_loss)


def every_example_gets_its_neighbours_answer_view_for_transpose():
    model = Forecaster(batch_first=False)

    def answers(inputs):
        return model.readout(model.cell(inputs.view(T, len(inputs), 1))[0][-1])

    return rt.doctor.check(answers, *windows(), F.mse_loss)


def which_index_is_the_last_step():
    class Last(Forecaster):
        def forward(self, inputs):
            return self.readout(self.cell(inputs)[0][:, 0])

    return rt.doctor.check(Last(), *windows(), F.mse_loss)


def input_size_or_sequence_length():
    inputs, targets = windows()
    return rt.doctor.check(Forecaster(channels=T), inputs.transpose(1, 2), targets, F.mse_loss)


def loss_stays_at_the_variance_b_against_b_1():
    inputs, targets = windows()
    return rt.doctor.check(Forecaster(), inputs, targets.squeeze(1), nn.MSELoss())


def trying_to_backward_a_second_time():
    class Stateful(Forecaster):
        state = None

        def forward(self, inputs):
            states, self.state = self.cell(inputs, self.state)
            return self.readout(states[:, -1])

    with pytest.raises(RuntimeError) as caught:
        looped(Stateful())
    return rt.doctor.report.Report(()) if "graph-grows" not in caught.value.__notes__[0] else _named("graph-grows")


def _named(code):
    return rt.doctor.report.report({code: rt.doctor.report.Seen(1, "")})


def do_i_keep_the_state_while_shuffling():
    class Stateful(Forecaster):
        state = None

        def forward(self, inputs):
            states, state = self.cell(inputs, self.state)
            self.state = tuple(part.detach() for part in state)
            return self.readout(states[:, -1])

    return looped(Stateful())


def gradients_still_explode_although_i_clip():
    return looped(Forecaster(), after=lambda model: nn.utils.clip_grad_norm_(model.parameters(), 1.0))


def loss_goes_up_and_down_zero_grad_forgotten():
    return looped(Forecaster(), zero=False)


def padded_sequences_learn_nothing():
    inputs, targets = windows()
    lengths = torch.randint(4, T + 1, (B,), generator=torch.Generator().manual_seed(1))
    inputs = inputs * (torch.arange(T) < lengths[:, None])[..., None]
    return rt.doctor.check(Forecaster(), inputs, targets, F.mse_loss, lengths=lengths)


def training_is_perfect_and_live_forecasts_are_useless():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.readout = nn.GRU(1, H, batch_first=True, bidirectional=True), nn.Linear(2 * H, 1)

        def forward(self, inputs):
            return self.readout(self.cell(inputs)[0])

    inputs, _ = windows()
    return rt.doctor.check(Tagger(), inputs[:, :-1], inputs[:, 1:], F.mse_loss)


def negative_values_are_never_forecast():
    model = Forecaster()
    return rt.doctor.check(lambda inputs: torch.relu(model(inputs)), *windows(), F.mse_loss)


def accuracy_is_stuck_softmax_and_cross_entropy():
    model = nn.Sequential(Forecaster(), nn.Linear(1, 3), nn.Softmax(dim=1))
    inputs, targets = windows()
    return rt.doctor.check(model, inputs, 1 + targets[:, 0].sign().long(), nn.CrossEntropyLoss())


def prices_are_answered_with_their_mean():
    inputs, targets = windows()
    return rt.doctor.check(Forecaster(), 30_000 + 4_000 * inputs, 30_000 + 4_000 * targets, F.mse_loss)


def the_loss_does_not_change_at_all():
    model, other = Forecaster(), Forecaster()
    optimizer = torch.optim.Adam(other.parameters(), 0.01)
    with rt.doctor.watch(model, optimizer) as seen:
        for update in range(40):
            inputs, targets = windows(seed=update)
            optimizer.zero_grad()
            F.mse_loss(model(inputs), targets).backward()
            optimizer.step()
    return seen.report


def the_loss_is_nan_after_some_updates():
    model = Forecaster(nn.RNN)
    holed = [windows(seed=update) for update in range(30)]
    holed[17][0][5, 3] = float("nan")
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    with rt.doctor.watch(model, optimizer) as seen:
        for inputs, targets in holed:
            optimizer.zero_grad()
            F.mse_loss(model(inputs), targets).backward()
            optimizer.step()
    return seen.report


def the_forecast_is_the_series_one_step_late():
    walk = torch.cumsum(torch.randn(500, generator=torch.Generator().manual_seed(0)), 0)
    late = 0.98 * torch.cat([walk[:1], walk[:-1]])
    return rt.doctor.read(predictions=late, targets=walk)


QUESTIONS = {
    forecasts_are_all_the_same_axes_swapped: "batch-mixed",
    every_example_gets_its_neighbours_answer_view_for_transpose: "batch-mixed",
    which_index_is_the_last_step: "past-ignored",
    input_size_or_sequence_length: "past-ignored",
    loss_stays_at_the_variance_b_against_b_1: "shapes-broadcast",
    trying_to_backward_a_second_time: "graph-grows",
    do_i_keep_the_state_while_shuffling: "state-crosses-shuffled-batches",
    gradients_still_explode_although_i_clip: "clipped-after-step",
    loss_goes_up_and_down_zero_grad_forgotten: "gradients-not-zeroed",
    padded_sequences_learn_nothing: "padding-read",
    training_is_perfect_and_live_forecasts_are_useless: "future-seen",
    negative_values_are_never_forecast: "target-unreachable",
    accuracy_is_stuck_softmax_and_cross_entropy: "softmax-twice",
    prices_are_answered_with_their_mean: "input-scale",
    the_loss_does_not_change_at_all: "weights-not-moving",
    the_loss_is_nan_after_some_updates: "diverged",
    the_forecast_is_the_series_one_step_late: "repeats-last-value",
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda asked: asked.__name__)
def test_the_first_finding_answers_the_question(asked, seed):
    torch.manual_seed(seed)
    assert first(asked()) == QUESTIONS[asked]


def test_the_same_without_the_fault_gets_none():
    torch.manual_seed(0)
    assert rt.doctor.check(Forecaster(), *windows(), F.mse_loss).ok
    assert looped(Forecaster(), before=lambda model: nn.utils.clip_grad_norm_(model.parameters(), 1.0)).ok
