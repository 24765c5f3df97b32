"""Every command there is, given once by its line, and what it did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_engine import HEARD

from bench import Bench
from valle.audio import wav
from valle_lab import preferences
from valle_lab.lab import Lab, voices
from valle_lab.lab.commands import all_commands
from valle_lab.sinks import NullSink

Check = Callable[[Lab, Any], bool]


def stage_keys(lab: Lab) -> list[str]:
    assert lab.stack is not None
    return [stage.key for stage in lab.stack.effective("ar")]


TOUR: tuple[tuple[str, Check], ...] = (
    ("model.list", lambda lab, got: got[0].name == "builtin"),
    ("model.load builtin", lambda lab, got: lab.description is not None),
    ("text.set Some words. And [more].", lambda lab, got: lab.text == "Some words. And [more]."),
    ("text.language de", lambda lab, got: lab.language == "de"),
    ("text.limit 4", lambda lab, got: lab.max_seconds == 4),
    ("text.split line", lambda lab, got: lab.by == "line"),
    ("text.negative um", lambda lab, got: lab.negative_text == "um"),
    ("text.phonemizer espeak", lambda lab, got: lab.manner.phonemizer == "espeak"),
    ("text.phonemes", lambda lab, got: len(got.result(0)) == 2),
    ("mode.task tts", lambda lab, got: lab.manner.task == "tts"),
    ("mode.choose nar-len", lambda lab, got: lab.manner.mode == "nar-len"),
    ("mode.demasking steps 12", lambda lab, got: lab.manner.demasking.steps == 12),
    ("mode.source", lambda lab, got: lab.manner.source is None),
    ("mode.history 2", lambda lab, got: lab.manner.history == 2),
    ("mode.prefix off 0.5", lambda lab, got: lab.manner.silence == 0.5),
    ("mode.refine on", lambda lab, got: lab.manner.refine),
    ("mode.ar_frames 40", lambda lab, got: lab.manner.ar_frames == 40),
    ("mode.show", lambda lab, got: got["mode"] == "nar-len" and got["demasking"]["steps"] == 12),
    ("mode.reset", lambda lab, got: lab.manner.mode is None and lab.manner.history == 0),
    ("seed.set 5", lambda lab, got: lab.seed == 5),
    ("seed.lock", lambda lab, got: lab.seed is None),
    ("voice.add hum.wav hum", lambda lab, got: lab.voice == "hum"),
    ("voice.transcript Hum.", lambda lab, got: voices.chosen(lab).transcript == "Hum."),
    ("edit.load", lambda lab, got: lab.text == "Hum."),
    ("text.set Some words. And [more].", lambda lab, got: lab.text == "Some words. And [more]."),
    ("voice.list hum", lambda lab, got: [voice.name for voice in got] == ["hum"]),
    ("voice.trim 0.1 0.5", lambda lab, got: lab.part.seconds == 0.5),
    ("voice.cut 0.6", lambda lab, got: lab.part.seconds != 0.5),
    ("voice.loop 2", lambda lab, got: lab.part.looped == 2),
    ("voice.hear", lambda lab, got: lab.player is not None and lab.player.duration == 2),
    ("voice.negative none", lambda lab, got: lab.negative_voice == "none"),
    ("voice.microphone", lambda lab, got: got == "silence"),
    ("voice.record mine", lambda lab, got: lab.recording is not None),
    ("voice.recorded", lambda lab, got: lab.voice == "mine"),
    ("voice.none", lambda lab, got: lab.resolved_voice() is None),
    ("voice.choose auto", lambda lab, got: lab.resolved_voice() == "anna"),
    ("stack.set top_k.k 40", lambda lab, got: "top_k" in stage_keys(lab)),
    ("stack.add min_p", lambda lab, got: "min_p" in stage_keys(lab)),
    ("stack.move min_p 0", lambda lab, got: stage_keys(lab)[0] == "min_p"),
    ("stack.switch min_p off", lambda lab, got: not lab.stack.stages("ar")[0].on),
    ("stack.duplicate min_p", lambda lab, got: stage_keys(lab)[1] == "min_p#2"),
    ("stack.remove min_p#2", lambda lab, got: "min_p#2" not in stage_keys(lab)),
    ("stack.curve temperature.value linear 1 0.5 0 9", lambda lab, got: "curve" in str(lab.stack.to_dict())),
    ("stack.when min_p entropy 2", lambda lab, got: lab.stack.stages("ar")[0].when is not None),
    ("stack.lint", lambda lab, got: isinstance(got, tuple)),
    ("stack.show", lambda lab, got: {"ar", "nar", "nar_len"} <= set(got)),
    ("stack.save_preset mine", lambda lab, got: got.is_file()),
    ("stack.save_default", lambda lab, got: "min_p" in got.read_text()),
    ("stack.reset", lambda lab, got: stage_keys(lab) == ["temperature", "draw"]),
    ("stack.undo", lambda lab, got: "min_p" in stage_keys(lab)),
    ("stack.redo", lambda lab, got: "min_p" not in stage_keys(lab)),
    ("stack.preset mine", lambda lab, got: "min_p" in stage_keys(lab)),
    ("stack.presets", lambda lab, got: got[0] == "mine"),
    ("take.speak", lambda lab, got: lab.takes[0].stop == "stop"),
    ("take.speak Another one", lambda lab, got: lab.takes[1].text == "Another one"),
    ("voice.choose hum", lambda lab, got: lab.voice == "hum"),
    ("edit.compare 2", lambda lab, got: got.result(0).words == (("Hum.", "Another one"),)),
    ("voice.choose auto", lambda lab, got: lab.resolved_voice() == "anna"),
    ("take.list", lambda lab, got: len(got) == 2),
    ("take.choose 1", lambda lab, got: lab.chosen is lab.takes[0]),
    ("take.next", lambda lab, got: lab.chosen is lab.takes[1]),
    ("take.rate 3", lambda lab, got: lab.takes[1].rating == 3),
    ("take.note Fine.", lambda lab, got: lab.takes[1].notes == ("Fine.",)),
    ("take.about take-1", lambda lab, got: got["text"] == lab.takes[0].text),
    ("take.recall take-1", lambda lab, got: lab.text == lab.takes[0].text),
    ("take.hide take-1", lambda lab, got: lab.takes[0].hidden),
    ("take.show take-1", lambda lab, got: not lab.takes[0].hidden),
    ("take.play", lambda lab, got: lab.playing == "take-2"),
    ("take.pause", lambda lab, got: lab.player.state == "paused"),
    ("take.seek 0.1", lambda lab, got: lab.player.position == 0.1),
    ("take.skip 0.1", lambda lab, got: lab.player.position == 0.2),
    ("take.loop on", lambda lab, got: lab.player.loop),
    ("take.ab take-1", lambda lab, got: lab.chosen is lab.takes[0]),
    ("take.solo 3", lambda lab, got: lab.levels == 3),
    ("take.around 0.3", lambda lab, got: 0 < lab.player.duration <= 0.5),
    ("take.silence", lambda lab, got: lab.player.state == "stopped"),
    ("take.surprise", lambda lab, got: lab.row == got),
    ("whatif.take", lambda lab, got: got.result(0).first_change == 4),
    ("whatif.step 2", lambda lab, got: got.result(0).supposed and got.result(0).place.step == 2),
    ("whatif.follow on", lambda lab, got: got and lab.marks.view.take == lab.chosen.name),
    ("whatif.next", lambda lab, got: lab.row == got and got % 5 == 4),
    ("take.save out.wav", lambda lab, got: Path("out.wav").is_file()),
    ("session.save my.json", lambda lab, got: got.is_file() and not lab.record.unsaved),
    ("session.open my.json", lambda lab, got: len(lab.takes) == 2),
    ("settings.show theme", lambda lab, got: got == {"theme": "textual-dark"}),
    ("settings.set theme ansi", lambda lab, got: lab.settings.theme == "ansi"),
    ("sheet.make 3 5", lambda lab, got: [take.seed for take in got.takes] == [5, 6, 7] and got.over),
    ("sheet.sort seed", lambda lab, got: [row.seed for row in got.rows] == [5, 6, 7]),
    ("sheet.next", lambda lab, got: got.seed == 5 and lab.playing == got.name),
    ("sheet.keep", lambda lab, got: lab.sheet.takes[0].kept and lab.sheet.heard.seed == 6),
    ("sheet.drop", lambda lab, got: lab.sheet.takes[1].hidden and lab.sheet.heard.seed == 7),
    ("sheet.back", lambda lab, got: got.seed == 5),
    ("sheet.hear 3", lambda lab, got: got.seed == 7),
    ("sheet.seeds 8 9", lambda lab, got: [take.seed for take in got.takes] == [8, 9]),
    ("sheet.open take-3", lambda lab, got: lab.sheet is got and got.takes[0].seed == 5),
    ("sheet.show", lambda lab, got: [row.kept for row in got.rows] == [True, False, False]),
    ("sheet.stop", lambda lab, got: lab.sheet.over),
    ("ab.hold", lambda lab, got: lab.held is lab.stack),
    ("ab.presets mine llama3", lambda lab, got: lab.comparison.words == ("mine", "llama3")),
    ("ab.takes 3 4", lambda lab, got: got.words == ("seed 5", "seed 6") and got.parting is not None),
    ("ab.show", lambda lab, got: got.takes == ("take-3", "take-4")),
    ("ab.parting", lambda lab, got: lab.row == got.row and lab.chosen.name == "take-3"),
    ("trial.presets mine llama3", lambda lab, got: lab.takes[-1].text == "Some words. And [more]."),
    ("trial.open 3 4", lambda lab, got: got.view().ready),
    ("trial.play X", lambda lab, got: lab.playing is None and lab.player.duration > 0),
    ("trial.play Y", lambda lab, got: lab.trial.view().heard == ("X", "Y")),
    ("trial.choose X", lambda lab, got: {take for _, take, _ in got.key} == {"take-3", "take-4"}),
    ("trial.show", lambda lab, got: got.choice == "X"),
    ("trial.wins", lambda lab, got: [(item.wins, item.losses) for item in got] == [(1, 0)]),
    ("trial.open 4 5", lambda lab, got: lab.trial.name == "trial-2"),
    ("trial.resume", lambda lab, got: got.name == "trial-2" and got.view().ready),
    ("trial.list", lambda lab, got: [record.choice for record in got] == ["X", None]),
    ("stack.set temperature.value 0.7", lambda lab, got: lab.stack != lab.held),
    ("ab.speak", lambda lab, got: lab.comparison.same_noise),
    ("trial.speak", lambda lab, got: lab.takes[-1].seed == lab.takes[-2].seed),
    ("audition.seeds 9", lambda lab, got: len(got.ways) == 9),
    ("audition.next", lambda lab, got: lab.audition is not None),
    ("audition.again", lambda lab, got: lab.audition is not None),
    ("audition.keep", lambda lab, got: lab.audition is not None),
    ("audition.stop", lambda lab, got: lab.audition is not None and lab.audition.over),
    ("audition.show", lambda lab, got: got is lab.audition),
    ("audition.voices hum", lambda lab, got: [way.voice for way in got.ways] == ["hum"]),
    ("audition.presets mine llama3", lambda lab, got: [way.preset for way in got.ways] == ["mine", "llama3"]),
    ("audition.windows 0.5 0.5 hum", lambda lab, got: len(got.ways) == 2),
    ("take.choose take-1", lambda lab, got: lab.chosen is lab.takes[0]),
    ("fork.here 3", lambda lab, got: got.parent == "take-1" and got.fork.step == 3),
    ("fork.parent", lambda lab, got: lab.chosen is lab.takes[0]),
    ("fork.child", lambda lab, got: lab.chosen is lab.takes[-1]),
    ("fork.force 7 0/5", lambda lab, got: got.fork.step == 5 and got.how == "token 7"),
    ("fork.reseed 9 0/2", lambda lab, got: got.seed == 9),
    ("fork.sibling", lambda lab, got: lab.chosen is lab.takes[-1]),
    ("fork.tree", lambda lab, got: max(twig.depth for twig in got) == 3),
    ("take.transcribe take-1", lambda lab, got: got.answer.split()[0] == HEARD),
    ("take.words", lambda lab, got: len(got.result(0).split()) == 2),
    ("model.restart", lambda lab, got: lab.description is not None),
)
ELSEWHERE = {
    "take.stop",
    "take.cancel",
    "take.follow",
    "session.restore",
    "session.export",
    *(each.name for each in all_commands() if each.name.startswith(("adapter.", "layers."))),
}
"""Those that need a take that runs, a lab that was killed, a model or adapters: tested with these."""


class Silent:
    def stop(self) -> np.ndarray:
        return np.full(24_000, 0.2, np.float32)


def test_every_command_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preferences, "user_settings_file", lambda: tmp_path / "config" / "lab.toml")
    monkeypatch.setattr(voices, "_phonemes", lambda text, language: text)
    monkeypatch.setattr("valle_lab.microphone.Microphone", Silent)
    monkeypatch.setattr("valle_lab.microphone.microphone_name", lambda: "silence")
    monkeypatch.setattr("valle_lab.lab.transcripts.word_list", lambda language: ("hello",))
    monkeypatch.setattr(NullSink, "audible", True)
    tone = np.sin(np.arange(28_000) * 0.05).astype(np.float32)
    wav.write(tmp_path / "hum.wav", tone)
    bench = Bench(tmp_path)
    bench.workers[0].allow()
    lab = bench.lab
    for line, done in TOUR:
        got = lab.run_line(line)
        bench.workers[-1].allow()
        if line.startswith("audition."):
            for _ in range(50):
                lab.poll()
        else:
            lab.wait()
        assert done(lab, got), line
        if line.startswith("audition.") and line.split()[0][9:] in ("voices", "presets", "windows"):
            lab.run("audition.stop")
    given = {line.split()[0] for line, _ in TOUR}
    assert given | ELSEWHERE == {item.name for item in all_commands()}
