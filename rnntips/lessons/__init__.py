"""One folder a lesson. Nobody imports them by name: `rnntips.notebook.lessons` finds them."""
