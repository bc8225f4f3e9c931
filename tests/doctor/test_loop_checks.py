"""`rt.doctor.watch`: loops with one fault, loops without, and that nothing of a loop changes."""

import contextlib

import pytest
import torch
from torch import nn

import rnntips as rt
from rnntips.errors import BadArgument

B, T, UPDATES = 16, 12, 40
WAVE = torch.sin(torch.arange(4000) / 7)[:, None] + 0.01 * torch.randn(
    4000, 1, generator=torch.Generator().manual_seed(0)
)


class Net(nn.Module):
    def __init__(self, cell=nn.GRU):
        super().__init__()
        self.cell, self.readout = cell(1, 16, batch_first=True), nn.Linear(16, 1)

    def forward(self, inputs, state=None):
        states, after = self.cell(inputs, state)
        return self.readout(states[:, -1]), after


def batches(order="shuffled", seed=0):
    random = torch.Generator().manual_seed(seed)
    for update in range(UPDATES):
        if order == "shuffled":
            starts = torch.randint(len(WAVE) - T - 1, (B,), generator=random)
        else:  # window i of a batch goes on where window i of the one before ended
            starts = torch.arange(B) * (len(WAVE) // B) // 2 + update * T % 100
        yield torch.stack([WAVE[s : s + T] for s in starts]), torch.stack([WAVE[s + T] for s in starts])


def train(fault="", watched=True, cell=nn.GRU, rule=torch.optim.Adam, **options):
    """A loop with a fault; the watcher, the losses and the model."""
    torch.manual_seed(0)
    net = Net(cell)
    optimizer = rule((Net(cell) if fault == "other" else net).parameters(), lr=options.get("lr", 0.01))
    clip, losses, state = nn.utils.clip_grad_norm_, [], None
    if fault == "frozen":
        net.requires_grad_(False)
        net.readout.requires_grad_(True)
    context = rt.doctor.watch(net, optimizer) if watched else contextlib.nullcontext()
    with context as seen:
        for update, (inputs, targets) in enumerate(batches("in order" if fault == "in order" else "shuffled")):
            if fault == "gap" and update == 12:
                inputs[2, 3] = float("nan")
            answers, after = net(inputs, state)
            if fault in ("carried", "in order"):
                state = tuple(s.detach() for s in after) if isinstance(after, tuple) else after.detach()
            elif fault in ("graph", "retain"):
                state = after
            loss = nn.functional.mse_loss(answers.detach().requires_grad_() if fault == "cut" else answers, targets)
            if fault == "root":
                loss = (loss - loss).sqrt()  # the gradient of a root at 0 is infinite
            if fault == "twice":  # two losses a step are no fault
                nn.functional.l1_loss(net(inputs)[0], targets).backward()
            if fault != "zero":
                optimizer.zero_grad(set_to_none=fault != "in place") if fault != "twice" else None
            loss.backward(retain_graph=fault == "retain")
            if fault in ("clip", "tiny"):
                clip(net.parameters(), 1e-4 if fault == "tiny" else 1.0)
            if fault != "never":
                optimizer.step()
            if fault == "late":
                clip(net.parameters(), 1e9)
            if fault == "twice":
                optimizer.zero_grad()
            losses.append(float(loss.detach()))
            if update % 10 == 9:
                with torch.no_grad():
                    net(inputs)
    return seen, losses, net


FAULTS = {
    "zero": "gradients-not-zeroed", "late": "clipped-after-step", "other": "weights-not-moving",
    "never": "weights-not-moving", "cut": "weights-not-moving", "tiny": "mostly-clipped",
    "carried": "state-crosses-shuffled-batches", "gap": "diverged", "root": "diverged",
}  # fmt: skip


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_loop_gets_its_code(fault, cell):
    seen, _, _ = train(fault, cell=cell)
    assert [one.code for one in seen.report.findings][:1] == [FAULTS[fault]], seen.report


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM, nn.RNN])
@pytest.mark.parametrize("fault", ["", "in place", "clip", "twice", "in order", "frozen"])
def test_loops_without_a_fault_get_no_finding(fault, cell):
    seen, _, _ = train(fault, cell=cell)
    assert seen.report.ok, seen.report


@pytest.mark.parametrize(
    ("lr", "rule", "code"),
    [(1e-7, torch.optim.Adam, "weights-not-moving"), (1e-6, torch.optim.SGD, "weights-not-moving"),
     (0.5, torch.optim.Adam, "step-too-large"), (100.0, torch.optim.SGD, "step-too-large")],
)  # fmt: skip
def test_learning_rates(lr, rule, code):
    seen, _, _ = train(lr=lr, rule=rule)
    assert seen.report.findings[0].code == code
    for usual in ((0.001, torch.optim.Adam), (0.03, torch.optim.Adam), (0.1, torch.optim.SGD)):
        assert train(lr=usual[0], rule=usual[1])[0].report.ok


def test_nothing_of_the_loop_changes():
    for cell in (nn.GRU, nn.LSTM):
        seen, losses, net = train("clip", cell=cell)
        _, plain, other = train("clip", watched=False, cell=cell)
        assert losses == plain
        assert all(torch.equal(one, two) for one, two in zip(net.parameters(), other.parameters(), strict=True))
        assert "zero_grad" not in vars(seen.optimizer) and not seen.hooks
        assert not net._forward_hooks and not net._forward_pre_hooks
        assert not any(weight._backward_hooks or weight._post_accumulate_grad_hooks for weight in net.parameters())


