"""The settings of a training: recipes that are kept, kinds of loss, what is left out of rows, the plot."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.valle.training.conftest import speech_shard
from valle.errors import UserError
from valle.training.__main__ import run
from valle.training.arguments import given_settings, parser
from valle.training.corpus import BOS, EOS, STOP, Corpus, Kind, Mix, make_row, some_holes, with_errors
from valle.training.losses import Parts
from valle.training.model_recipe import ModelRecipe, restored, settle
from valle.training.model_training import ModelTrainer
from valle.training.processes import Processes, device_of
from valle.training.runs import Run, Schedule
from valle.training.speech import speech_path

PLAIN = Mix(without_voice=0.0, without_both=0.0, hidden=0.0)


def test_a_recipe_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    recipe = ModelRecipe(dim=32, architecture="mamba", mix=Mix(kinds=(1, 2, 3, 4, 5), without_text=0.2))
    Run(tmp_path).save({"recipe": asdict(recipe)}, Schedule(fall="cosine"), 3)
    state = Run(tmp_path).load() or {}
    assert restored(state["recipe"]) == recipe
    assert Schedule(**state["schedule"]) == Schedule(fall="cosine")


def test_what_the_command_line_says_goes_into_the_recipe() -> None:
    words = "model --arch-type retnet --experts 4 --kinds 1,0,0,0,0 --without-text 0.1 --bitnet --loss whole"
    given = given_settings(parser().parse_args(words.split()))
    recipe = settle(given, None)
    assert recipe == ModelRecipe(
        architecture="retnet",
        experts=4,
        bitnet=True,
        loss="whole",
        mix=replace(Mix(), kinds=(1.0, 0.0, 0.0, 0.0, 0.0), without_text=0.1),
    )
    assert settle({}, recipe) == recipe
    assert settle(given, recipe) == recipe
    assert settle({"checkpointing": True}, recipe).checkpointing
    with pytest.raises(UserError, match="begun with experts 4, not 2; leave --experts out"):
        settle({"experts": 2}, recipe, stretch=True)
    with pytest.raises(UserError, match=r"begun with without_text 0\.1, not 0\.3"):
        settle({"without_text": 0.3}, recipe)
    assert settle({"without_text": 0.3}, recipe, stretch=True).mix.without_text == 0.3


@pytest.mark.parametrize(
    ("mix", "problem"),
    [
        ({"kinds": (1.0, 0.0)}, "kinds has 2 shares, it must have 5"),
        ({"levels": (0.0,) * 7}, "levels"),
        ({"without_voice": 0.7, "without_both": 0.7}, "without_voice, without_text and without_both"),
        ({"token_error": 1.5}, "token_error is 1.5, it must be from 0 to 1"),
    ],
)
def test_a_mix_that_has_no_sense(mix: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        settle(mix, None)


@pytest.mark.parametrize(
    ("given", "problem"),
    [({"batches": 0}, "batches"), ({"budget": -3}, "budget"), ({"other_rate": 0.0}, "other_rate")],
)
def test_a_recipe_that_has_no_sense(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        settle(given, None)


def test_the_cosine_falls_as_far_as_the_line() -> None:
    line, curve = (Schedule.over(100, 0.5, 1, fall=fall) for fall in ("linear", "cosine"))
    assert [curve.factor(step) for step in (10, 75, 100)] == pytest.approx(
        [line.factor(step) for step in (10, 75, 100)]
    )
    assert curve.factor(60) == pytest.approx(1 - 0.95 * (1 - np.cos(np.pi * 0.2)) / 2)
    assert curve.factor(60) > line.factor(60)


def test_a_schedule_of_its_own_goes_on(corpus: Corpus, model_recipe: ModelRecipe) -> None:
    """AdamW alone in full precision lowers the loss as well."""
    recipe = replace(model_recipe, optimizer="adamw", precision="float32", layers=1)
    trainer = ModelTrainer(recipe, corpus)
    assert [type(each).__name__ for each in trainer.optimizers] == ["AdamW"]
    losses = [result.loss for _ in range(12) for result in trainer.train_step(1.0) if result.kind == "ar"]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def of_one(recipe: ModelRecipe, corpus: Corpus) -> tuple[ModelTrainer, Parts, Any]:
    trainer = ModelTrainer(recipe, corpus)
    batch = corpus.batch(Kind.AR, PLAIN, 300, np.random.default_rng(0))
    return trainer, trainer.losses(batch), batch


def test_the_loss_in_pieces_and_as_a_whole(corpus: Corpus, model_recipe: ModelRecipe) -> None:
    recipe = replace(
        model_recipe,
        precision="float32",
        guide_layers=(),
        hearing_layers=(),
        text_factor=0.5,
        prompt_factor=0.25,
    )
    plain = of_one(recipe, corpus)[1]
    trainer, pieces, batch = of_one(replace(recipe, loss="pieces"), corpus)
    assert plain.total == plain.answer == pieces.answer
    assert plain.text == plain.prompt == 0
    weighted = pieces.answer + 0.5 * pieces.text + 0.25 * pieces.prompt
    assert pieces.total.item() == pytest.approx(weighted.item())
    # By hand: the logits after each phoneme but the last, row by row.
    model, found, ids = trainer.model, [], []
    for row in batch.rows:
        (layout,) = model.layouts([row], growing=True)
        packed = model.pack([layout])
        hidden = model.model(packed.embeddings, packed.positions, packed.limit, packed.mask)[0]
        found.append(model.answer("phonemes", hidden[: len(row.phonemes) - 1]))
        ids.append(row.phonemes[1:])
    assert functional.cross_entropy(torch.cat(found), torch.cat(ids)).item() == pytest.approx(
        pieces.text.item(), abs=1e-4
    )
    whole = of_one(replace(recipe, loss="whole"), corpus)[1]
    counts = [
        sum(len(target) for target in batch.targets),
        sum(len(row.phonemes) - 1 for row in batch.rows),
        sum(len(row.prompt) - 1 for row in batch.rows if row.prompt is not None),
    ]
    parts = [part.item() for part in (pieces.answer, pieces.text, pieces.prompt)]
    assert whole.total.item() == pytest.approx(np.average(parts, weights=counts), abs=1e-4)


def test_conditions_are_left_out_as_often_as_the_mix_says(corpus: Corpus) -> None:
    random = np.random.default_rng(3)
    mix = Mix(without_voice=0.2, without_both=0.1, without_text=0.3)
    rows = [make_row(corpus[0], corpus[1].codes, Kind.AR, mix, random)[0] for _ in range(600)]
    textless = [row.phonemes is not None and row.phonemes.tolist() == [BOS, EOS] for row in rows]
    voiceless = [row.prompt is None for row in rows]
    counts = [
        sum(text and voice for text, voice in zip(textless, voiceless, strict=True)),
        sum(voiceless),
        sum(textless),
    ]
    for count, share in zip(counts, (0.1, 0.3, 0.4), strict=True):
        assert count == pytest.approx(600 * share, abs=50)


@pytest.mark.parametrize("kind", list(Kind))
def test_wrong_codes_are_read_and_never_asked_for(corpus: Corpus, kind: Kind) -> None:
    random = np.random.default_rng(1)
    row, _, _ = make_row(corpus[0], corpus[1].codes, kind, PLAIN, random)
    wrong = with_errors(row, kind, 0.5, random)
    if row.prompt is not None:
        assert 0.4 < float((wrong.prompt != row.prompt).float().mean()) < 0.6
    if row.response is not None:
        assert wrong.response is not None
        changed = wrong.response != row.response
        asked = slice(row.level, None) if kind is Kind.NAR else slice(0)
        assert not changed[:, asked].any()
        assert (wrong.response < STOP).all() or kind is Kind.NAR_LEN
        read = row.response[:, : row.level] if kind is Kind.NAR else row.response
        masked = read == STOP
        assert not changed[:, : read.shape[1]][masked].any()
        assert 0.25 < float(changed[:, : read.shape[1]][~masked].float().mean()) < 0.65
    assert with_errors(row, kind, 0.0, random) is row


def test_frames_that_are_left_out_are_the_dropout_token(corpus: Corpus, model_recipe: ModelRecipe) -> None:
    recipe = replace(model_recipe, precision="float32", layers=1, guide_layers=(), hearing_layers=())
    trainer = ModelTrainer(recipe, corpus)
    batch = corpus.batch(Kind.AR, replace(PLAIN, token_dropout=0.3), 300, np.random.default_rng(0))
    shares = [float(hole.float().mean()) for holes in batch.holes for hole in holes.values()]
    assert 0.2 < np.mean(shares) < 0.4
    assert some_holes(batch.rows[0], 0.0, np.random.default_rng(0)) == {}
    before = trainer.losses(batch).answer
    (gradient,) = torch.autograd.grad(before, trainer.model.dropout_token)
    assert gradient.abs().sum() > 0
    # What is left out cannot be told from another code in its place.
    row, holes = batch.rows[0], batch.holes[0]
    codes = torch.where(holes["response"][:, None], (row.response + 7) % STOP, row.response)
    batch.rows[0] = replace(row, response=codes)
    assert trainer.losses(batch).answer.item() == pytest.approx(before.item(), abs=1e-6)


def test_checkpointing_changes_no_loss(corpus: Corpus, model_recipe: ModelRecipe) -> None:
    """With the guide looking on, which the second run of a block meets again."""
    trainers = [ModelTrainer(replace(model_recipe, checkpointing=each), corpus) for each in (False, True)]
    first, second = ([trainer.train_step(1.0) for _ in range(2)] for trainer in trainers)
    assert first == second


def test_a_run_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    speech_shard(6).save(speech_path(tmp_path, 0))
    place = ["--folder", str(tmp_path), "--threads", "1"]
    small = ["--dim", "16", "--layers", "1", "--heads", "2", "--budget", "100", "--batches", "1"]
    run([*place, "model", "--name", "mine", *small, "--steps", "1", "--warmup", "1"])
    before = (tmp_path / "mine" / "state.pt").read_bytes()
    for words, problem in (
        ("--dim 24", "begun with dim 16, not 24"),
        ("--steps 3", "one of 1 steps, not 3"),
        ("--warmup 2", "begun with warmup 1, not 2; leave --warmup out"),
        ("--more 1 --warmup 2", "begun with warmup 1, not 2"),
        ("--fall cosine", "begun with fall linear, not cosine"),
        ("--recordings .", "The saved run is not one of recordings"),
        ("--more 1 --finish", "not allowed with argument --more"),
        ("--dim wide", "invalid int value: 'wide'; `python -m valle.training model --help`"),
        ("--name new --architecture lama", "unknown architecture 'lama'; .* did you mean llama"),
        ("--name new --dim 25", "must split into 4 heads"),
        ("--name new --start builtin --dim 16 --heads 2", "another configuration"),
        ("--name new --recordings nowhere", "is not a folder"),
        ("--name new --device cuda:7", "The device cuda:7 is not there"),
        ("--more -3", "--more is -3, it must be 0 or more"),
        ("--decay 2", "--decay is 2, it must be a share"),
    ):
        with pytest.raises(UserError, match=problem):
            run([*place, "model", "--name", "mine", *words.split()])
    assert (tmp_path / "mine" / "state.pt").read_bytes() == before
    assert not (tmp_path / "new").exists()
    with pytest.raises(UserError, match=r"not of the built-in model's shape; name a file with --out"):
        run([*place, "export", "model", "--name", "mine"])
    (tmp_path / "mine" / "state.pt").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"state\.pt: cannot be read"):
        run([*place, "model", "--name", "mine"])


def test_the_metrics_are_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    place = ["--folder", str(tmp_path), "plot", "--name", "mine"]
    with pytest.raises(UserError, match="train the run first"):
        run(place)
    lines = [{"minutes": 1, "step": step, "of": 9, "ar": 7 - step / 3, "ar_right": 0.1} for step in range(9)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run(place)
    assert (folder / "metrics.png").read_bytes().startswith(b"\x89PNG")
    (folder / "metrics.jsonl").write_text("{]\n")
    with pytest.raises(UserError, match="is no metrics file"):
        run(place)


def test_one_line_of_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    run_ = Run(tmp_path)
    run_.show("25/50  ar 6.9")
    assert capsys.readouterr().err == "25/50  ar 6.9\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run_.show("30/50")
    run_.show("35/50")
    run_.end_line()
    assert capsys.readouterr().err.replace("\r\x1b[2K", "|") == "|30/50|35/50\n"


def test_torchrun_leaves_the_options_to_us() -> None:
    """It takes the beginning of an option for the option, also behind the program's name."""
    from torch.distributed.run import get_args_parser

    command = parser()._subparsers
    assert command is not None
    (commands,) = command._group_actions
    assert commands.choices is not None
    model = dict(commands.choices)["model"]  # type: ignore[call-overload]
    for action in model._actions:
        words = ["-m", "valle.training", "model", action.option_strings[-1]]
        assert get_args_parser().parse_args(words).training_script_args == words[2:]


def test_devices_and_shares() -> None:
    assert device_of("cpu").type == "cpu"
    with pytest.raises(UserError, match="'tpu9' is not known"):
        device_of("tpu9")
    assert list(Processes(1, 2).share(6)) == [1, 3, 5]
    with pytest.raises(UserError, match="3 batches a step cannot be shared by 2 processes"):
        Processes(0, 2).share(3)
