"""`valle-lab say` from the command line to its files, with a real model that is small and knows nothing."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import Say, Tiny

from valle.audio import wav
from valle.audio.riff import read_text
from valle.errors import UserError
from valle_lab.cli import main
from valle_lab.session.save import load_session, parse_session
from valle_lab.worker.inprocess import InProcessWorker
from valle_lab.worker.messages import ModelChoice

NO_STOP = ("--set", "minimum_length.steps=100000")


def test_it_tells_what_it_made(say: Say, here: Path) -> None:
    made = say("--seed", "5", "--out", "a.wav", *NO_STOP)
    assert (made["session"], made["wav"], made["seed"]) == ("a.json", "a.wav", 5)
    assert (made["frames"], made["seconds"], made["stop"]) == (30, 0.4, "length")
    assert made["ar_steps_per_second"] > 0
    assert made["real_time_factor"] > 0
    take = load_session("a.json").take()
    for level, told in enumerate(made["codes_sha256"]):
        codes = np.concatenate([segment.levels[level].values() for segment in take.segments])
        assert hashlib.sha256(codes.astype("<i2").tobytes()).hexdigest() == told
    assert len(wav.read("a.wav", silent_ok=True)) == 30 * 320
    assert sorted(file.name for file in here.iterdir()) == ["a.json", "a.wav"]


def test_the_wav_carries_its_session(say: Say) -> None:
    say("--seed", "5", "--out", "a.wav")
    text = read_text("a.wav")
    assert text is not None
    assert parse_session(text) == load_session("a.json") == load_session("a.wav")


def test_without_a_name_it_finds_one_and_says_where(
    tiny: Tiny, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in ("", "-2"):
        assert main(["say", "Hello, you.", "--config", str(tiny.config), "--seed", "9"]) == 0
        wrote = capsys.readouterr().out.splitlines()
        assert wrote == [f"out/hello-you-9{number}.wav", f"out/hello-you-9{number}.json"]
        assert all((here / name).is_file() for name in wrote)


def test_the_session_goes_where_it_is_told(say: Say, here: Path) -> None:
    say("--out", "sound/a.wav", "--session", "papers/b.json")
    assert sorted(file.name for file in here.rglob("*.*")) == ["a.wav", "b.json"]


def test_the_seed_decides_and_zero_is_one(say: Say) -> None:
    first, again, other = (
        say("--seed", seed, "--out", "a.wav") for seed in ("0", "0", "18446744073709551615")
    )
    assert first["codes_sha256"] == again["codes_sha256"] != other["codes_sha256"]
    assert (first["seed"], other["seed"]) == (0, 2**64 - 1)
    assert say("--out", "a.wav")["seed"] != say("--out", "a.wav")["seed"]


def test_settings_of_the_stack_are_in_the_session(say: Say, here: Path) -> None:
    Path("stack.toml").write_text('ar = [{name = "min_p", p = 0.2}, {name = "draw"}]\n')
    say(
        "--stack",
        "stack.toml",
        "--set",
        "temperature.value=0.5",
        "--set",
        "nar.3:top_k.k=4",
        "--out",
        "a.wav",
    )
    stack = load_session("a.json").take().request.stack
    names = {key: [stage["name"] for stage in stages] for key, stages in stack.items()}
    assert names["ar"] == ["min_p", "temperature", "draw"]
    assert "greedy" in names["nar"]
    assert "top_k" in names["nar.3"]


def test_a_preset_is_spoken_with_and_a_file_goes_over_it(say: Say, here: Path) -> None:
    say("--preset", "zonos", "--set", "min_p.p=0.2", "--out", "a.wav")
    stack = load_session("a.json").take().request.stack
    assert [stage["name"] for stage in stack["ar"]] == ["guidance", "repetition_penalty", "min_p", "draw"]
    assert (stack["ar"][1]["window"], stack["ar"][2]["p"]) == (2, 0.2)
    assert {"name": "min_p", "p": 0.1} in [
        {"name": item["name"], "p": item.get("p")} for item in stack["nar"]
    ]
    Path("stack.toml").write_text('ar = [{name = "greedy"}]\n')
    say("--preset", "zonos", "--stack", "stack.toml", "--out", "b.wav")
    stack = load_session("b.json").take().request.stack
    assert [stage["name"] for stage in stack["ar"]] == ["greedy"]
    assert "min_p" in [stage["name"] for stage in stack["nar"]]


def test_changes_take_effect_at_their_step(say: Say) -> None:
    plain = say("--seed", "1", "--out", "a.wav", *NO_STOP)
    changed = say("--seed", "1", "--out", "b.wav", *NO_STOP, "--at", "12:top_k.k=1", "--at", "999:top_k.k=2")
    assert changed["codes_sha256"] != plain["codes_sha256"]
    one, two = (load_session(name).take() for name in ("a.json", "b.json"))
    codes = [take.segments[0].levels[0].values() for take in (one, two)]
    assert (codes[0][:12] == codes[1][:12]).all()
    assert (codes[0][12:] != codes[1][12:]).any()
    assert [(event.place.step, event.name, event.value) for event in two.events] == [(12, "ar:top_k.k", 1)]
    assert main(["replay", "b.json", "--mode", "exact", *say.config]) == 0
    assert len(changed["vain"]) == 1
    assert "999" in changed["vain"][0]


def test_every_sentence_is_a_segment(say: Say) -> None:
    made = say("--out", "a.wav", *NO_STOP, text="Hello there. How are you?")
    assert [segment["frames"] for segment in made["segments"]] == [30, 30]
    assert made["frames"] == 60
    made = say("--out", "a.wav", "--split-by", "none", *NO_STOP, text="Hello there. How are you?")
    assert len(made["segments"]) == 1


def test_text_from_stdin(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Grüße, [red]you[/].".encode())))
    say("--out", "a.wav", text="-")
    assert load_session("a.json").take().request.sentences[0].text == "Grüße, [red]you[/]."


def test_a_part_of_a_recording_is_the_voice(say: Say, tiny: Tiny) -> None:
    say("--voice", str(tiny.folder / "voices" / "hum.wav"), "--prompt", "0.2+0.4", "--out", "a.wav")
    prompt = load_session("a.json").take().request.prompt
    assert prompt is not None
    assert prompt.codes.shape == (30, 8)
    assert prompt.voice == "hum"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--voice", "nobody"], "nobody"),
        (["--voice", "missing.wav"], "missing.wav"),
        (["--prompt", "9+1"], "lies outside"),
        (["--prompt", "1"], "START+SECONDS"),
        (["--preset", "llama"], 'the nearest is "llama3"'),
        (["--preset", "magnet"], "nar-len"),
        (["--stack", "missing.toml"], "missing.toml"),
        (["--set", "temprature.value=1"], 'nearest is "temperature"'),
        (["--set", "temperature.vlaue=1"], 'nearest is "value"'),
        (["--set", "temperature.value=hot"], "must be a number"),
        (["--set", "temperature.value=-1"], "between 0"),
        (["--set", "temperature.value=nan"], "temperature.value"),
        (["--set", "nar:repetition_penalty.penalty=2"], "makes no sense in nar"),
        (["--set", "temperature"], "temperature"),
        (["--at", "40:temprature.value=1"], 'nearest is "temperature"'),
        (["--at", "x"], "--at 'x'"),
        (["--at", "3:top_k#3.k=1"], "top_k"),
        (["--mode", "sung"], "sung"),
        (["--denoise-start", "0.4"], "--source"),
        (["--mode", "nar-len", "--steps", "0"], "steps"),
        (["--mode", "nar"], "source"),
        (["--history", "-1"], "history"),
        (["--refine", "--mode", "nar-len"], "refined"),
        (["--task", "stt"], "stt"),
        (["--seed", "-1"], "seed"),
        (["--seed", "18446744073709551616"], "seed"),
        (["--max-duration", "0"], "max_duration"),
        (["--max-duration", "nan"], "max_duration"),
        (["--threads", "0"], "threads"),
        (["--device", "abacus"], "device"),
        (["--device", "cuda:9"], "cuda:9"),
        (["--dtype", "int8"], "dtype"),
        (["--language", "xx"], "xx"),
        (["--language", "de"], "de"),
        (["--model", "missing.safetensors"], "missing.safetensors"),
        (["--codec", "missing.safetensors"], "missing.safetensors"),
        (["--out", "a.mp3"], ".wav"),
        (["--out", "/proc/here/a.wav"], "/proc/here"),
        (["--session", "a.txt"], ".json"),
        (["--split-by", "word"], "word"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--lora", "x"], "adapter 'x'"),
        (["--phonemizer", "guess"], "espeak, model, ipa"),
        (["--phonemizer", "model"], "no task phn"),
        (["--text-language", "tlh"], "tlh"),
    ],
)
def test_bad_input(arguments: list[str], says: str, say: Say) -> None:
    assert says in say.refused(*arguments)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no text"),
        (" \n\t", "no text"),
        ("...", "no sound"),
        ("a" * 5000, "--split"),
        ("\udcff", "UTF-8"),
    ],
)
def test_bad_text(text: str, says: str, say: Say) -> None:
    assert says in say.refused(text=text)


def test_a_long_text_is_spoken_in_pieces_when_that_is_asked_for(say: Say) -> None:
    text = "word " * 401
    assert "2005 characters" in say.refused(text=text)
    made = say("--split", "--max-duration", "0.02", "--out", "a.wav", text=text)
    assert 13 <= len(made["segments"]) <= 20


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("modle = 1", "did you mean 'model'"),
        ("seed = -1", "seed"),
        ("seed = [", "TOML"),
        ("stacks.ar = []", "ar"),
    ],
)
def test_bad_settings(content: str, says: str, say: Say) -> None:
    Path("lab.toml").write_text(content)
    error = say.refused()
    assert says in error
    assert "lab.toml" in error


@pytest.mark.parametrize("name", ["empty.wav", "noise.wav", "silent.wav", "folder.wav"])
def test_a_recording_that_cannot_be_a_voice(name: str, say: Say) -> None:
    Path("empty.wav").touch()
    Path("noise.wav").write_bytes(b"RIFF" + bytes(range(200)))
    wav.write("silent.wav", np.zeros(24_000, np.float32))
    Path("folder.wav").mkdir()
    assert name in say.refused("--voice", name)


def test_codes_of_another_codec(say: Say, tiny: Tiny) -> None:
    error = say.refused("--codec", str(tiny.folder / "other_codec.safetensors"))
    assert "is not the one that the model speaks" in error


def test_a_model_is_found_by_its_name(say: Say, tiny: Tiny, here: Path) -> None:
    Path("lab.toml").write_text(f"paths.models = {json.dumps(str(tiny.folder))}\n")
    say("--model", tiny.model.stem, "--out", "a.wav")
    assert load_session("a.json").take().origin.model.name == tiny.model.name
    codec = str(tiny.folder / "codec.safetensors")
    choice = ModelChoice(tiny.model.stem, codec, models=str(tiny.folder), threads=1, device="cpu")
    worker = InProcessWorker()
    assert worker.load(choice).result().model == tiny.model.name
    worker.close()
    with pytest.raises(UserError, match="'nowhere' is not there"):
        worker.load(replace(choice, model="nowhere")).result()


def test_nothing_is_imported_that_would_only_make_it_wait(say: Say) -> None:
    code = (
        "import sys; from valle_lab.cli import main; assert main(sys.argv[1:]) == 0; "
        "late = {'transformers', 'encodec', 'torch._dynamo', 'matplotlib', 'textual', 'sounddevice'};"
        "sys.exit(' '.join(late & set(sys.modules)) or 0)"
    )
    arguments = ("say", "Hello.", "--out", "a.wav", *say.config)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("step", "kept"), [(0, False), (12, True)])
def test_a_take_that_breaks_off_is_kept_as_far_as_it_came(
    step: int, kept: bool, say: Say, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = ",".join(map(str, range(1025)))
    ban = ("--at", f"{step}:ban_tokens.ids={everything}")
    assert main(["say", "Hello.", *say.config, "--out", "a.wav", *NO_STOP, *ban]) == 2
    error = capsys.readouterr().err
    assert f"step {step}" in error
    assert len(error.splitlines()) == 1 + kept
    assert [file.name for file in here.iterdir()] == ["a.jsonl"] * kept
    if kept:
        assert "a.jsonl" in error
        assert load_session("a.jsonl").take().segments[0].levels[0].shape == (step,)


def test_how_a_text_is_read(say: Say) -> None:
    say("--phonemizer", "ipa", "--max-duration", "0.1", "--out", "a.wav", text="həlˈoʊ.")
    assert load_session("a.json").take().request.sentences[0].phonemes == "həlˈoʊ."
    say(
        "--language",
        "auto",
        "--text-language",
        "de",
        "--max-duration",
        "0.1",
        "--out",
        "b.wav",
        text="Wagen.",
    )
    request = load_session("b.json").take().request
    assert request.language == "en" and request.sentences[0].phonemes.startswith("v")


def test_modes_and_what_they_take_are_kept_and_replayed(say: Say, here: Path) -> None:
    say("--mode", "nar-len", "--steps", "3", "--max-duration", "0.3", "--out", "a.wav", "--seed", "1")
    request = load_session("a.json").take().request
    assert request.mode == "nar-len" and request.demasking.steps == 3
    say("--history", "1", "--silence", "0.1", "--refine", "--max-duration", "0.2", "--out", "b.wav")
    request = load_session("b.json").take().request
    assert request.history == 1 and request.refine and request.prefix is not None
    assert main(["replay", "a.json", "b.json", "--mode", "exact", *say.config]) == 0


def test_what_a_mode_has_no_use_for_is_told(
    say: Say, tiny: Tiny, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = say("--steps", "4", "--out", "a.wav")
    assert [line for line in made["vain"] if "no part in mode ar+nar" in line] == made["vain"] != []
    for options, words in ((["--source", "x.wav"], "no use for speech"), (["--mode", "nar"], "--source")):
        wav.write("x.wav", np.sin(np.arange(9_000, dtype=np.float32)))
        assert main(["say", "Hello.", "--config", str(tiny.config), *options]) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert words in told


def test_a_voice_that_is_cut_short_is_told(
    tiny: Tiny, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = wav.write("short.wav", np.sin(np.arange(24_000, dtype=np.float32)))
    file.write_bytes(file.read_bytes()[:20_000])
    assert (
        main(["say", "Hello.", "--config", str(tiny.config), "--voice", "short.wav", "--out", "a.wav"]) == 0
    )
    assert "short.wav is cut short: 0.42 s of 1.00 s are there, and are used" in capsys.readouterr().err