@pytest.mark.parametrize(("fault", "text"), [("graph", "second time"), ("retain", "inplace operation")])
def test_the_readers_own_error_carries_the_finding(fault, text):
    with pytest.raises(RuntimeError, match=text) as caught:
        train(fault)
    assert "graph-grows" in caught.value.__notes__[0] and "detach" in caught.value.__notes__[0]


def test_other_errors_pass_as_they_are():
    with pytest.raises(ZeroDivisionError) as other, rt.doctor.watch(Net(), torch.optim.SGD(Net().parameters(), 1)):
        raise ZeroDivisionError
    assert not hasattr(other.value, "__notes__") or "graph-grows" not in other.value.__notes__[0]


def test_a_divergence_is_told_with_its_update_and_tensor():
    assert "update 13 the inputs" in train("gap")[0].report.findings[0].measured
    measured = train("root")[0].report.findings[-1].measured
    assert "update 1 " in measured and "gradient" in measured
    seen, _, _ = train(lr=1e30, rule=torch.optim.SGD)
    assert "weight" in next(one for one in seen.report.findings if one.code == "diverged").measured


def test_several_modules_and_a_state_that_one_keeps():
    cell, readout = nn.GRU(1, 8, batch_first=True), nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *readout.parameters()], 0.01)
    with rt.doctor.watch([cell, readout], optimizer) as seen:
        for inputs, targets in batches():
            optimizer.zero_grad()
            nn.functional.mse_loss(readout(cell(inputs)[0][:, -1]), targets).backward()
            optimizer.step()
    assert seen.report.ok and seen.report.values["weights-not-moving"] > 0

    class Keeping(Net):
        state = None

        def forward(self, inputs):
            answers, after = super().forward(inputs, self.state)
            self.state = after.detach()
            return answers

    net = Keeping()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    with rt.doctor.watch(net, optimizer) as seen:
        for inputs, targets in batches():
            optimizer.zero_grad()
            nn.functional.mse_loss(net(inputs), targets).backward()
            optimizer.step()
    assert [one.code for one in seen.report.findings] == ["state-crosses-shuffled-batches"]


def test_two_optimizers_share_a_model():
    net = Net()
    first, second = torch.optim.Adam(net.cell.parameters(), 0.01), torch.optim.SGD(net.readout.parameters(), 0.01)
    with rt.doctor.watch(net, first) as seen:
        for inputs, targets in batches():
            for optimizer in (first, second):
                optimizer.zero_grad()
            nn.functional.mse_loss(net(inputs)[0], targets).backward()
            for optimizer in (first, second):
                optimizer.step()
    assert seen.report.ok


def simply(net, optimizer=None, evaluate=lambda net, inputs: None, gradients="backward"):
    optimizer = optimizer or torch.optim.Adam(net.parameters(), 0.01)
    with rt.doctor.watch(net, optimizer) as seen:
        for inputs, targets in batches():
            answers = net(inputs)
            loss = nn.functional.mse_loss(answers[0] if isinstance(answers, tuple) else answers, targets)
            if gradients == "backward":
                optimizer.zero_grad()
                loss.backward()
            else:
                weights = list(net.parameters())
                for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                    weight.grad = gradient
            optimizer.step()
            evaluate(net, inputs)
    return [one.code for one in seen.report.findings]


def test_gradients_that_are_replaced_or_of_other_weights_are_not_added():
    net = Net()
    assert simply(net, gradients="replaced") == []
    assert "gradients-not-zeroed" not in simply(net, torch.optim.Adam(net.readout.parameters(), 0.01))


@torch.no_grad()
def forgotten(net, inputs):
    net(inputs)


@torch.no_grad()
def switched(net, inputs):
    net.eval()
    net(inputs)
    net.train()


def test_dropout_is_on_in_training_alone():
    class Dropped(Net):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.1)

        def forward(self, inputs):
            return self.readout(self.drop(self.cell(inputs)[0][:, -1]))

    torch.manual_seed(0)
    assert simply(Dropped()) == [] == simply(Dropped(), evaluate=switched)
    assert simply(Dropped().eval()) == ["test-mode-differs"] == simply(Dropped(), evaluate=forgotten)
    assert simply(Net(), evaluate=forgotten) == []  # without dropout the mode does not matter


def test_layers_in_a_plain_list_are_told():
    class Listed(Net):
        def __init__(self):
            super().__init__()
            self.more = [nn.Linear(1, 1)]

        def forward(self, inputs):
            return self.more[0](super().forward(inputs)[0])

    assert simply(Listed()) == ["weights-not-moving"]


def test_few_updates_say_little():
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    with rt.doctor.watch(net, optimizer) as seen:
        assert seen.report.ok and "weights-not-moving" in seen.report.untested
    assert seen.report.ok


@pytest.mark.parametrize(("model", "optimizer"), [(3, None), ([], None), (Net(), 3)])
def test_what_cannot_be_watched_is_refused(model, optimizer):
    with pytest.raises(BadArgument):
        rt.doctor.watch(model, optimizer or torch.optim.SGD(Net().parameters(), 1))
    with pytest.raises(BadArgument):
        rt.doctor.watch(Net(), 3)
