"""Commands as data: names, arguments, conversion, and one line for whatever is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from valle_lab.lab.registry import Command, CommandError, Registry, command


def speak(
    lab: Any, text: str, seed: int | None = None, loud: bool = False, speed: float = 1.0
) -> tuple[Any, ...]:
    """Say it.

    More of it.
    """
    return text, seed, loud, speed


def write(lab: Any, text: str) -> str:
    """Write it."""
    return text


def never(lab: Any) -> None:
    """Do it."""


REGISTRY = Registry(
    [
        command("a.speak", speak, key="f5", complete={"text": lambda lab: ("one", "two")}),
        command("a.write", write, rest="text"),
        command("a.never", never, unavailable=lambda lab: "it is too late."),
    ]
)


def test_arguments_come_from_the_signature_and_help_from_the_docstring() -> None:
    found = REGISTRY["a.speak"]
    assert found.help == "Say it."
    assert [(a.name, a.type, a.required, a.default) for a in found.arguments] == [
        ("text", str, True, None),
        ("seed", int, False, None),
        ("loud", bool, False, False),
        ("speed", float, False, 1.0),
    ]
    assert found.usage == "a.speak text [seed] [loud] [speed]"
    assert found.title == "a: speak"
    assert found.needs_arguments and not REGISTRY["a.never"].needs_arguments
    assert found.arguments[0].complete is not None and list(found.arguments[0].complete(None)) == [
        "one",
        "two",
    ]


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (("x",), ("x", None, False, 1.0)),
        (("x", "7", "on", "2"), ("x", 7, True, 2.0)),
        (("x", 7, False, 2), ("x", 7, False, 2.0)),
        (("x", None), ("x", None, False, 1.0)),
    ],
)
def test_words_and_values_are_converted(given: tuple[Any, ...], got: tuple[Any, ...]) -> None:
    assert REGISTRY.run(None, "a.speak", given) == got


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("a.speak", (), "An argument is missing; usage: a.speak text"),
        ("a.speak", ("x", "seven"), "seed must be a whole number, not 'seven'"),
        ("a.speak", ("x", True), "seed must be a whole number, not True"),
        ("a.speak", ("x", 1, "perhaps"), "loud must be on or off, not 'perhaps'"),
        ("a.speak", ("x", 1, True, 1.0, 2), "Too many arguments"),
        ("a.speak", (3,), "text must be a text, not 3"),
        ("a.never", (), "a.never: it is too late."),
        ("a.speek", (), "did you mean a.speak?"),
    ],
)
def test_what_is_wrong_is_one_line(name: str, given: tuple[Any, ...], told: str) -> None:
    with pytest.raises(CommandError, match=told.replace("?", r"\?").replace("[", r"\[")) as error:
        REGISTRY.run(None, name, given)
    assert "\n" not in str(error.value)


def test_lines_are_split_like_a_shell_s_but_a_rest_is_taken_whole() -> None:
    assert REGISTRY.parse("a.speak 'two words' 3") == ("a.speak", ["two words", "3"])
    assert REGISTRY.parse('  a.write it\'s [red] "quoted" ') == ("a.write", ['it\'s [red] "quoted"'])
    with pytest.raises(CommandError, match="quotation mark"):
        REGISTRY.parse("a.speak 'open")


def test_a_name_is_taken_once() -> None:
    twice = Command("a.b", "", lambda lab: None)
    with pytest.raises(ValueError, match=r"a\.b"):
        Registry([twice, twice])
