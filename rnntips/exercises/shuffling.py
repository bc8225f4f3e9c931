"""The shuffling lesson's exercise: feed lanes from shuffled sequences, their chunks in order."""

import numpy as np

from rnntips.exercises._exercise import Exercise

__all__ = ["lanes"]

FAR = 1000  # a step of sequence s is FAR·s + t, so every number says where it comes from


def _solution(sequences, count, chunk, rng):
    mixed, steps = rng.permutation(sequences), sequences.shape[1]
    return [mixed[first : first + count, t : t + chunk]
            for first in range(0, len(mixed), count) for t in range(0, steps, chunk)]  # fmt: skip


def _judge(answer) -> str | None:
    for many, steps, count, chunk in [(24, 12, 4, 3), (30, 8, 5, 4)]:
        sequences = FAR * np.arange(many)[:, None] + np.arange(steps)
        found = []
        for seed in (0, 1):
            given = sequences.copy()
            returned = answer(given, count, chunk, np.random.default_rng(seed))
            if not np.array_equal(given, sequences):
                return "your function changes the array it was given. rng.permutation returns a new one."
            try:
                batches = [np.asarray(batch) for batch in returned]
            except TypeError:
                return "return a list of arrays."
            if wrong := _diagnose(batches, many, steps, count, chunk):
                return wrong
            found.append(np.concatenate(batches))
        if _in_turn(found[0], count, steps // chunk):
            return "the sequences come as they were given. Shuffle which of them fills a lane."
        if np.array_equal(*found):
            return "the order is the same for every rng. Use the one you are given."
    return None


def _in_turn(rows: np.ndarray, count: int, each: int) -> bool:
    """Whether sequences fill the lanes in their own order."""
    firsts = rows[:, 0].reshape(-1, each, count)[:, 0].ravel() // FAR
    return bool((np.diff(firsts) > 0).all())


def _diagnose(batches: list[np.ndarray], many: int, steps: int, count: int, chunk: int) -> str | None:
    """What is wrong with the batches of one epoch."""
    for number, batch in enumerate(batches):
        if batch.shape != (count, chunk):
            return f"batch {number} has shape {batch.shape}; ({count}, {chunk}) is needed: lanes, steps."
    expected = many * steps // (count * chunk)
    if len(batches) != expected:
        return f"{many} sequences of {steps} steps are {expected} such batches, and {len(batches)} came."
    read = np.stack(batches)
    if (np.diff(read, axis=2) != 1).any():
        return "within a chunk, steps must follow each other as in their sequence."
    each = steps // chunk
    turns = read[:, :, 0].reshape(-1, each, count)  # where chunks begin: turn, chunk, lane
    if (turns // FAR != turns[:, :1] // FAR).any():
        lane = int(np.argmax((turns // FAR != turns[:, :1] // FAR).any((0, 1))))
        return f"lane {lane} goes on with another sequence before its own has ended. It would get a stranger's state."
    places = turns % FAR
    if (places != chunk * np.arange(each)[:, None]).any():
        lane = int(np.argmax((places != chunk * np.arange(each)[:, None]).any((0, 1))))
        return f"lane {lane} reads the chunks of a sequence out of order. Shuffle sequences, never their chunks."
    if len(np.unique(read)) < many * steps:
        return "some sequences are read twice, and others never. Each is read once in an epoch."
    return None


lanes = Exercise(
    "lanes",
    _judge,
    hints=(
        "Two things could be shuffled: rows and chunks. Only one of them is safe.",
        "rng.permutation(sequences) shuffles the rows. Then take `count` rows at a time.",
        "For each group of rows go through the steps: rows[:, t : t + chunk] for t = 0, chunk, 2·chunk, …",
    ),
    solution=_solution,
)
