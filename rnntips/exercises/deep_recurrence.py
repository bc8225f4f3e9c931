"""The exercise of the lesson on deep recurrence: count the weights of a stack."""

from rnntips.exercises._exercise import Exercise

__all__ = ["count_weights"]

CASES = (3, 10, 32, 32), (2, 7, 1, 1), (1, 5, 4, 2), (4, 3, 6, 8)


def _solution(layers, width, channels, outputs):
    below, total = channels, 0
    for _ in range(layers):
        total += 3 * (width * below + width * width + 2 * width)
        below = width
    return total + width * outputs + outputs


def _judge(answer) -> str | None:
    for layers, width, channels, outputs in CASES:
        returned = answer(layers, width, channels, outputs)
        try:
            mine = float(returned)
        except (TypeError, ValueError):
            return f"return one number, not {type(returned).__name__}."
        right = _solution(layers, width, channels, outputs)
        if mine != right:
            return _diagnose(layers, width, channels, outputs, mine)
    return None


def _diagnose(layers: int, width: int, channels: int, outputs: int, mine: float) -> str:
    """What is wrong with a count."""
    right, readout = _solution(layers, width, channels, outputs), width * outputs + outputs
    first, square, biases = 3 * width * channels, 3 * width * width, 6 * width
    stack = right - readout
    known = [
        (stack, "the readout is missing: width × outputs weights, and a bias for each output."),
        (right - outputs, "the readout's biases are missing."),
        (right - layers * biases, "the biases are missing. PyTorch's GRU has two for each gate and unit."),
        (stack - layers * biases, "biases and readout are missing."),
        (right - layers * biases // 2,
         "PyTorch's GRU has two biases for each gate and unit: one beside the inputs, one beside the past."),
        (layers * (first + square + biases) + readout,
         "only the first layer reads the channels. The others read the layer below, which has `width` units."),
        (layers * (2 * square + biases) + readout,
         "the first layer reads the channels, not a layer of `width` units."),
        (stack // 3 + readout, "a GRU has three of everything: two gates and a candidate."),
        (stack // 3 * 4 + readout, "that is an LSTM, which has four of everything. A GRU has three."),
        (first + layers * square + layers * biases + readout,
         "the connections from layer to layer are missing: width × width, three times, for every layer but the first."),
        (right - layers * square, "every layer also reads its own past: width × width, three times, in each of them."),
        (right - square, "one width × width is missing: all layers read their own past, all but the first a layer."),
        (first + square + biases + readout, "that is one layer. There are `layers` of them."),
        (first + square, "that is one layer's matrices. Add biases, the other layers and the readout."),
    ]  # fmt: skip
    for value, message in known:
        if mine == value:
            return message
    return (f"{layers} layers of {width} units, {channels} channels and {outputs} outputs have {right} weights; "
            f"you count {mine:g}.")  # fmt: skip


count_weights = Exercise(
    "count_weights",
    _judge,
    hints=(
        "What does the second layer read: the channels, or the first layer?",
        "A layer has 3 × (width × below + width × width + 2 × width) weights; `below` is what it reads.",
        "below is channels for the first layer and width for the others. The readout has width × outputs + outputs.",
    ),
    solution=_solution,
)
