"""What a line must hold so that a class can pool it. Anybody may have written it, so every size has a bound."""

from collections.abc import Callable
from functools import cache
from typing import Any

import fastjsonschema

from rnntips.notebook.labbook.book import SEAT, SEATS, Entry
from rnntips.notebook.labbook.guesses import GUESSES, guessed

__all__ = ["fault"]

FAR = 50  # logarithms, or shares of the way to the floor; nothing is so far


def column(**of: Any) -> dict[str, Any]:
    """One value for each seed of a seat, as a schema."""
    return {"type": "array", "minItems": 1, "maxItems": SEAT, "items": of}


NUMBER = {"type": "number", "minimum": -FAR, "maximum": FAR}
TEXT = {"type": ["string", "null"], "maxLength": 1000}
RUN = {
    "type": "object",
    "required": ["seeds", "effects", "failures", "progress", "recipes", "smallest"],
    "properties": {
        "seeds": column(type="integer", minimum=0, maximum=SEAT * (SEATS + 1) - 1) | {"uniqueItems": True},
        "effects": column(**NUMBER),
        "failures": column(type="integer", minimum=-1, maximum=1),
        "progress": {"type": "array", "minItems": 2, "maxItems": 2, "items": column(**NUMBER)},
        "recipes": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "string", "maxLength": 10_000}},
        "smallest": {"type": "number", "minimum": 1e-6, "maximum": FAR},
        "updates": {"type": ["integer", "null"], "minimum": 1, "maximum": 10**9},
        "seat": {"type": "string", "pattern": "^[0-9]{0,2}$"},
        "guess": TEXT,
        "guesses": {
            "type": ["object", "null"],
            "minProperties": len(GUESSES),
            "maxProperties": len(GUESSES),
            "additionalProperties": {"type": ["number", "null"]},
            "propertyNames": {"maxLength": 100},
        },
        **dict.fromkeys(("experiment", "tip", "setting", "field", "baseline", "variant"), TEXT),
    },
}


@cache
def _checked() -> Callable[[Entry], Entry]:
    return fastjsonschema.compile(RUN)


def fault(run: Entry) -> str:
    """Why a finished run cannot be pooled, in words; "" if it can."""
    try:
        _checked()(run)
    except fastjsonschema.JsonSchemaValueException as error:
        return error.message.removeprefix("data.").replace("data must contain", "it must contain")
    if run.get("guess") is not None and not guessed(run):
        return "guess must be one of those that were offered"
    columns = [run["effects"], run["failures"], *run["progress"]]
    return "" if {len(run["seeds"])} == {*map(len, columns)} else "it must hold one value for each seed"
