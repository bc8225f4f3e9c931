"""The package `flashrnn` as a peer: it trains many independent recurrences at once, its "heads"; here each is a run.

Only its Triton kernels take part, which know the LSTM with a power of two from 16 to 64 units. Those in CUDA are
compiled by nvcc for every number of heads, which takes minutes each. It rounds float32 products to tf32.
"""

import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.peers import CLIP, LR, Net

__all__ = ["flashrnn_update", "why_no_flashrnn"]


def _package() -> Callable:
    """The package's one function."""
    from torch.utils import cpp_extension

    # it asks for CUDA's compiler when it is imported, though its Triton kernels need none
    cpp_extension.CUDA_HOME = cpp_extension.CUDA_HOME or sys.prefix
    from flashrnn import flashrnn

    return flashrnn


def why_no_flashrnn() -> str | None:
    """Why it cannot take part, or None if it can."""
    try:
        _package()
    except (ImportError, OSError, RuntimeError) as error:
        return f"flashrnn takes no part ({error}): pip install flashrnn, version 1.0.8 or near it."
    return None


def flashrnn_update(
    nets: Sequence[Net], x: Tensor, y: Tensor, backend: str = "triton_fused", record: bool = False
) -> Callable[[], Tensor]:
    """All networks, which have LSTMs, at once; an update returns the losses (R,).

    Args:
        x, y: Inputs (R, B, T, 1) and targets (R, B, 1).
        backend: `"vanilla"` is its readable reference, for any device.
        record: On a GPU make a CUDA graph of an update and repeat it.
    """
    flashrnn, weights = _package(), _stacked(nets, x.device)
    given, own, given_bias, own_bias, readout, readout_bias = weights
    adam = torch.optim.Adam(weights, LR, capturable=x.is_cuda, fused=x.is_cuda)
    # its kernels read (R, T, G, B, H) and (R, G, H, H); views of those spare it copies
    signal = x.transpose(1, 2)[:, :, None]

    def losses() -> Tensor:
        inputs = torch.addcmul(given_bias, signal, given).permute(3, 1, 2, 0, 4)
        _, last = flashrnn(inputs, own.permute(1, 0, 3, 2), own_bias.transpose(0, 1), function="lstm", backend=backend,
                           dtype="float32")  # fmt: skip
        h = last[0, :, 0].transpose(0, 1)  # of (2, B, 1, R, H)
        return (torch.baddbmm(readout_bias, h, readout) - y).square().mean((1, 2))

    def update() -> Tensor:
        loss = losses()
        gradients = torch.autograd.grad(loss.sum(), weights)
        norm = torch.stack([part.flatten(1).norm(dim=1) for part in gradients]).norm(dim=0)
        factor = (CLIP / (norm + 1e-6)).clamp(max=1.0)
        for weight, part in zip(weights, gradients, strict=True):
            weight.grad = part * factor.view(-1, *[1] * (part.dim() - 1))
        adam.step()
        return loss.detach()

    return _recorded(update) if record and x.is_cuda else update


def _recorded(update: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The same as a CUDA graph, after two updates that make what is made once."""
    graph, aside = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        update(), update()
    torch.cuda.current_stream().wait_stream(aside)
    with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):  # JAX has threads of its own
        losses = update()

    def repeat() -> Tensor:
        graph.replay()
        return losses

    repeat.of = update  # holds the weights and the batch, whose memory the graph uses
    return repeat


def _stacked(nets: Sequence[Net], device: torch.device) -> list[Tensor]:
    """Copies of the networks' weights, stacked over the runs, whose shapes suit (R, T, G, B, H)."""
    H = nets[0].readout.in_features
    shapes = (1, 4, 1, H), (4, H, H), (1, 4, 1, H), (4, H), (H, 1), (1, 1)
    same = zip(*(net.parameters() for net in nets), strict=True)
    stacks = [torch.stack(each).detach().view(-1, *shape) for each, shape in zip(same, shapes, strict=True)]
    stacks[1] = stacks[1].mT.contiguous()  # in, then out
    return [stack.to(device).requires_grad_() for stack in stacks]
