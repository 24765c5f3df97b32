"""Each other flag changes the request, or says in one line why it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from valle.__main__ import main
from valle.audio import wav
from valle.command.flags import parse
from valle.command.requests import make_request
from valle.command.vain import in_vain
from valle.errors import UserError
from valle.inference import Engine
from valle.request import Prompt, Request, Sentence
from valle.samplers.stack import Stack
from valle.voices import find_voice
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import ModelChoice

TEXT = "Hello there. How are you?"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    loaded = Engine.load(threads=1)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codes as the reference stores them."""
    path = tmp_path_factory.mktemp("codes") / "speech.enc"
    codes = np.random.default_rng(0).integers(0, 1024, (1, 8, 40)).astype(np.int16)
    with path.open("wb") as file:
        np.save(file, {"codes": codes, "metadata": {"text": "hi"}})  # type: ignore[arg-type]
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(engine: Engine, *flags: str, text: str = TEXT, reference: str = "clear-man") -> Request:
    return make_request(engine, parse([text, reference, *flags]), seed=7)


def test_what_is_asked_without_a_flag(engine: Engine) -> None:
    request = asked(engine)
    assert (request.task, request.mode, request.language, request.seed) == ("tts", "ar+nar", "en", 7)
    assert [sentence.text for sentence in request.sentences] == ["Hello there.", "How are you?"]
    assert request.prompt is not None and request.prompt.voice == "clear-man"
    assert request.max_levels == 8 and request.stack.to_dict()["ar"] == engine.default_stack.to_dict()["ar"]


def test_references_are_joined_and_trimmed(engine: Engine) -> None:
    one = asked(engine, "--input-prompt-length", "1").prompt
    two = asked(engine, "--input-prompt-length", "1", reference="clear-man;calm-woman").prompt
    assert one is not None and two is not None
    assert len(one.codes) == 75 and len(two.codes) == 150
    assert np.array_equal(two.codes[:75], one.codes)
    assert asked(engine, reference="none").prompt is None


def test_limits_and_segments(engine: Engine) -> None:
    assert asked(engine, "--max-duration", "30").max_frames == 30
    assert asked(engine, "--max-levels", "3").max_levels == 4
    assert len(asked(engine, "--split-text-by", "none").sentences) == 1
    assert asked(engine, "--context-history", "2").history == 2


def test_modes_and_demasking(engine: Engine) -> None:
    request = asked(engine, "--modality", "nar-len", "--max-steps", "9")
    assert request.mode == "nar-len" and request.demasking.steps == 9
    assert asked(engine, "--refine-on-stop").refine


def test_an_artifact_is_what_is_begun_with(engine: Engine, artifact: Path) -> None:
    request = asked(
        engine, "--modality", "nar-len", "--load-from-artifact", str(artifact), "--denoise-start", "0.4"
    )
    assert request.demasking.start == 0.4 and request.sources[0].codes.shape == (40, 8)


def test_speech_that_is_there_is_not_forgotten_by_a_mode_without_use_for_it(
    engine: Engine, artifact: Path
) -> None:
    for mode in ("ar+nar", "ar+nar-len"):
        with pytest.raises(
            UserError, match=r"has no use for speech .*; leave the source out, or take nar or nar-len"
        ):
            asked(engine, "--modality", mode, "--load-from-artifact", str(artifact))


def test_prefixes(engine: Engine) -> None:
    still = asked(engine, "--prefix-silence", "0.4").prefix
    spoken = asked(engine, "--input-prompt-prefix").prefix
    assert still is not None and len(still.codes) == 30 and still.sentence.ids == ()
    assert spoken is not None and len(spoken.codes) > 75 and spoken.sentence.ids


def test_phonemes_as_they_are_written(engine: Engine) -> None:
    for flags in (["--no-phonemize"], ["--phonemizer", "ipa"]):
        request = asked(engine, *flags, text="həlˈoʊ.")
        assert request.sentences[0].phonemes == "həlˈoʊ."
    assert asked(engine, "--text-language", "de", text="Wagen.").sentences[0].phonemes.startswith("v")


def test_leaving_at_an_early_layer(engine: Engine) -> None:
    exit_ = asked(
        engine,
        "--layer-skip",
        "--layer-skip-exit-layer",
        "2",
        "--layer-skip-entropy-threshold",
        "0.5",
        "--layer-skip-varentropy-threshold",
        "0.6",
    ).recipe.early_exit
    assert exit_ is not None and (exit_.layer, exit_.entropy, exit_.varentropy) == (2, 0.5, 0.6)
    assert asked(engine, "--layer-skip").recipe.early_exit is not None
    assert asked(engine).recipe.early_exit is None


