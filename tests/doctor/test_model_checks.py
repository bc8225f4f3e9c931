"""`rt.doctor.check`: healthy models of many kinds get no finding, each fault its code, and the model stays as it is."""

import functools
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import rnntips as rt
from rnntips.doctor.report import codes
from rnntips.errors import BadArgument

B, T, C, K = 16, 12, 3, 1


def data(classes=0, every=False, seed=0):
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randn(B, T, C, generator=random)
    shape = (B, T) if every else (B,)
    if classes:
        return inputs, torch.randint(classes, shape, generator=random)
    return inputs, torch.randn(*shape, K, generator=random)


class Net(nn.Module):
    """A recurrent layer and a readout; keywords change it."""

    def __init__(self, cell=nn.GRU, outputs=K, every=False, act=None, index=-1, layers=1, **more):
        super().__init__()
        self.cell = cell(C, 16, layers, batch_first=more.pop("batch_first", True), **more)
        self.readout = nn.Linear(16 * (2 if self.cell.bidirectional else 1), outputs)
        self.every, self.act, self.index = every, act, index

    def forward(self, inputs):
        states, _ = self.cell(inputs)
        found = self.readout(states if self.every else states[:, self.index])
        return found if self.act is None else self.act(found)


class Loop(nn.Module):
    """A loop over steps, with a cell of PyTorch's."""

    def __init__(self, cell=nn.GRUCell, keep=True, **more):
        super().__init__()
        self.cell, self.readout, self.keep = cell(C, 16, **more), nn.Linear(16, K), keep

    def forward(self, inputs):
        state = None
        for step in inputs.unbind(1):
            state = self.cell(step, state if self.keep else None)
        return self.readout(state[0] if isinstance(state, tuple) else state)


class Words(nn.Module):
    """Whole numbers, an embedding, an LSTM, dropout."""

    def __init__(self, every=False):
        super().__init__()
        self.embed, self.cell = nn.Embedding(20, 8), nn.LSTM(8, 16, 2, batch_first=True, dropout=0.3)
        self.drop, self.readout, self.every = nn.Dropout(0.3), nn.Linear(16, 20), every

    def forward(self, inputs):
        states, _ = self.cell(self.embed(inputs))
        return self.readout(self.drop(states if self.every else states[:, -1]))


class Packed(nn.Module):
    """Padded sequences with their lengths."""

    def __init__(self, pack=True):
        super().__init__()
        self.cell, self.readout, self.pack = nn.GRU(C, 16, batch_first=True), nn.Linear(16, K), pack

    def forward(self, inputs, lengths):
        if self.pack:
            inputs = nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        return self.readout(self.cell(inputs)[1][-1])


class Stateful(nn.Module):
    """Keeps its state between calls, with its graph."""

    def __init__(self, detach=False):
        super().__init__()
        self.cell, self.readout, self.state, self.detach = (
            nn.LSTM(C, 16, batch_first=True),
            nn.Linear(16, K),
            None,
            detach,
        )

    def forward(self, inputs):
        states, self.state = self.cell(inputs, self.state)
        if self.detach:
            self.state = tuple(part.detach() for part in self.state)
        return self.readout(states[:, -1])


class Wide(Net):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(1, 16, batch_first=True)


class Residual(Net):
    """The last value and a change, which is zero at the start on purpose."""

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def forward(self, inputs):
        return inputs[:, -1, :1] + super().forward(inputs)


class Kinds(Net):
    """A whole number for each example that is not its length."""

    def __init__(self):
        super().__init__()
        self.kinds = nn.Embedding(6, K)

    def forward(self, inputs, kinds):
        return super().forward(inputs) + self.kinds(kinds)


