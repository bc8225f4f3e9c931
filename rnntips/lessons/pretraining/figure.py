"""Wrong digits over the number of labels, and over how many of the updates pre-train."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from rnntips.figures import COLORS, PAGE, axes, log_ticks, plain
from rnntips.notebook.tips import Tip
from rnntips.schedule import pretraining

__all__ = ["by_labels"]

WAYS = (  # what is pre-trained, and then frozen; how it is called and looks
    ((None, None), "from scratch", {"color": COLORS["baseline"], "marker": "o", "linestyle": "-"}),
    (
        ("next step:300", None),
        "pre-trained, fine-tuned",
        {"color": COLORS["variant"], "marker": "^", "linestyle": "--"},
    ),
    (("shuffled steps:300", None), "after shuffled rows", {"color": "#117733", "marker": "s", "linestyle": ":"}),
    (("next step:300", "recurrent"), "pre-trained, frozen", {"color": "#AA4499", "marker": "D", "linestyle": "-."}),
)
OTHER = ("shuffled steps:300", "next step:300:2", "next step:300:3")
SHADES = ("#88CCEE", "#44AA99", "#117733", "#332288")
MARKERS = "osD^"


def by_labels(tip: Tip, settings: Mapping[str, int]) -> Axes:
    """Medians in the record. Left: by labels, half of the updates for pre-training. Right: by updates for it.

    Args:
        settings: Setting → labels, the fewest first.
    """
    left, right = axes(2, PAGE, 3.2)
    wrong = {setting: _wrong(tip, setting) for setting in settings}
    for way, called, look in WAYS:
        some = [setting for setting in settings if way in wrong[setting]]
        x = [settings[setting] for setting in some]
        left.plot(x, [wrong[setting][way] for setting in some], label=called, markersize=5, **look)
    for setting, color, marker in zip(settings, SHADES, MARKERS, strict=True):
        found = {pretraining(what)[1]: value for (what, frozen), value in wrong[setting].items()
                 if frozen is None and what not in OTHER}  # fmt: skip
        x = sorted(found)
        right.plot(x, [found[updates] for updates in x], color=color, marker=marker, markersize=5, label=setting)
    left.set(xscale="log", xlabel="labels", ylabel="wrong digits of a hundred", xticks=list(settings.values()))
    right.set(xlabel="updates for pre-training, of 600", xticks=[0, 100, 300, 500])
    values = [value for some in wrong.values() for value in some.values()]
    for ax in (left, right):
        ax.set(yscale="log", yticks=log_ticks(min(values), max(values)))
        plain(ax.yaxis)
        ax.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    plain(left.xaxis)
    return right


def _wrong(tip: Tip, setting: str) -> dict[tuple, float]:
    """What was pre-trained and what frozen → median of wrong digits of a hundred, at learning rates that were tuned."""
    arms = [arm for arm in tip.arms(setting) if arm.tuned == "lr"]
    return {(arm.recipe.pretrain, arm.recipe.frozen): 100 * float(np.median(arm.scores.score)) for arm in arms}