def test_a_transcription_is_of_the_reference(engine: Engine) -> None:
    request = asked(engine, "--task", "stt", text="")
    assert request.task == "stt" and len(request.sources) == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--denoise-start", "0.4"], "--load-from-artifact"),
        (["--layer-skip-exit-layer", "2"], "--layer-skip"),
        (["--input-prompt-length", "-1"], "--input-prompt-length"),
        (["--prefix-silence", "-1"], "--prefix-silence"),
        (["--phonemizer", "guess"], "phonemizer"),
        (["--language", "ja"], "'ja'"),
        (["--max-steps", "0"], "steps"),
        (["--max-levels", "9"], "levels"),
        (["--load-from-artifact", "missing.enc", "--modality", "nar"], "missing.enc"),
        (["--modality", "nar"], "--load-from-artifact"),
        (["--task", "phn"], "no task phn: it lacks an embedding of text. Tasks that it has: tts"),
        (["--task", "un-phn"], "no task un-phn: it lacks a head of text"),
    ],
)
def test_what_cannot_be_asked_is_one_line(engine: Engine, flags: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        asked(engine, *flags)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_speaks_and_keeps_the_session(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["Yes.", "clear-man", "out.wav", "--seed", "3", "--max-duration", "20", "--top-k", "5"])
    said = capsys.readouterr()
    assert status == 0 and said.out.split() == ["out.wav", "out.json"]
    assert (here / "out.wav").exists() and (here / "out.json").exists()
    assert "seed: 3" in said.err and '"k": 5' in said.err


@pytest.mark.parametrize(
    ("given", "setting", "value"),
    [
        ("--model mine.sft", "model", "mine.sft"),
        ("--yaml run.yaml", "model", "run.yaml"),
        ("--yaml run.yaml --model mine.sft", "model", "run.yaml"),
        ("--tokenizer words.json", "tokenizer", "words.json"),
        ("--codec weights.th", "codec", "weights.th"),
        ("--force-codec", "force_codec", True),
        ("--device cuda:1", "device", "cuda:1"),
        ("--dtype float16", "dtype", "float16"),
        ("--amp", "dtype", "bfloat16"),
        ("--amp --dtype float32", "dtype", "float32"),
        ("--attention math", "attention", "math"),
        ("--lora anna.safetensors@0.5", "adapters", (("anna.safetensors", 0.5),)),
        ("--language de", "language", "de"),
    ],
)
def test_what_the_model_is_loaded_with(
    given: str, setting: str, value: object, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[ModelChoice] = []

    def load(_: InProcessWorker, choice: ModelChoice) -> None:
        asked_for.append(choice)
        raise UserError("that is enough")

    (here / "anna.safetensors").touch()
    monkeypatch.setattr(InProcessWorker, "load", load)
    for flags in ([], given.split()):
        assert main(["Yes.", "none", *flags]) == 2
    plain, changed = (getattr(choice, setting) for choice in asked_for)
    assert changed == value != plain


def test_it_is_played_when_it_is_asked_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[Path] = []
    monkeypatch.setattr("valle_lab.cli.say.play", lambda file, _: played.append(file))
    for flags in ([], ["--play"]):
        assert main(["Yes.", "none", "out.wav", "--max-duration", "4", "--seed", "1", *flags]) == 0
    assert [file.name for file in played] == ["out.wav"]


def test_the_command_s_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["Hello.", "nobody"]) == 2
    assert main(["Hello.", "none", "--what"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("error: ") for line in lines)


def test_a_transcription_tells_the_settings_that_have_a_part_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wave = find_voice("clear-man").wave()
    whole = wav.write(tmp_path / "cut.wav", wave).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 3])
    assert main(["", str(tmp_path / "cut.wav"), "--task", "stt", "--seed", "3", "--play"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"{tmp_path / 'cut.wav'} is cut short: ")
    assert said[1] == "no part in task stt: --play"
    told = dict(line.split(": ", 1) for line in said[2:])
    assert told["task"] == '"stt"' and told["source"] == '"cut"' and told["seed"] == "3"
    assert list(json.loads(told["stack"])) == ["stt"]
    assert not told.keys() & {"voice", "mode", "phonemes", "max_frames", "max_levels", "history", "refine"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["--task", "stt", "--modality", "nar-len", "--max-levels", "2"],
            "task stt: --modality, --max-levels",
        ),
        (["--task", "stt", "out.wav", "--no-phonemize", "--top-k", "3"], "task stt: OUT, --no-phonemize"),
        (
            ["--task", "len", "--play", "--phonemizer", "ipa", "--input-prompt-length", "2"],
            "task len: --play",
        ),
        (["--task", "phn", "--context-history", "1"], "task phn: --context-history, REFERENCE"),
        (["--task", "un-phn", "--layer-skip", "--no-phonemize"], "task un-phn: --layer-skip, REFERENCE"),
        (["--task", "stt", "--input-prompt-length", "2", "--modality", "auto"], None),
        (["--modality", "nar-len", "--max-levels", "2", "out.wav", "--ar-temperature", "0.5"], None),
        (["--modality", "nar-len", "--layer-skip", "--top-k", "3"], "mode nar-len: --layer-skip"),
        (["--layer-skip", "--ar-temperature", "0.5", "--nar-temperature", "0.5"], None),
        (
            ["--modality", "nar", "--ar-temperature", "0.5", "--beam-width", "3", "--temperature", "0.4"],
            "mode nar: --ar-temperature, --beam-width",
        ),
    ],
)
def test_flags_that_have_no_part_in_a_task_or_mode_are_told(given: list[str], said: str | None) -> None:
    flags = parse([TEXT, "clear-man", *given])
    mode = "ar+nar" if flags.modality == "auto" else flags.modality
    stack = Stack.from_dict({"ar": [{"name": "draw"}]})
    sources = (Prompt(np.zeros((3, 8), np.int16), ""),) if flags.task == "stt" or mode == "nar" else ()
    request = Request(
        (Sentence("", "", (1, 4, 2)),),
        "en",
        stack,
        0,
        task=flags.task,
        mode=mode,
        sources=sources,
    )
    assert in_vain(flags, request) == ([] if said is None else [f"no part in {said}"])


@pytest.mark.parametrize(("mode", "is_vain"), [("ar+nar", True), ("nar-len", False)])
def test_rounds_that_a_mode_does_not_have_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, is_vain: bool
) -> None:
    flags = ["--modality", mode, "--max-steps", "3", "--max-duration", "8", "--seed", "1"]
    assert main(["Yes.", "none", str(tmp_path / "out.wav"), *flags]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "no part in mode" in line]
    assert len(lines) == is_vain and all(f"mode {mode};" in line for line in lines)
