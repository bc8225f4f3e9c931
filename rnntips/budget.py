"""`Budget`: how long to train, in updates, epochs or tokens."""

from dataclasses import dataclass

from rnntips.errors import need_whole, unknown_name

__all__ = ["Budget", "epochs", "tokens", "updates"]

UNITS = ("epochs", "tokens", "updates")


@dataclass(frozen=True)
class Budget:
    """How long to train: an amount of updates, epochs (passes over the training windows) or tokens (steps read)."""

    amount: int
    of: str

    def __post_init__(self):
        if self.of not in UNITS:
            raise unknown_name("unit", self.of, UNITS)
        need_whole(f"budget in {self.of}", self.amount, 1)

    def __repr__(self) -> str:
        return f"{self.amount} {self.of}"

    def in_updates(self, batch_size: int, steps: float, windows: int, each: int = 1) -> int:
        """Updates for batches of this size, windows of this length, so many training windows and updates a batch."""
        if self.of == "updates":
            return self.amount
        windows_seen = self.amount * windows if self.of == "epochs" else self.amount / steps
        return max(1, round(windows_seen * each / batch_size))


def updates(amount: int) -> Budget:
    """A budget in updates."""
    return Budget(amount, "updates")


def epochs(amount: int) -> Budget:
    """A budget in passes over the training windows."""
    return Budget(amount, "epochs")


def tokens(amount: int) -> Budget:
    """A budget in time steps read, windows counted with their overlap, steps of a chunk when they are new."""
    return Budget(amount, "tokens")
