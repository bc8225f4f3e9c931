"""Tables of other people: files and data frames become columns of numbers on a regular grid of times.

    bytes ─ files ─> lines, separator, titles ─> frame of texts ─ numbers, times ─> Table

The law: right values, or an error that names what is doubtful and the argument that settles it. This room knows nothing
of series, networks or notebooks, and is the only one that loads pandas.
"""

from rnntips.tables.reading import numeric_columns, read_csv, read_frame
from rnntips.tables.table import Doubt, Table

__all__ = ["Doubt", "Table", "numeric_columns", "read_csv", "read_frame"]
