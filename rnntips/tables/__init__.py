"""Tables of other people: files and data frames become columns of numbers on a regular grid of times.

    contents ─> files ─┐
                       ├─ sources ─> columns ─> numbers, axis (times, grid) ─> doubts ─> Table
    data frames ───────┘

The law: right values, or an error that names what is doubtful and the argument that settles it. `rnntips.series` makes
a Series of a Table. No other room loads pandas.
"""

from importlib import import_module

from rnntips.tables.table import Doubt, Table

__all__ = ["Doubt", "Table", "numeric_columns", "read_csv", "read_frame", "titles_of"]

# On first use, since pandas takes a tenth of a kernel's memory, and most readers have no table.
_LAZY = {"numeric_columns": "reading", "read_csv": "reading", "read_frame": "reading", "titles_of": "sources"}


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'rnntips.tables' has no attribute {name!r}")
    return getattr(import_module(f"rnntips.tables.{_LAZY[name]}"), name)
