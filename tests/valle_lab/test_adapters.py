"""Adapters from the command line to the replay: loaded, changed while a take runs, kept in its session."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import Say, Tiny, make_tiny

from valle.control import Event, LiveControl, ScheduledControl
from valle.errors import UserError
from valle.inference import Engine
from valle.models.adapters import AdapterShape, Matrices, fresh, save
from valle.take import Take, codes_sha256
from valle_lab.adapters import find_adapter, known_adapters, parse_adapters
from valle_lab.cli import main
from valle_lab.lab.lab import Lab
from valle_lab.player import Player
from valle_lab.session.convert import to_session_take
from valle_lab.session.engines import Choices, Engines
from valle_lab.session.origin import origin_of
from valle_lab.session.replay import Options, replay_file
from valle_lab.session.save import save_session
from valle_lab.session.schema import new_session
from valle_lab.settings import load_settings
from valle_lab.sinks import open_sink
from valle_lab.worker.inprocess import InProcessWorker


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The small model, with two adapters of it in a folder of their own."""
    tiny = make_tiny(tmp_path_factory.mktemp("tiny"))
    folder = tiny.folder / "adapters"
    folder.mkdir()
    engine = load(tiny)
    for seed, name in enumerate(("anna", "bert")):
        torch.manual_seed(seed)
        made = fresh(engine.model, name, AdapterShape(rank=2, alpha=8.0, phases=("ar", "nar")[: 2 - seed]))
        layers = {path: Matrices(down, torch.randn_like(up)) for path, (down, up) in made.layers.items()}
        save(folder / f"{name}.safetensors", replace(made, layers=layers, model=engine.model_hash))
    engine.close()
    with tiny.config.open("a") as file:
        file.write(f"paths.adapters = {json.dumps(str(folder))}\n")
    return tiny


