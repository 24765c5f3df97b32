"""`valle-lab say` with guidance: what it leads away from, as options; kept, and replayed."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_model import Say, Tiny

from valle_lab.cli import main
from valle_lab.session import schema
from valle_lab.session.save import load_session

GUIDED = ("--set", "guidance.scale=2", "--set", "nar:guidance.scale=1.5")


def null_of(file: str = "a.json") -> schema.NullBranch:
    return load_session(file).take().request.null


def guided_rows(file: str = "a.json") -> dict[str, int]:
    """How many decisions of each phase had a null pass."""
    traces = load_session(file).take().segments[0].traces
    return {
        trace.phase: 0 if trace.null_evidence is None else len(trace.null_evidence.rows.values())
        for trace in traces
    }


def test_a_scale_adds_guidance_first(say: Say, tiny: Tiny) -> None:
    say("--seed", "5", "--out", "a.wav", *GUIDED)
    take = load_session("a.json").take()
    assert take.effective["ar"][0]["name"] == "guidance" == take.effective["nar"][0]["name"]
    assert guided_rows()["nar"] == 7 and guided_rows()["ar"] > 0
    assert null_of() == schema.NullBranch()
    assert main(["replay", "a.json", "--mode", "exact", "--config", str(tiny.config)]) == 0


@pytest.mark.parametrize(
    ("options", "text", "voice"),
    [
        (("--negative-text", "Hi there."), "Hi there.", "same"),
        (("--negative-text", ""), "none", "same"),
        (("--negative-voice", "none"), "same", "none"),
        (("--negative-text", "Hi.", "--negative-voice", "none"), "Hi.", "none"),
    ],
)
def test_what_it_leads_away_from(
    say: Say, tiny: Tiny, options: tuple[str, ...], text: str, voice: str
) -> None:
    say("--seed", "5", "--out", "a.wav", *GUIDED, *options)
    null = null_of()
    assert (null.text if isinstance(null.text, str) else null.text.text) == text
    assert null.voice == voice
    assert main(["replay", "a.json", "--mode", "exact", "--config", str(tiny.config)]) == 0


def test_another_voice_is_kept_as_codes(say: Say, tiny: Tiny) -> None:
    say("--seed", "5", "--out", "a.wav", *GUIDED, "--negative-voice", str(tiny.folder / "voices" / "hum.wav"))
    null = null_of()
    assert isinstance(null.voice, schema.Prompt) and null.text == "same"
    assert null.voice.codes.shape[1] == 8
    assert "/" not in null.voice.voice


def test_two_passes_are_recorded(say: Say, tiny: Tiny) -> None:
    say("--seed", "5", "--out", "a.wav", *GUIDED, "--two-passes")
    assert load_session("a.json").take().request.recipe.guidance == "two passes"
    assert main(["replay", "a.json", "--mode", "exact", "--config", str(tiny.config)]) == 0


def test_it_can_begin_in_the_middle(say: Say, tiny: Tiny) -> None:
    say("--seed", "5", "--out", "a.wav", "--set", "minimum_length.steps=9", "--at", "6:guidance.scale=2")
    null = load_session("a.json").take().segments[0].traces[0].null_evidence
    assert null is not None and int(null.rows.values()[0]) == 6
    assert main(["replay", "a.json", "--mode", "exact", "--config", str(tiny.config)]) == 0


def test_without_guidance_it_is_said_to_be_in_vain(say: Say) -> None:
    made: Any = say("--seed", "5", "--out", "a.wav", "--negative-text", "Hi.")
    (line,) = made["vain"]
    assert "guidance" in line and "--set guidance.scale=2" in line
    assert guided_rows() == {"ar": 0, "nar": 0}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--negative-voice", "nobody"), "nobody"),
        (("--negative-text", "word " * 50), "160"),
        (("--set", "guidance.scale=-1"), "between 0.0 and 20.0"),
        (("--set", "guidance.scales=2"), "scale"),
    ],
)
def test_bad_input(options: tuple[str, ...], says: str, say: Say) -> None:
    assert says in say.refused(*options)
