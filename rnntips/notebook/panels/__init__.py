"""ipywidgets: a panel is a view of a record that is being filled."""

from rnntips.notebook.panels.panel import Panel

__all__ = ["Panel"]
