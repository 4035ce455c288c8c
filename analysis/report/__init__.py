"""Pages and figures of a study, of its findings and of anyone's runs, from the templates here."""

from __future__ import annotations

from typing import Any


def render(template: str, **values: Any) -> str:
    """The text of ``template``, a file of this folder; what goes into HTML is escaped.

    A value that the template names and that is not given is an error.
    """
    import jinja2

    from analysis.text import count, interval, number
    from scaling.records.names import LOSSES

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis.report", "."),
        autoescape=".html" in template,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "number": number,
        "count": count,
        "duration": duration,
        "capital": lambda text: text[:1].upper() + text[1:],
    }
    environment.globals |= {"losses": LOSSES, "interval": interval}
    return environment.get_template(template).render(**values)


def duration(seconds: float | None) -> str:
    """Seconds as text: 4.5 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
