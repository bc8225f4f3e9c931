"""The exercise of the lesson on deep recurrence: count the weights of a stack."""

from rnntips.notebook.exercise import Exercise

__all__ = ["count_weights"]


def _count_weights(layers, width, channels, outputs):
    below, total = channels, 0
    for _ in range(layers):
        total += 3 * (width * below + width * width + 2 * width)
        below = width
    return total + width * outputs + outputs


def _stack(layers, width, channels):
    return _count_weights(layers, width, channels, 0)


count_weights = Exercise(
    "count_weights", _count_weights, cases=[(3, 10, 32, 32), (2, 7, 1, 1), (1, 5, 4, 2), (4, 3, 6, 8)],
    hints=(
        "What does the second layer read: the channels, or the first layer?",
        "A layer has 3 × (width × below + width × width + 2 × width) weights; `below` is what it reads.",
        "below is channels for the first layer and width for the others. The readout has width × outputs + outputs."),
    mistakes=(  # of L layers of width H, C channels and K outputs
        (lambda L, H, C, K: _stack(L, H, C),
         "the readout is missing: width × outputs weights, and a bias for each output."),
        (lambda L, H, C, K: _stack(L, H, C) + H * K, "the readout's biases are missing."),
        (lambda L, H, C, K: _count_weights(L, H, C, K) - 6 * L * H,
         "the biases are missing. PyTorch's GRU has two for each gate and unit."),
        (lambda L, H, C, K: _stack(L, H, C) - 6 * L * H, "biases and readout are missing."),
        (lambda L, H, C, K: _count_weights(L, H, C, K) - 3 * L * H,
         "PyTorch's GRU has two biases for each gate and unit: one beside the inputs, one beside the past."),
        (lambda L, H, C, K: L * _stack(1, H, C) + H * K + K,
         "only the first layer reads the channels. The others read the layer below, which has `width` units."),
        (lambda L, H, C, K: _count_weights(L, H, H, K),
         "the first layer reads the channels, not a layer of `width` units."),
        (lambda L, H, C, K: _stack(L, H, C) // 3 + H * K + K,
         "a GRU has three of everything: two gates and a candidate."),
        (lambda L, H, C, K: _stack(L, H, C) // 3 * 4 + H * K + K,
         "that is an LSTM, which has four of everything. A GRU has three."),
        (lambda L, H, C, K: _count_weights(L, H, C, K) - 3 * (L - 1) * H * H,
         "the connections from layer to layer are missing: width × width, three times, for every layer but the first."),
        (lambda L, H, C, K: _count_weights(L, H, C, K) - 3 * L * H * H,
         "every layer also reads its own past: width × width, three times, in each of them."),
        (lambda L, H, C, K: _count_weights(L, H, C, K) - 3 * H * H,
         "one width × width is missing: all layers read their own past, all but the first a layer."),
        (lambda L, H, C, K: _count_weights(1, H, C, K), "that is one layer. There are `layers` of them."),
        (lambda L, H, C, K: 3 * (H * C + H * H),
         "that is one layer's matrices. Add biases, the other layers and the readout.")),
    otherwise="{layers} layers of {width} units, {channels} channels and {outputs} outputs have {right} weights; "
              "you count {yours}.",
)  # fmt: skip
