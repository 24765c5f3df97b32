"""``python -m valle TEXT REFERENCE OUT``: speak once, with the flags of the reference implementation."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from valle.command.flags import parse
from valle.errors import UserError
from valle.modes import SPEECH_TASKS
from valle.request import Request

if TYPE_CHECKING:
    import argparse

    from valle.inference import Engine
    from valle_lab.settings import Settings
    from valle_lab.worker.inprocess import InProcessWorker

MISUSED, INTERRUPTED = 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status. What a user can cause is one line on stderr."""
    try:
        return _run(parse(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(flags: argparse.Namespace) -> int:
    from valle.command.requests import make_request, recordings
    from valle.command.vain import in_vain
    from valle.voices import remarks_on
    from valle_lab.settings import load_settings
    from valle_lab.worker.inprocess import InProcessWorker

    seed = secrets.randbits(32) if flags.seed is None else flags.seed
    heard = recordings(flags)
    worker = InProcessWorker()
    try:
        settings = load_settings(None, {"model": flags.yaml or flags.model})
        _load(worker, flags, settings)
        engine = cast("Engine", worker.service.engine)
        request = make_request(engine, flags, seed)
        for remark in (*engine.remarks, *remarks_on(heard), *in_vain(flags, request)):
            print(remark, file=sys.stderr)
        _tell(engine, request)
        if flags.task not in SPEECH_TASKS:
            print(_told(engine, request))
            return 0
        return _speak(worker, flags, request, settings)
    finally:
        worker.close()


def _load(worker: InProcessWorker, flags: argparse.Namespace, settings: Settings) -> None:
    from valle_lab.adapters import parse_adapters
    from valle_lab.worker.messages import ModelChoice

    dtype = "bfloat16" if flags.amp and flags.dtype == "auto" else flags.dtype
    worker.load(
        ModelChoice(
            settings.model,
            codec=flags.codec or settings.codec,
            force_codec=flags.force_codec,
            device=flags.device,
            dtype=dtype,
            attention=flags.attention,
            language="en" if flags.language == "auto" else flags.language,
            models=str(settings.paths.models),
            tokenizer=flags.tokenizer or settings.tokenizer,
            adapters=parse_adapters(flags.lora or "", settings.paths.adapters),
        )
    ).result()


def _tell(engine: Engine, request: Request) -> None:
    """The settings that have a part in the task, on stderr."""
    recipe, stack = request.recipe, request.stack.effective_dict()
    speaks = request.task in SPEECH_TASKS
    phonemes = [sentence.phonemes for sentence in request.sentences]
    said = {
        "model": engine.model_name,
        "task": request.task,
        "mode": request.mode if speaks else None,
        "language": request.language,
        "voice": request.voice if speaks or request.task == "len" else None,
        "source": "; ".join(source.voice for source in request.sources) or None,
        "seed": request.seed,
        "device": recipe.device,
        "dtype": recipe.dtype,
        "attention": recipe.attention,
        "phonemes": phonemes if any(phonemes) else None,
        "max_frames": request.max_frames if speaks else None,
        "max_levels": request.max_levels if speaks else None,
        "history": request.history if speaks else None,
        "refine": request.refine if speaks else None,
        "demasking": asdict(request.demasking) if "nar_len" in request.phases else None,
        "early_exit": asdict(recipe.early_exit) if recipe.early_exit and "ar" in request.phases else None,
        "stack": {name: stages for name, stages in stack.items() if name.partition(".")[0] in request.phases},
    }
    for name, value in said.items():
        if value is not None:
            print(f"{name}: {json.dumps(value, ensure_ascii=False)}", file=sys.stderr)


def _told(engine: Engine, request: Request) -> str:
    """What a task that does not speak comes to: phonemes, text, or a number of frames."""
    from valle.prompts import told

    return told(engine, engine.generate(request).finish())


def _speak(worker: InProcessWorker, flags: argparse.Namespace, request: Request, settings: Settings) -> int:
    from valle_lab.cli.outputs import choose_outputs
    from valle_lab.speak import perform

    out = flags.out or flags.out_path
    outputs = choose_outputs(Path(out) if out else None, None, Path.cwd(), flags.text, request.seed)
    spoken = perform(worker, request, (), outputs, lambda _: None)
    for line in spoken.vain:
        print(line, file=sys.stderr)
    print("\n".join(str(file) for file in (spoken.wav, spoken.session) if file is not None))
    if flags.play and spoken.wav is not None:
        from valle_lab.cli.say import play

        play(spoken.wav, settings.audio)
    return INTERRUPTED if spoken.interrupted else 0


if __name__ == "__main__":
    raise SystemExit(main())
