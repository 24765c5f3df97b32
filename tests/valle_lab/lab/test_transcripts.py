"""Tasks that give no speech: asked for as takes, with an answer, steps, a place in the session."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_engine import FRAMES, HEARD

from bench import Bench
from valle.errors import UserError
from valle.text.tokens import Tokenizer
from valle_lab.lab import Lab
from valle_lab.lab.places import place_or_cursor
from valle_lab.session.save import load_session
from valle_lab.text_views import in_words
from valle_lab.worker.bodies import asked_from_body, asked_to_body


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.workers[0].allow()
    return bench


def test_every_task_of_the_model_can_be_chosen(bench: Bench) -> None:
    lab = bench.lab
    assert lab.description is not None and "stt" in lab.description.tasks
    for task in lab.description.tasks:
        lab.run("mode.task", task)
        assert lab.manner.task == task
    with pytest.raises(UserError, match="no task 'phn'; it has tts, ns, len, stt"):
        lab.run("mode.task", "phn")


def test_the_stack_of_a_task_comes_with_it_and_can_be_undone(bench: Bench) -> None:
    lab = bench.lab
    before = lab.stack
    assert before is not None and "stt" not in before.lists
    lab.run("mode.task", "stt")
    assert lab.stack is not None and [stage.name for stage in lab.stack.stages("stt")] == ["greedy"]
    assert lab.run("stack.undo") is None and lab.stack == before


def test_a_voice_is_heard(bench: Bench) -> None:
    lab = bench.lab
    lab.run("mode.task", "stt")
    lab.run("text.set", "")
    lab.run("take.speak")
    lab.wait()
    (take,) = lab.takes
    assert (take.answer, take.stop, take.voice, take.text) == (HEARD, "stop", "anna", "")
    assert not take.speaks and not take.sounds and take.timeline.frames == 0
    tokens = [int(step.tokens[0]) for step in take.timeline.decisions]
    assert tokens == Tokenizer.builtin().encode(HEARD)[1:] and len(take.timeline) == len(tokens)
    assert take.begun is not None and take.begun.request.prompt is None
    assert take.begun.request.sources[0].codes.shape == (75, 8)


def test_a_text_is_measured(bench: Bench) -> None:
    bench.lab.run("mode.task", "len")
    bench.speak("One. Two")
    take = bench.lab.takes[0]
    assert take.answer == f"{2 * FRAMES} frames, {2 * FRAMES / 75:.2f} s" and take.voice == "anna"
    assert in_words(take) == [f"take-1, stop, -> {take.answer}, seed {take.seed}, voice anna"]
    assert take.answer in "\n".join(in_words([take]))


def test_what_a_take_says_is_heard_from_its_own_codes(bench: Bench) -> None:
    lab = bench.lab
    bench.speak("One. Two")
    spoken = lab.takes[0]
    lab.run("take.transcribe")
    lab.wait()
    heard = lab.takes[1]
    assert heard.begun is not None and heard.voice == "take-1"
    for source, segment in zip(heard.begun.request.sources, spoken.segments, strict=True):
        assert np.array_equal(source.codes, segment.codes())
    assert heard.answer == f"{HEARD} {HEARD}"
    lab.run("mode.task", "stt")
    lab.run("mode.source", "take-1")
    lab.run("take.speak")
    lab.wait()
    assert lab.takes[2].answer == heard.answer and lab.takes[2].voice == "take-1"
    lab.run("mode.task", "tts")
    bench.speak("Three")
    assert lab.takes[3].segments, "what was heard is not in the way of speech"


def test_the_codes_of_a_take_reach_another_process(bench: Bench) -> None:
    from valle_lab.lab.beginning import ask

    bench.speak("One")
    bench.lab.run("mode.task", "stt")
    bench.lab.run("mode.source", "take-1")
    asked = ask(bench.lab, "")
    body, arrays = asked_to_body(asked)
    again: Any = asked_from_body(body, arrays)
    assert np.array_equal(again.sources[0].codes, bench.lab.takes[0].segments[0].codes())
    assert again.manner == asked.manner and again.manner.source is None


def test_an_answer_stands_in_the_session_and_comes_back(bench: Bench) -> None:
    lab = bench.lab
    lab.run("take.transcribe", "clear-man")
    lab.wait()
    saved = lab.record.save()
    assert load_session(saved).takes[0].told == HEARD
    lab.run("session.open", str(saved))
    (take,) = lab.takes
    assert (take.answer, take.stop, take.voice) == (HEARD, "stop", "clear-man")
    assert len(take.timeline) == len(Tokenizer.builtin().encode(HEARD)) - 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("take.play", "gives no speech"),
        ("take.seek 0.5", "gives no speech"),
        ("take.around 0.1", "gives no speech"),
        ("take.transcribe", "has nothing to hear"),
        ("take.transcribe nobody", "voice 'nobody' is not known"),
        ("sheet.make 2", "speaks nothing"),
        ("audition.seeds 2", "speaks nothing"),
        ("ab.speak", "speaks nothing"),
    ],
)
def test_what_needs_speech_is_refused_with_the_reason(bench: Bench, line: str, reason: str) -> None:
    lab = bench.lab
    lab.run("mode.task", "len")
    lab.run("text.set", "Some words")
    lab.run("ab.hold")
    lab.run("stack.set", "temperature.value", 0.5)
    lab.run("take.speak")
    lab.wait()
    with pytest.raises(UserError, match=reason):
        lab.run_line(line)


def test_where_the_model_looks_is_told_of_speech_alone(bench: Bench) -> None:
    from valle_lab.lab.sight import suppose
    from valle_lab.views import AttentionLook, TakeLook

    bench.lab.run("take.transcribe", "clear-man")
    bench.lab.wait()
    for answer in (
        bench.lab.attend(AttentionLook("take-1")),
        suppose(bench.lab, TakeLook("take-1")),
    ):
        with pytest.raises(UserError, match="told of whole takes of speech; take-1 gives none"):
            answer.result(0)


def test_words_are_found_by_their_sound(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valle_lab.lab.transcripts.word_list", lambda language: ("hello",))
    lab = bench.lab
    lab.run("take.transcribe", "clear-man")
    lab.wait()
    told = lab.run("take.words")
    lab.wait()
    assert told.result(0) == "hello"
    bench.speak("Some words")
    with pytest.raises(UserError, match="take-2 came to no phonemes"):
        lab.run("take.words")


def test_a_stage_without_a_phase_is_one_of_the_task(bench: Bench) -> None:
    lab, worker = bench.lab, bench.workers[0]
    lab.run("mode.task", "stt")
    bench.speak(steps=2)
    lab.run_line("stack.set temperature.value 0.5")
    lab.run_line("stack.duplicate temperature")
    assert lab.stack is not None
    assert [stage.name for stage in lab.stack.stages("stt")] == ["temperature", "temperature", "greedy"]
    lab.run("mode.task", "tts")
    before = lab.stack.stages("stt")
    lab.run_line("stack.set temperature.value 0.7")
    assert lab.stack.stages("stt") == before, "the task is another by now"
    worker.allow()
    lab.wait()
    (take,) = lab.takes
    assert [event.name for step in take.steps for event in step.events if event.kind == "set"] == [
        "stt:temperature.value",
        "ar:temperature.value",
    ]
    lab.run("mode.choose", "nar-len")
    lab.run_line("stack.set temperature.value 0.6")
    assert [stage.name for stage in lab.stack.stages("nar_len")] == ["guidance", "temperature", "greedy"]
    assert {"temperature.value", "ar:temperature.value"} <= set(_offered(lab, "stack.set"))
    lab.run("mode.reset")
    assert {"temperature.value", "nar_len:temperature.value"} <= set(_offered(lab, "stack.set"))


def _offered(lab: Lab, command: str) -> Iterable[str]:
    complete = lab.commands[command].arguments[0].complete
    assert complete is not None
    return complete(lab)


def test_a_step_without_a_phase_is_one_of_the_take(bench: Bench) -> None:
    lab = bench.lab
    lab.run("take.transcribe", "clear-man")
    lab.wait()
    (take,) = lab.takes
    assert str(place_or_cursor(take, None, "2")) == "0/stt.0:2"
