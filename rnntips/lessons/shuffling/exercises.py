"""The shuffling lesson's exercise: feed lanes from shuffled sequences, their chunks in order."""

import numpy as np

from rnntips.notebook.exercise import Exercise

__all__ = ["lanes"]

FAR = 1000  # a step of sequence s is FAR·s + t, so every number says where it comes from
STRANGER = "lane {lane} goes on with another sequence before its own has ended. It would get a stranger's state."
OUT_OF_ORDER = "lane {lane} reads the chunks of a sequence out of order. Shuffle sequences, never their chunks."
SHAPE = "batch {number} has shape {shape}; ({count}, {chunk}) is needed: lanes, steps."
NUMBER = "{many} sequences of {steps} steps are {expected} such batches, and {found} came."
WITHIN = "within a chunk, steps must follow each other as in their sequence."
TWICE = "some sequences are read twice, and others never. Each is read once in an epoch."
IN_TURN = "the sequences come as they were given. Shuffle which of them fills a lane."
OTHER_RNG = "the order is the same for every rng. Use the one you are given."


def _lanes(sequences, count, chunk, rng):
    mixed, steps = rng.permutation(sequences), sequences.shape[1]
    return [mixed[first : first + count, t : t + chunk]
            for first in range(0, len(mixed), count) for t in range(0, steps, chunk)]  # fmt: skip


def _cases():
    for many, steps, count, chunk in [(24, 12, 4, 3), (30, 8, 5, 4)]:
        yield FAR * np.arange(many)[:, None] + np.arange(steps), count, chunk, np.random.default_rng(0)


def _check(batches, sequences, count, chunk, rng):
    """What is wrong with the batches of one epoch. Any shuffle that breaks no rule is right."""
    (many, steps), each, expected = sequences.shape, sequences.shape[1] // chunk, sequences.size // (count * chunk)
    for number, batch in enumerate(batches):
        if batch.shape != (count, chunk):
            return SHAPE.format(number=number, shape=batch.shape, count=count, chunk=chunk)
    if len(batches) != expected:
        return NUMBER.format(many=many, steps=steps, expected=expected, found=len(batches))
    read = np.stack(batches)
    if (np.diff(read, axis=2) != 1).any():
        return WITHIN
    sequence, place = np.divmod(read[:, :, 0].reshape(-1, each, count), FAR)  # of each chunk: group, chunk, lane
    if (wrong := (sequence != sequence[:, :1]).any((0, 1))).any():
        return STRANGER.format(lane=np.argmax(wrong))
    if (wrong := (place != chunk * np.arange(each)[:, None]).any((0, 1))).any():
        return OUT_OF_ORDER.format(lane=np.argmax(wrong))
    if len(np.unique(read)) < sequences.size:
        return TWICE
    if (np.diff(sequence[:, 0].ravel()) > 0).all():
        return IN_TURN
    return OTHER_RNG if rng.bit_generator.state == np.random.default_rng(0).bit_generator.state else None


def _but(rows=lambda all, rng: rng.permutation(all), step=1):
    """The solution with other rows, or its chunks in steps of −1."""

    def answer(sequences, count, chunk, rng):
        mixed, places = rows(sequences, rng), range(0, sequences.shape[1], chunk)[::step]
        return [mixed[i : i + count, t : t + chunk] for i in range(0, len(mixed), count) for t in places]

    return answer


def _chunk_by_chunk(sequences, count, chunk, rng):
    mixed, steps = rng.permutation(sequences), sequences.shape[1]
    return [mixed[i : i + count, t : t + chunk] for t in range(0, steps, chunk) for i in range(0, len(mixed), count)]


lanes = Exercise(
    "lanes", _lanes, _cases, tolerance=None, check=_check,
    hints=("Two things could be shuffled: rows and chunks. Only one of them is safe.",
           "rng.permutation(sequences) shuffles the rows. Then take `count` rows at a time.",
           "For each group of rows go through the steps: rows[:, t : t + chunk] for t = 0, chunk, 2·chunk, …"),
    mistakes=(
        (lambda sequences, count, chunk, rng: rng.permutation(sequences.reshape(-1, chunk)).reshape(-1, count, chunk),
         _chunk_by_chunk, STRANGER),
        (_but(step=-1), OUT_OF_ORDER),
        (lambda sequences, count, chunk, rng: _lanes(sequences, count + 1, chunk, rng), SHAPE),
        (lambda *given: _lanes(*given)[:-1], NUMBER),
        (_but(lambda all, rng: rng.permutation(all, axis=1)), WITHIN),
        (_but(lambda all, rng: all[rng.integers(0, len(all), len(all))]), TWICE),
        (_but(lambda all, rng: all), IN_TURN),
        (_but(lambda all, rng: np.random.default_rng(7).permutation(all)), OTHER_RNG)),
    kind="return a list of arrays of shape (count, chunk).",
)  # fmt: skip
