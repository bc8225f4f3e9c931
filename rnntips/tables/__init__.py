"""Tables of other people: files and data frames become columns of numbers on a regular grid of times.

    contents ─> files ─┐
                       ├─ sources ─> columns ─> numbers, axis (times, grid) ─> doubts ─> Table
    data frames ───────┘

The law: right values, or an error that names what is doubtful and the argument that settles it. `rnntips.series` makes
a Series of a Table. No other room loads pandas, and this one loads it with `reading`, when somebody has a table.
"""

from rnntips.tables.table import Doubt, Table

__all__ = ["Doubt", "Table"]
