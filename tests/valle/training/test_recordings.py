"""One's own recordings: found, encoded, refused, and trained on from the weights of the package."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from valle.audio import wav
from valle.audio.builtin.codec import BuiltinCodec
from valle.errors import UserError
from valle.inference import BUILTIN_CODEC, BUILTIN_MODEL
from valle.text.tokens import BOS, EOS
from valle.training.__main__ import run
from valle.training.corpus import Corpus, Kind, Mix
from valle.training.recordings import encode_recordings, find_recordings
from valle.voices import BUILTIN_FOLDER, list_voices


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four of the package's voices as two speakers of two recordings each."""
    folder = tmp_path / "recordings"
    voices = [voice for voice in list_voices(tmp_path) if voice.recording.parent == BUILTIN_FOLDER][:4]
    for index, voice in enumerate(voices):
        place = folder / ("anna" if index < 2 else "ben")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(voice.recording, place)
        (place / f"{voice.name}.txt").write_text(voice.transcript + "\n", encoding="utf-8")
    return folder


def test_recordings_become_a_shard(folder: Path) -> None:
    found = find_recordings(folder)
    assert [each.speaker for each in found] == [0, 0, 1, 1]
    codec = BuiltinCodec.load(BUILTIN_CODEC)
    shard, left_out = encode_recordings(found, codec)
    assert left_out == []
    seconds = sum(wav.duration(each.file) for each in found)
    assert len(shard.codes) / codec.frame_rate == pytest.approx(seconds, abs=0.5)
    for begin, end in zip(shard.id_starts[:-1], shard.id_starts[1:], strict=True):
        assert (shard.ids[begin], shard.ids[end - 1]) == (BOS, EOS)
    corpus = Corpus()
    corpus.add(shard)
    batch = corpus.batch(Kind.AR, Mix(without_both=0.0), 500, np.random.default_rng(0))
    assert batch.aims == [None] * len(batch.rows)


def test_a_speaker_with_one_recording_has_no_prompt(folder: Path) -> None:
    for file in sorted((folder / "ben").iterdir())[:2]:
        file.unlink()
    corpus = Corpus()
    corpus.add(encode_recordings(find_recordings(folder), BuiltinCodec.load(BUILTIN_CODEC))[0])
    random = np.random.default_rng(0)
    assert corpus.prompt(2, random) is None
    assert corpus.prompt(0, random) is not None


def test_what_cannot_be_used_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        find_recordings(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no sound file"):
        find_recordings(tmp_path / "empty")
    wav.write(folder / "silent.wav", wav.silence(24000))
    with pytest.raises(UserError, match=r"has no silent\.txt beside it"):
        find_recordings(folder)
    (folder / "silent.txt").write_text("Nothing is heard.", encoding="utf-8")
    wav.write(folder / "long.wav", np.random.default_rng(0).normal(0, 0.1, 24000 * 13).astype(np.float32))
    (folder / "long.txt").write_text("Far too long.", encoding="utf-8")
    shard, left_out = encode_recordings(find_recordings(folder), BuiltinCodec.load(BUILTIN_CODEC))
    assert len(shard.speakers) == 4
    assert [line.split(":")[0].rsplit("/", 1)[-1] for line in left_out] == ["long.wav", "silent.wav"]
    assert "13.0 s; cut it to sentences of 0.4 to 12 s" in left_out[0]
    assert "silent" in left_out[1]


def test_training_goes_on_from_the_package(folder: Path, tmp_path: Path) -> None:
    from valle.checkpoints import native

    place = ["--folder", str(tmp_path / "run"), "--threads", "1"]
    run([*place, "recordings", str(folder)])
    run([*place, "model", "--steps", "1"])
    run([*place, "export", "model", "--out", str(tmp_path / "mine.safetensors")])
    before, after = native.load(BUILTIN_MODEL), native.load(tmp_path / "mine.safetensors")
    assert after.details.steps == before.details.steps + 1
    changes = [
        float((new - old).abs().max())
        for old, new in zip(before.model.parameters(), after.model.parameters(), strict=True)
    ]
    assert 0 < max(changes) < 0.01
    with pytest.raises(UserError, match="holds no shard"):
        run(["--folder", str(tmp_path / "other"), "--threads", "1", "model", "--steps", "1"])


def test_a_run_keeps_its_recordings(folder: Path, tmp_path: Path) -> None:
    command = ["--folder", str(tmp_path), "--threads", "1", "model", "--name", "mine"]
    small = ["--dim", "16", "--layers", "1", "--heads", "2", "--budget", "100", "--batches", "1"]
    run([*command, *small, "--warmup", "1", "--steps", "1", "--recordings", str(folder)])
    kept = (tmp_path / "mine" / "speech-000.npz").read_bytes()
    run([*command, "--more", "1"])
    run([*command, "--more", "1", "--recordings", str(folder)])
    after = (tmp_path / "mine" / "state.pt").read_bytes()
    next(folder.rglob("*.txt")).write_text("It says something else.", encoding="utf-8")
    with pytest.raises(UserError, match="holds other recordings than those that the run began with"):
        run([*command, "--more", "1", "--recordings", str(folder)])
    assert (tmp_path / "mine" / "speech-000.npz").read_bytes() == kept
    assert (tmp_path / "mine" / "state.pt").read_bytes() == after
