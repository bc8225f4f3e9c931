"""The word on a claim, from the verdicts of the settings that tested it (`docs/rule.md`)."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from rnntips.verdict import FEWEST, MANY, Finding, Verdict

__all__ = ["CLAIMED", "MODALITIES", "setting_verdict", "word"]

# What a claim may say of the variant: the verdict that this is, and how it and its opposite are put into words.
CLAIMED = {
    "BETTER": ("BETTER", "better", "worse"),
    "WORSE": ("WORSE", "worse", "better"),
    "NO WORSE": ("BETTER", "no worse", "worse"),
    "LOWER": ("BETTER", "lower", "higher"),  # of what is neither better nor worse: then BETTER stands for lower
    "HIGHER": ("WORSE", "higher", "lower"),
}
MODALITIES = ("always", "typically", "can", "suggests")  # how strongly a source says it
OPPOSITE = {"BETTER": "WORSE", "WORSE": "BETTER"}
UNDECIDED = Fraction(1, 3)  # a larger share of settings without a verdict leaves the claim without one


def setting_verdict(claimed: str, together: Finding, parts: Sequence[Finding]) -> str:
    """One setting's verdict, from all its seeds and from each part alone, for which learning rates were tuned anew.

    BETTER or WORSE needs in each part at least the smallest difference that matters, the same way; SAME needs less than
    that in each. What tuning adds to a difference changes from part to part, and no interval knows of it. For a claim
    of NO WORSE an interval that ends below the smallest difference is enough, however far down it reaches.
    """
    shown = [part.strength for part in parts]
    holds = {
        Verdict.BETTER: max(shown) <= -1,
        Verdict.WORSE: min(shown) >= 1,
        Verdict.SAME: max(map(abs, shown)) < 1,
    }
    if holds.get(together.verdict):
        return str(together.verdict)
    if (
        claimed == "NO WORSE"
        and together.n >= FEWEST
        and together.worst < 1
        and max(shown) < 1 > together.failing / MANY
    ):
        return "NO WORSE"
    return "UNCLEAR"


def word(
    claimed: str,
    verdicts: Mapping[str, str],
    levels: Mapping[str, str] | None = None,
    modality: str = "typically",
    named: str | None = None,
) -> str:
    """The word of the table in `docs/rule.md`.

    Args:
        claimed: A name in CLAIMED: what the claim says of the variant.
        verdicts: Setting → what `setting_verdict` says, for those that tested the claim.
        levels: Setting → level of a condition that was named beforehand.
        modality: One of MODALITIES.
        named: For "can": the setting that was named beforehand, which alone decides.
    """
    claim, as_said, otherwise = CLAIMED[claimed]
    if modality == "can":
        verdicts = {setting: verdict for setting, verdict in verdicts.items() if setting == named}
    if not verdicts:
        return "NOT TESTED"
    holds = ("BETTER", "SAME", "NO WORSE") if claimed == "NO WORSE" else (claim,)
    n = len(verdicts)
    as_claimed = [setting for setting, verdict in verdicts.items() if verdict in holds]
    opposite = [setting for setting, verdict in verdicts.items() if verdict == OPPOSITE[claim]]
    unclear = sum(verdict == "UNCLEAR" for verdict in verdicts.values())
    if Fraction(unclear, n) > UNDECIDED:
        return "UNDECIDED"
    if len(as_claimed) == n:
        return "SUPPORTED"
    if len(opposite) == n and modality in ("always", "typically"):  # what can be, or is suggested, is not contradicted
        return "CONTRADICTED"
    if as_claimed and opposite:
        if levels and not {levels[s] for s in as_claimed} & {levels[s] for s in opposite}:
            return f"DEPENDS ON {levels['name']}"
        return f"MIXED: {as_said} in {len(as_claimed)}, {otherwise} in {len(opposite)} of {n}"
    if as_claimed:
        return f"PARTLY: {as_said} in {len(as_claimed)} of {n}, {_never(otherwise, unclear)}"
    if opposite:
        return f"NEVER {as_said.upper()}: {otherwise} in {len(opposite)} of {n}" + f", {unclear} undecided" * bool(
            unclear
        )
    return "NO DIFFERENCE" + f", {unclear} of {n} undecided" * bool(unclear)


def _never(otherwise: str, unclear: int) -> str:
    return f"{unclear} undecided" if unclear else f"never {otherwise}"