def load(tiny: Tiny, **more: object) -> Engine:
    codec = str(tiny.folder / "codec.safetensors")
    return Engine.load(str(tiny.model), codec=codec, device="cpu", threads=1, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engine(tiny: Tiny) -> Iterator[Engine]:
    engine = load(tiny, adapters=[(tiny.folder / "adapters" / "anna.safetensors", 0.5)])
    yield engine
    engine.close()


def speak(engine: Engine, control: object = None, **more: object) -> Take:
    request = engine.request("Hello.", seed=1, max_seconds=0.2)
    return engine.generate(replace(request, **more), control).finish()  # type: ignore[arg-type]


def test_a_change_of_strength_is_an_event_that_replays(tiny: Tiny, engine: Engine, tmp_path: Path) -> None:
    live = LiveControl()
    steps = engine.generate(engine.request("Hello.", seed=1, max_seconds=0.2), live)
    for number, _ in enumerate(steps):
        if number == 3:
            live.put(Event("adapter", "anna", -1.5))
        if number == 6:
            live.put(Event("adapter", "anna", 0))
    take = steps.take
    assert [(event.value, event.place and event.place.step) for event in take.events] == [(-1.5, 4), (0, 7)]
    same = speak(engine, ScheduledControl(take.events))
    assert codes_sha256(same.segments) == codes_sha256(take.segments)
    assert codes_sha256(speak(engine).segments) != codes_sha256(take.segments)
    assert [use.strength for use in take.request.recipe.adapters] == [0.5]

    file = tmp_path / "take.json"
    save_session(new_session(to_session_take(take, origin_of(engine, "en"))), file)
    folder = tiny.folder / "adapters"
    choices = Choices(model=str(tiny.model), codec=str(tiny.folder / "codec.safetensors"), adapters=folder)
    for lora, verdict in ((None, "identical"), ("anna", "identical")):
        engines = Engines(replace(choices, lora=lora))
        (report,) = replay_file(file, Options("exact"), engines)
        assert (report.verdict, report.error) == (verdict, None)
        engines.close()
    engines = Engines(replace(choices, adapters=None))
    (report,) = replay_file(file, Options(), engines)
    assert "which is not here; name its file with --lora" in str(report.error)


def test_a_take_replayed_with_another_adapter_is_judged(tiny: Tiny, engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "take.json"
    save_session(new_session(to_session_take(speak(engine), origin_of(engine, "en"))), file)
    choices = Choices(model=str(tiny.model), codec=str(tiny.folder / "codec.safetensors"))
    for lora in ("bert", ""):
        engines = Engines(replace(choices, lora=lora, adapters=tiny.folder / "adapters"))
        (report,) = replay_file(file, Options(), engines)
        assert (report.verdict, report.kind) == ("diverged", "model")
        engines.close()


def test_impossible_changes_are_refused(engine: Engine) -> None:
    for name, value, said in (
        ("vice", 1.0, "no adapter 'vice' loaded; there is anna"),
        ("anna", "much", "strength of the adapter anna must be a number from -10 to 10, not 'much'"),
        ("anna", True, "must be a number"),
        ("anna", 11, "must be a number from -10 to 10, not 11"),
    ):
        live = LiveControl()
        live.put(Event("adapter", name, value))
        take = speak(engine, live)
        assert said in live.refused[0][1] and not take.events


def test_the_model_is_what_it_was_when_adapters_are_out(tiny: Tiny) -> None:
    engine = load(tiny)
    plain = codes_sha256(speak(engine).segments)
    folder = tiny.folder / "adapters"
    engine.use_adapters([(folder / "anna.safetensors", 1.0), (folder / "bert.safetensors", 2.0)])
    recipe = engine.recipe
    assert [(use.name, use.strength) for use in recipe.adapters] == [("anna", 1.0), ("bert", 2.0)]
    changed = codes_sha256(speak(engine).segments)
    assert changed != plain
    with pytest.raises(UserError, match="There is an adapter anna already"):
        engine.use_adapters([(folder / "anna.safetensors", 1.0)] * 2)
    assert engine.recipe.adapters == () and codes_sha256(speak(engine).segments) == plain
    with pytest.raises(UserError, match=r"with the adapter anna .* is not loaded"):
        speak(engine, recipe=recipe)
    engine.close()


def test_say_takes_adapters(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    say = Say(tiny, capsys)
    plain, full, half = (
        say("--seed", "3", "--lora", lora, "--out", f"{number}.wav")
        for number, lora in enumerate(("", "anna", "anna@0.5,bert"))
    )
    assert len({document["codes_sha256"][0] for document in (plain, full, half)}) == 3
    assert main(["replay", "2.json", *say.config]) == 0
    assert main(["replay", "2.json", "--lora", "anna", *say.config]) == 1
    capsys.readouterr()
    assert "did you mean anna?" in say.refused("--lora", "ana")
    assert "must be a number, as in" in say.refused("--lora", "anna@full")
    shutil.copy(tiny.model, "model.sft")
    assert "no matrix of an adapter" in say.refused("--lora", "model.sft")


def test_files_are_found_by_name_and_described(tiny: Tiny, tmp_path: Path) -> None:
    folder = tiny.folder / "adapters"
    anna, bert = known_adapters(folder)
    assert (anna.name, anna.rank, anna.phases, bert.phases) == ("anna", 2, ("ar", "nar"), ("ar",))
    assert len(anna.model) == 64 and anna.problem is None and (anna.bytes or 0) < 20_000
    file = str(folder / "anna.safetensors")
    assert parse_adapters(" anna@-0.5 , bert", folder)[0] == (file, -0.5)
    assert find_adapter(file, tmp_path) == Path(file) and parse_adapters("", folder) == ()
    with pytest.raises(UserError, match="did you mean bert"):
        find_adapter("berth", folder)
    with pytest.raises(UserError, match="from -10 to 10"):
        parse_adapters("anna@99", folder)
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    shutil.copy(tiny.model, tmp_path / "model.safetensors")
    assert [found.problem is not None for found in known_adapters(tmp_path)] == [True, True]
    assert known_adapters(tmp_path / "none") == []


def test_the_lab_loads_switches_and_unloads_while_the_model_stays(tiny: Tiny) -> None:
    worker = InProcessWorker()
    lab = Lab(load_settings(tiny.config), lambda _: worker, lambda: Player(open_sink("none", "auto", "auto")))
    lab.start()
    lab.wait()
    engine = worker.service.engine
    with pytest.raises(UserError, match="no adapter is loaded"):
        lab.run_line("adapter.switch anna off")
    lab.run_line("adapter.load anna@0.5")
    lab.wait()
    assert worker.service.engine is engine
    assert [(use.name, use.strength) for use in lab.adapters] == [("anna", 0.5)]
    assert [found.name for found in lab.run_line("adapter.list")] == ["anna", "bert"]
    lab.seed, lab.voice = 5, None
    codes = {}
    for line in ("adapter.strength anna 2", "adapter.switch anna off", "adapter.switch anna on"):
        lab.run_line(line)
        take = lab.run("take.speak", "Hello.")
        lab.wait()
        codes[line] = codes_sha256(take.segments)
        assert take.take.request.recipe.adapters == lab.adapters == lab.run_line("adapter.loaded")
    first, second, third = codes.values()
    assert first == third != second
    with pytest.raises(UserError, match="loaded already"):
        lab.run_line("adapter.load anna")
    with pytest.raises(UserError, match="no adapter 'bert' loaded; there is anna"):
        lab.run_line("adapter.strength bert 1")
    lab.run_line("adapter.unload anna")
    lab.wait()
    take = lab.run("take.speak", "Hello.")
    lab.wait()
    assert lab.adapters == () and codes_sha256(take.segments) == second
    lab.close(discard=True)