class Translated(nn.Module):
    """An encoder reads the whole sequence before a decoder answers."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.GRU(C, 16, batch_first=True), nn.GRU(C, 16, batch_first=True)
        self.readout = nn.Linear(16, K)

    def forward(self, source, shown):
        return self.readout(self.decoder(shown, self.encoder(source)[1])[0])


class Half(Net):
    """Trained in half precision."""

    def __init__(self):
        super().__init__(outputs=2)

    def forward(self, inputs):
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(inputs)


def spoken(answers, targets):
    lengths = torch.full((answers.shape[1],), T), torch.full((answers.shape[1],), 4)
    return F.ctc_loss(answers, targets[: answers.shape[1]], *lengths)


def found(model, inputs, targets, loss=F.mse_loss, **more):
    torch.manual_seed(0)
    model = model() if isinstance(model, type) or not callable(getattr(model, "parameters", None)) else model
    return [one.code for one in rt.doctor.check(model, inputs, targets, loss, **more).findings]


def crossed(answers, targets):
    return F.cross_entropy(answers.flatten(0, 1), targets.flatten())


WORDS = torch.randint(20, (B, T), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([T - i % 5 for i in range(B)])
PADDED = data()[0] * (torch.arange(T) < LENGTHS[:, None])[..., None]
HEALTHY = {
    "GRU": (Net, *data()),
    "LSTM, stacked": (lambda: Net(nn.LSTM, layers=2), *data()),
    "tanh": (lambda: Net(nn.RNN), *data()),
    "ReLU": (lambda: Net(nn.RNN, nonlinearity="relu"), *data()),
    "two directions, one answer": (lambda: Net(bidirectional=True), *data()),
    "projected LSTM": (lambda: ProjectedNet(), *data()),
    "classes": (lambda: Net(outputs=5), *data(5), nn.CrossEntropyLoss()),
    "classes with weights": (lambda: Net(outputs=5), *data(5), nn.CrossEntropyLoss(weight=torch.arange(1.0, 6))),
    "log-probabilities": (lambda: Net(outputs=5, act=lambda x: x.log_softmax(-1)), *data(5), nn.NLLLoss()),
    "every step": (lambda: Net(every=True), *data(every=True)),
    "every step, classes": (lambda: Net(outputs=5, every=True), *data(5, True), crossed),
    "every step, classes second": (lambda: Net(outputs=5, every=True, act=lambda x: x.transpose(1, 2)), *data(5, True),
                                   nn.CrossEntropyLoss()),
    "flattened steps": (lambda: Net(outputs=5, every=True, act=lambda x: x.flatten(0, 1)), data(5, True)[0],
                        data(5, True)[1].flatten(), nn.CrossEntropyLoss()),
    "yes or no": (Net, data()[0], (data()[1] > 0).float(), nn.BCEWithLogitsLoss()),
    "probabilities": (lambda: Net(act=torch.sigmoid), data()[0], (data()[1] > 0).float(), nn.BCELoss()),
    "loop": (Loop, *data()),
    "loop, LSTM": (lambda: Loop(nn.LSTMCell), *data()),
    "words": (Words, WORDS, WORDS[:, -1], nn.CrossEntropyLoss()),
    "words, every step": (lambda: Words(True), WORDS, WORDS.roll(-1, 1), crossed),
    "packed": (Packed, (PADDED, LENGTHS), data()[1]),
    "several horizons": (lambda: Net(outputs=T), data()[0], torch.randn(B, T)),
    "a loss for each example": (Net, *data(), nn.MSELoss(reduction="none")),
    "mean and variance": (lambda: Net(outputs=2), *data(),
                          lambda a, t: F.gaussian_nll_loss(a[:, :1], t, a[:, 1:].exp())),
    "double": (lambda: Net().double(), *(part.double() for part in data())),
    "one example at a time": (Net, data()[0][:3], data()[1][:3]),
    "no axis of channels": (lambda: nn.Sequential(nn.Unflatten(1, (T, 1)), Wide()), data()[0][..., 0], data()[1]),
    "an autoencoder": (lambda: Net(every=True, outputs=C, bidirectional=True), data()[0], data()[0]),
    "the last value and a change": (Residual, data()[0], data()[1]),
    "a kind for each example": (Kinds, (data()[0], torch.arange(B) % 5 + 1), data()[1]),
    "two sequences": (Translated, (data()[0], data(seed=1)[0]), data(every=True)[1]),
    "one class": (lambda: Net(outputs=5), data()[0], torch.zeros(B).long(), nn.CrossEntropyLoss()),
    "half precision": (lambda: Half(), *data(2), nn.CrossEntropyLoss()),
    "CTC": (lambda: Net(outputs=6, every=True, bidirectional=True, act=lambda x: x.log_softmax(-1).transpose(0, 1)),
            data()[0], torch.randint(1, 6, (B, 4)), spoken),
    "convolution": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(T * C, 16), nn.ReLU(), nn.Linear(16, K)), *data()),
}  # fmt: skip


class ProjectedNet(Net):
    def __init__(self):
        super().__init__(nn.LSTM, proj_size=8)
        self.readout = nn.Linear(8, K)


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_models_of_many_kinds_get_no_finding(name):
    model, inputs, targets, *loss = HEALTHY[name]
    assert found(model, inputs, targets, *loss) == []


def biased(net, name, value):
    with torch.no_grad():
        dict(net.named_parameters())[name].add_(value)
    return net


def started(net, size):
    with torch.no_grad():
        for weight in net.cell.parameters():
            weight.normal_(0, size)
    return net


def spiral():
    net = Net(nn.RNN, nonlinearity="relu")
    with torch.no_grad():
        net.cell.weight_hh_l0.copy_(3 * torch.eye(16))
    return net


LEAK = torch.cat([data()[0], data()[1][:, None].expand(B, T, K)], 2)
FAULTY = {
    "batch_first forgotten": ("batch-mixed", lambda: Net(batch_first=False), *data()),
    "last example for last step": ("batch-mixed", lambda: Taken(), data()[0][:, :, :], data()[1]),
    "batch norm": ("batch-mixed", lambda: nn.Sequential(Net(outputs=4), nn.BatchNorm1d(4), nn.Linear(4, K)), *data()),
    "a state with its graph": ("batch-mixed", Stateful, *data()),
    "a state without": ("batch-mixed", lambda: Stateful(True), *data()),
    "(B,) and (B, 1)": ("shapes-broadcast", Net, data()[0], data()[1][:, 0]),
    "(B, 1) and (B,)": ("shapes-broadcast", lambda: Net(act=lambda x: x[:, 0]), *data()),
    "the same with the absolute error": ("shapes-broadcast", Net, data()[0], data()[1][:, 0], F.l1_loss),
    "first step": ("past-ignored", lambda: Net(index=0), *data()),
    "no state": ("past-ignored", lambda: Loop(keep=False), *data()),
    "one step": ("past-ignored", Net, data()[0][:, :1], data()[1]),
    "padding": ("padding-read", lambda: Packed(False), (PADDED, LENGTHS), data()[1]),
    "two directions": ("future-seen", lambda: Net(every=True, bidirectional=True), *data(every=True)),
    "the target as an input": ("future-seen", lambda: nn.Sequential(nn.Linear(C + K, C), Net()), LEAK, data()[1]),
    "targets that are not shifted": ("future-seen", lambda: Net(outputs=C, every=True), data()[0], data()[0]),
    "words that are not shifted": ("future-seen", lambda: Words(True), WORDS, WORDS, crossed),
    "the state taken by .data": ("gradient-vanishes", lambda: Cut(), *data()),
    "inputs in hundreds": ("input-scale", Net, 100 * data()[0] + 400, data()[1]),
    "inputs of a thousandth": ("input-scale", Net, data()[0] / 1000, data()[1]),
    "one large channel": ("input-scale", Net, data()[0] * torch.tensor([1, 1, 300.0]), data()[1]),
    "a gap": ("input-scale", Net, data()[0].masked_fill(torch.arange(T)[None, :, None] == 3, float("nan")), data()[1]),
    "tanh": ("target-unreachable", lambda: Net(act=torch.tanh), *data()),
    "sigmoid": ("target-unreachable", lambda: Net(act=torch.sigmoid), *data()),
    "ReLU": ("target-unreachable", lambda: Net(act=torch.relu), *data()),
    "targets in thousands": ("loss-at-start", Net, data()[0], 5000 + 100 * data()[1]),
    "NLLLoss on raw answers": ("loss-at-start", lambda: Net(outputs=5), *data(5), nn.NLLLoss()),
    "the wrong sign": ("loss-at-start", Net, *data(), lambda a, t: -F.mse_loss(a, t)),
    "softmax": ("softmax-twice", lambda: Net(outputs=5, act=lambda x: x.softmax(-1)), *data(5), nn.CrossEntropyLoss()),
    "sigmoid twice": ("softmax-twice", lambda: Net(act=torch.sigmoid), data()[0], (data()[1] > 0).float(),
                      nn.BCEWithLogitsLoss()),
    "large weights": ("gates-saturated", lambda: started(Net(nn.LSTM), 4), *data()),
    "large weights, loop": ("gates-saturated", lambda: started(Loop(), 4), *data()),
    "dead": ("dead-units", lambda: biased(Net(nn.RNN, nonlinearity="relu"), "cell.bias_ih_l0", -9.0), *data()),
    "dead, dense": ("dead-units", lambda: biased(nn.Sequential(Net(outputs=9), nn.ReLU(), nn.Linear(9, K)),
                                                 "0.readout.bias", -9.0), *data()),
    "small weights": ("gradient-vanishes", lambda: started(Net(nn.RNN), 0.001), *data()),
    "cut": ("gradient-vanishes", lambda: Net(act=lambda x: x.detach() + 0 * x.sum()), *data()),
    "steep": ("gradient-explodes", spiral, *data()),
    "dropout as a function": ("test-mode-differs", lambda: Net(act=lambda x: F.dropout(x, 0.5)), *data()),
    "argmax": ("cannot-fit-one-batch", lambda: Net(outputs=5, act=lambda x: x.argmax(-1, True).float()), *data()),
    "wrong size": ("does-not-run", Net, data()[0][:, :, :2], data()[1]),
}  # fmt: skip


class Taken(Net):
    """Reads the last example's states in place of the last step's; here there are as many steps as examples."""

    def forward(self, inputs):
        inputs = torch.cat([inputs, inputs[:, : B - T]], 1)
        return self.readout(self.cell(inputs)[0][-1])


class Cut(Loop):
    def forward(self, inputs):
        state = None
        for step in inputs.unbind(1):
            state = self.cell(step, None if state is None else state.data)
        return self.readout(state)


@pytest.mark.parametrize("name", FAULTY)
def test_each_fault_gets_its_code(name):
    code, model, inputs, targets, *loss = FAULTY[name]
    named = found(model, inputs, targets, *loss)
    assert code in named and (named[0] == code or code == "cannot-fit-one-batch"), named


def snapshot(model):
    part = {name: value.clone() for name, value in model.state_dict().items()}
    grads = {name: None if value.grad is None else value.grad.clone() for name, value in model.named_parameters()}
    return part, grads, [each.training for each in model.modules()]


def same(one, other):
    return one is other is None or torch.equal(one, other)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("how", ["module", "function", "partial", "method"])
def test_the_model_and_the_random_numbers_stay_as_they_are(training, how):
    torch.manual_seed(0)
    model = nn.Sequential(Net(nn.LSTM, outputs=4, layers=2, dropout=0.3), nn.BatchNorm1d(4), nn.Linear(4, K))
    inputs, targets = data()
    model.train(training)
    F.mse_loss(model(inputs), targets).backward()
    asked = {"module": model, "function": lambda x: model(x), "method": model.forward,
             "partial": functools.partial(lambda net, x: net(x), model)}[how]  # fmt: skip
    before, states = snapshot(model), (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    copies = inputs.clone(), targets.clone()
    report = rt.doctor.check(asked, inputs, targets, F.mse_loss)
    assert "batch-mixed" in [one.code for one in report.findings]
    after = snapshot(model)
    for old, new in zip(before[:2], after[:2], strict=True):
        assert all(same(old[name], new[name]) for name in old)
    assert before[2] == after[2] and torch.equal(inputs, copies[0]) and torch.equal(targets, copies[1])
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[2]
    assert (np.random.get_state()[1] == states[1]).all()
    assert "cannot-fit-one-batch" in report.values, "a function's weights are found, so that it can be trained"


def test_a_loss_that_knows_the_weights_leaves_them_without_gradients():
    class Penalty:
        """It cannot be copied, since it holds a generator, and so knows the model itself."""

        def __init__(self, model):
            self.model, self.open = model, (number for number in range(3))

        def loss(self, answers, targets):
            return F.mse_loss(answers, targets) + 1e-4 * sum(w.square().sum() for w in self.model.parameters())

    model = Net()
    report = rt.doctor.check(model, *data(), Penalty(model).loss)
    assert report.ok and all(weight.grad is None for weight in model.parameters())


def test_a_state_that_is_kept_stays_as_it_is():
    model, (inputs, targets) = Stateful(True), data()
    model(inputs)
    kept = model.state
    rt.doctor.check(model, inputs, targets, F.mse_loss)
    assert model.state is kept


def test_time_first():
    inputs, targets = data()
    assert found(lambda: Net(batch_first=False, index=slice(None)), inputs, targets)  # as if it were the batch
    model = Net(batch_first=False)
    last = lambda x: model.readout(model.cell(x)[0][-1])  # noqa: E731
    torch.manual_seed(0)
    assert rt.doctor.check(last, inputs.transpose(0, 1), targets, F.mse_loss, batch_first=False).ok
    swapped = rt.doctor.check(Net(), inputs.transpose(0, 1).repeat(1, 1, 1)[:, :T], targets[:T], F.mse_loss,
                              batch_first=True)  # fmt: skip
    assert swapped.values["batch-mixed"] == 0  # nothing can tell that (T, B, C) was meant


def test_a_finding_says_what_was_measured_what_is_healthy_why_and_what_to_do():
    inputs, targets = data()
    report = rt.doctor.check(Net(), inputs, targets[:, 0], F.mse_loss)
    one = report.findings[0]
    assert "(16, 1)" in one.measured and "(16,)" in one.measured and one.why and one.do and one.healthy
    assert "1. shapes-broadcast" in repr(report) and "Not tested" in repr(report)
    assert "padding-read" in report.untested
    assert repr(rt.doctor.check(Net(), inputs, targets, F.mse_loss)).startswith("Nothing unusual.")


def test_padding_at_the_front_is_not_judged_by_lengths():
    inputs, targets = data()
    front = inputs * (torch.arange(T) >= T - LENGTHS[:, None])[..., None]
    report = rt.doctor.check(Net(), front, targets, F.mse_loss, lengths=LENGTHS)
    assert "padding-read" in report.untested


def test_findings_come_in_causal_order():
    inputs, targets = data()
    named = found(lambda: Net(batch_first=False, act=torch.tanh), 100 * inputs + 400, targets[:, 0])
    order = [code for code in codes() if code in named]
    assert named == order and len(named) > 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"inputs": [[1.0]]}, "inputs"), ({"inputs": torch.ones(5)}, "inputs"), ({"targets": 3}, "targets"),
     ({"targets": torch.ones(7)}, "batch_first=False"), ({"model": 3}, "model"), ({"loss": "mse"}, "loss"),
     ({"inputs": nn.utils.rnn.pack_sequence([*data()[0]])}, "PackedSequence"),
     ({"inputs": torch.ones(2, T, C), "targets": torch.ones(2, 1)}, "at least 3")],
)  # fmt: skip
def test_what_cannot_be_tested_is_refused_in_words(changes, words):
    inputs, targets = data()
    given = {"model": Net(), "inputs": inputs, "targets": targets, "loss": F.mse_loss} | changes
    with pytest.raises(BadArgument, match=words):
        rt.doctor.check(**given)
