"""HTML out of plain values: whatever is not markup already is escaped, so that no text can become any."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable

UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""What neither HTML nor XML may hold."""
ALONE = frozenset({"meta", "img", "br"})
"""Elements without an end."""


class Markup(str):
    """A text that is HTML."""

    __slots__ = ()


def element(tag: str, /, *content: object, **attributes: str) -> Markup:
    """An element that is well-formed as XML too; `class_` is the attribute `class`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"' for key, value in attributes.items()
    )
    if tag in ALONE:
        return Markup(f"<{tag}{given} />")
    return Markup(f"<{tag}{given}>{joined(content)}</{tag}>")


def joined(parts: Iterable[object]) -> Markup:
    """Parts one after the other; what is no markup is escaped, None is nothing."""
    return Markup(
        "".join(part if isinstance(part, Markup) else escaped(part) for part in parts if part is not None)
    )


def escaped(value: object) -> str:
    """A value as text that means itself."""
    return html.escape(UNSPEAKABLE.sub("\ufffd", str(value)), quote=True)


def words(text: str) -> Markup:
    """What a person wrote: its direction and its line breaks are its own."""
    return element("bdi", text, class_="words")


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> Markup:
    """A table with a line of heads."""
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *(element("th", cell) for cell in head))),
            element("tbody", *(element("tr", *(element("td", cell) for cell in row)) for row in rows)),
        ),
        class_="wide",
    )


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Names with their values."""
    return element(
        "dl", *(joined((element("dt", name), element("dd", value))) for name, value in pairs), class_="facts"
    )


def data_uri(kind: str, data: bytes) -> str:
    """Data as an address that needs nothing from anywhere."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
