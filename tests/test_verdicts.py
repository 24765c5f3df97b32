"""What `valle-lab replay` says of the built-in voice: nothing else than threads, and what must be noticed.

The model's file, the session's cut and the session's seed are changed as little as can be.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from valle.inference import BUILTIN_MODEL
from valle_lab.cli import main
from valle_lab.session import schema
from valle_lab.session.save import load_session, save_session

STACK = ("--set", "top_p.p=0.6", "--set", "top_k.k=60", "--set", "temperature.value=1.1")


def make(folder: Path, threads: int) -> Path:
    """A second of the built-in voice, through top-k and top-p, made on so many threads."""
    file = folder / f"{threads}.json"
    options = ("--seed", "11", "--max-duration", "1.0", "--device", "cpu", "--threads", str(threads))
    assert main(["say", "Seven bridges.", *STACK, *options, "--out", str(file.with_suffix(".wav"))]) == 0
    return file


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same take as one thread and as two made it."""
    folder = tmp_path_factory.mktemp("verdicts")
    return {threads: make(folder, threads) for threads in (1, 2)}


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model with one matrix of a middle layer a hundredth larger."""
    from valle.checkpoints import native

    loaded = native.load(BUILTIN_MODEL)
    middle = loaded.model.config.layers // 2
    matrices = {
        name: weight
        for name, weight in loaded.model.state_dict().items()
        if f".layers.{middle}." in name and weight.ndim == 2
    }
    assert matrices
    next(iter(matrices.values())).mul_(1.01)
    file = tmp_path_factory.mktemp("other") / "other.safetensors"
    native.save(file, loaded.model, loaded.details)
    return file


def replay(file: Path, *options: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    """Exit code, the one report, and what was said on stderr."""
    capsys.readouterr()
    code = main(["replay", str(file), "--json", *options])
    printed = capsys.readouterr()
    (report,) = json.loads(printed.out)
    return code, report, printed.err


@pytest.mark.parametrize(("made", "replayed"), [(1, 2), (2, 1)])
def test_another_number_of_threads_is_benign_at_most(
    made: int, replayed: int, sessions: dict[int, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    stages = [stage["name"] for stage in load_session(sessions[made]).take().effective["ar"]]
    assert {"top_k", "top_p"} <= set(stages)
    assert load_session(sessions[made]).take().request.recipe.threads == made
    code, report, _ = replay(sessions[made], "--threads", str(replayed), capsys=capsys)
    assert (code, report["verdict"]) in ((0, "identical"), (3, "benign"))
    assert report["decisions"] > 200


def test_as_many_threads_as_recorded_give_the_same_bits(
    sessions: dict[int, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for file in sessions.values():
        code, report, _ = replay(file, "--mode", "exact", capsys=capsys)
        assert (code, report["verdict"], report["evidence_difference"]) == (0, "identical", 0.0)


def test_another_model_is_not_run(
    sessions: dict[int, Path], other_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report, error = replay(sessions[1], "--model", str(other_model), capsys=capsys)
    assert (code, report["verdict"]) == (2, "error")
    assert len(error.splitlines()) == 1
    assert "--any-model" in error and "builtin is" in error


@pytest.mark.parametrize("mode", ["tolerant", "forced"])
def test_a_weight_a_hundredth_larger_is_another_model(
    mode: str, sessions: dict[int, Path], other_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--any-model", "--model", str(other_model), "--mode", mode)
    code, report, _ = replay(sessions[1], *options, capsys=capsys)
    assert (code, report["verdict"], report["kind"]) == (1, "diverged", "model")
    assert report["other_model"] is not None


def test_a_take_of_a_model_that_is_not_here_is_not_run(
    sessions: dict[int, Path], other_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made.json"
    quick = ("--model", str(other_model), "--max-duration", "0.4", "--seed", "1", "--threads", "1")
    assert main(["say", "Hello.", *quick, "--out", str(made.with_suffix(".wav"))]) == 0
    code, _, error = replay(made, capsys=capsys)
    assert code == 2
    assert "other.safetensors" in error and "is not here" in error
    assert replay(made, "--model", str(other_model), capsys=capsys)[0] == 0
    code, report, _ = replay(made, "--any-model", capsys=capsys)
    assert (code, report["kind"]) == (1, "model")
    settings = tmp_path / "lab.toml"
    settings.write_text(f"paths.models = {json.dumps(str(other_model.parent))}\n")
    assert replay(made, "--config", str(settings), capsys=capsys)[0] == 0
    assert replay(made, "--config", str(settings), "--model", "other", capsys=capsys)[0] == 0


def changed(file: Path, target: Path, **request: Any) -> Path:
    """The session with something of its only request changed."""
    take = load_session(file).take()
    take = take.model_copy(update={"request": take.request.model_copy(update=request)})
    return save_session(schema.new_session(take), target)


def one_rank_fewer(take: schema.Take) -> tuple[int, float]:
    """A step that took the last id that top-p left, and a top-p that leaves there all but that one.

    The probabilities are those of the best eight raw logits in the evidence: top-p is the first stage.
    """
    trace = next(trace for trace in take.segments[0].traces if trace.phase == "ar")
    stage = next(number for number, name in enumerate(trace.measures.stages) if "top_p" in name)
    kept = trace.measures.kept.values()[stage, :, 0]
    evidence = trace.evidence
    assert evidence.top_logits is not None and evidence.top_ids is not None
    logits, ids = evidence.top_logits.values()[:, 0], evidence.top_ids.values()[:, 0]
    odds = np.exp(logits - evidence.logsumexp.values())
    tokens = trace.tokens.values()[:, 0]
    sums = odds.cumsum(axis=1)
    found = {
        step: float((sums[step, count - 2] + np.append(0, sums[step])[count - 2]) / 2)
        for step, count in enumerate(kept.tolist())
        if 2 <= count <= 8 and ids[step, count - 1] == tokens[step] and odds[step, count - 2] > 0.05
    }
    assert found, "no step took the last id that top-p left"
    return next(iter(found.items()))


@pytest.mark.parametrize("for_how_long", ["the whole take", "one step"])
def test_a_top_p_that_keeps_one_rank_fewer_is_another_sampler(
    for_how_long: str, sessions: dict[int, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take = load_session(sessions[1]).take()
    step, p = one_rank_fewer(take)
    if for_how_long == "one step":
        places = [schema.Place(segment=0, phase="ar", level=0, step=number) for number in (step, step + 1)]
        events = tuple(
            schema.Event(kind="set", name="top_p.p", value=value, place=place)
            for value, place in zip((p, 0.6), places, strict=True)
        )
        narrower = save_session(
            schema.new_session(take.model_copy(update={"events": events})), tmp_path / "a.json"
        )
    else:
        stages = [{**item, "p": p} if item["name"] == "top_p" else item for item in take.request.stack["ar"]]
        narrower = changed(sessions[1], tmp_path / "a.json", stack={**take.request.stack, "ar": stages})
    code, report, _ = replay(narrower, capsys=capsys)
    assert (code, report["verdict"], report["kind"]) == (1, "diverged", "sampler")
    if for_how_long == "one step":
        assert (report["different"], report["first_divergence"]["step"]) == (1, step)


def test_the_noise_of_another_seed_is_another_sampler(
    sessions: dict[int, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report, _ = replay(changed(sessions[1], tmp_path / "a.json", seed=12), capsys=capsys)
    assert (code, report["verdict"], report["kind"]) == (1, "diverged", "sampler")
