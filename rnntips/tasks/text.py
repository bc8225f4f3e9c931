"""Predict the next character of the documentation that the installed Python brings along."""

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from rnntips.errors import BadData
from rnntips.tasks.task import OF_OTHERS, SequenceTask
from rnntips.windows import TRAIN, VALID, Examples

__all__ = ["ALPHABET", "Characters", "characters"]

ALPHABET = "abcdefghijklmnopqrstuvwxyz .,()"  # and one symbol for all others
SYMBOLS = len(ALPHABET) + 1
SHARE = 0.8  # of the text, for one seed
ORDER = 4  # n of the floor's n-gram, which includes the next character


@dataclass(frozen=True)
class Characters(SequenceTask):
    """Predict, at every step, the next character of Python's own documentation.

    The text is `pydoc_data.topics` of the Python that runs this, some 430,000 characters in small letters, white
    space as one blank, 32 symbols; it differs a little from one version of Python to the next. Every seed gets four
    fifths of it, from a random place, split 60/20/20 in text order. Windows have `Recipe.past` steps and begin a
    quarter of that apart; the first quarter of a window does not count, since little has been read there. Scored in
    nats per character. Naive are the characters' frequencies in the training part, about 2.9. No floor is known; it is
    estimated by counts of four characters in a row (add-one smoothing, training part), about 1.5.

    Raises:
        BadData: This Python comes without the text; or, later, a recipe whose `past` is too long for it.
    """

    name = "characters"
    ignores = OF_OTHERS

    def draw(self, past: int, rng: np.random.Generator) -> Examples:
        """The text as numbers of symbols, (L, 1), and as targets the number of every next symbol, (L, 1)."""
        text = _text()
        length = int(SHARE * len(text))
        first = int(rng.integers(0, len(text) - length + 1))
        seen = text[first : first + length]
        ends, stride = [0, int(TRAIN * length), int(VALID * length), length], max(1, past // 4)
        places = [np.arange(begin, end - past, stride) for begin, end in pairwise(ends)]
        if not all(map(len, places)):
            raise BadData(f"characters: windows of past={past} do not fit into a fifth of {length} characters. "
                          f"Use past={ends[3] - ends[2] - 1} or less.")  # fmt: skip
        starts = np.concatenate(places)
        following = seen[1:, None]
        return Examples(
            signal=seen[:-1, None], starts=starts, steps=past, targets=following, spread=1.0, offset=np.zeros((1, 1)),
            truth=following, times=starts + past, part=np.repeat([0, 1, 2], [len(some) for some in places]),
            head="softmax+nll", classes=True, loss_at="every", skip=past // 4, symbols=SYMBOLS,
        )  # fmt: skip

    def guess(self, examples: Examples) -> np.ndarray:
        """Logarithms of the frequencies in the training part, with add-one smoothing."""
        return np.log(np.bincount(_training_text(examples), minlength=SYMBOLS) + 1.0)

    def floor(self, examples: Examples) -> float:
        """Nats per scored character of an n-gram with add-one smoothing, counted on the training part."""
        train, text = _training_text(examples), np.append(examples.signal[:, 0], examples.targets[-1, 0]).astype(int)
        counts = np.bincount(_grams(train, np.arange(ORDER - 1, len(train))), minlength=SYMBOLS**ORDER)
        counts = counts.reshape(-1, SYMBOLS)
        scored = examples.starts[examples.scored(2)][:, None] + np.arange(examples.skip, examples.steps) + 1
        before, last = np.divmod(_grams(text, scored.ravel()), SYMBOLS)
        return float(-np.log((counts[before, last] + 1) / (counts[before].sum(1) + SYMBOLS)).mean())

    def values(self, seed: int) -> np.ndarray:
        """An empty array: the text depends on the version of Python, and a plan's fingerprint must not."""
        return np.empty(0)


def _training_text(examples: Examples) -> np.ndarray:
    """Numbers of the characters that the training part's windows read."""
    return examples.signal[: examples.starts[examples.of(0)[-1]] + examples.steps, 0].astype(int)


def _grams(text: np.ndarray, places: np.ndarray) -> np.ndarray:
    """One number for the ORDER characters that end at each place."""
    return sum(text[places - back] * SYMBOLS**back for back in range(ORDER))


@cache
def _text() -> np.ndarray:
    """The whole text as numbers of symbols, uint8."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise BadData("characters: this Python comes without its documentation (pydoc_data.topics), which some "
                      "systems package separately. Install it, or use another Python.") from None  # fmt: skip
    words = re.sub(r"\s+", " ", " ".join(topics[name] for name in sorted(topics)).lower())
    number = {character: i for i, character in enumerate(ALPHABET)}
    text = np.array([number.get(character, SYMBOLS - 1) for character in words], dtype=np.uint8)
    text.flags.writeable = False
    return text


characters = Characters  # the name that users write: rt.tasks.characters()
