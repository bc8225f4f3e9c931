"""HTML from Jinja2 templates, which escape every value that is put into them. All HTML of the package is made here."""

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["render"]

TEMPLATES = Environment(
    loader=PackageLoader("rnntips", "."),
    autoescape=True,
    finalize=lambda value: "–" if value is None else value,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values) -> str:
    """A template filled in.

    Values may be anybody's text: none becomes a tag, None is shown as a dash, and what UTF-8 cannot hold as "?".

    Args:
        template: Its path in the package.
    """
    return TEMPLATES.get_template(template).render(values).encode("utf-8", "replace").decode()
