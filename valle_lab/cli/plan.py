"""What the options of ``say`` ask for, understood and checked as far as that needs no model."""

from __future__ import annotations

import secrets
import sys
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from valle.errors import UserError
from valle.manner import Manner
from valle.modes import Demasking
from valle.samplers import Stack, parse_setting
from valle.text.sentences import SplitBy
from valle.voices import BUILTIN_FOLDER, Voice, find_voice, read_folder
from valle_lab.adapters import parse_adapters
from valle_lab.cli.arguments import parse_change, parse_prompt
from valle_lab.cli.layers import early_exit, leaves_open
from valle_lab.cli.outputs import choose_outputs
from valle_lab.cli.stacks import read_stack
from valle_lab.presets import find_preset
from valle_lab.session.engines import find_model
from valle_lab.speak import Plan

if TYPE_CHECKING:
    from valle.reading import PhonemizedBy
    from valle_lab.cli.common import Common
    from valle_lab.cli.say import SayOptions
    from valle_lab.settings import Settings

LONG_TEXT = 2000
"""Characters beyond which a text is spoken only where its splitting is asked for."""


def make_plan(common: Common, text: str, options: SayOptions) -> Plan:
    """Everything that a take needs, the names of its files included.

    Raises UserError for whatever can be seen to be wrong before a model is loaded.
    """
    settings = common.settings(voice=options.voice, seed=options.seed, max_duration=options.max_duration)
    text = _speakable(text, options)
    for setting in options.set or ():
        parse_setting(setting)
    seed = secrets.randbits(32) if settings.seed == "new" else settings.seed
    return Plan(
        text=text,
        settings=settings,
        model=find_model(settings.model, settings.paths.models),
        voice=_voice(settings),
        prompt=parse_prompt(options.prompt) if options.prompt is not None else (0.0, None),
        negative_text=options.negative_text,
        negative_voice=_negative_voice(settings, options.negative_voice),
        two_passes=options.two_passes,
        adapters=parse_adapters(settings.lora, settings.paths.adapters),
        early_exit=early_exit(options),
        manner=_manner(options),
        source=None if options.source is None else find_voice(options.source, settings.paths.voices),
        fitted_exits=leaves_open(options),
        stack=_stack(settings, options),
        sets=tuple(options.set or ()),
        schedule=tuple(parse_change(change) for change in options.at or ()),
        seed=seed,
        by=_split_by(options.split_by),
        outputs=choose_outputs(options.out, options.session, settings.paths.out, text, seed),
    )


def _manner(options: SayOptions) -> Manner:
    """Task, mode, and what these take. Raises UserError for what makes no sense."""
    asked: dict[str, Any] = {"steps": options.steps, "start": options.denoise_start}
    if options.denoise_start and options.source is None:
        raise UserError("--denoise-start keeps a part of speech; name it with --source")
    if options.mode == "nar" and options.source is None:
        raise UserError("--mode nar speaks on from level 0; name speech with --source")
    manner = Manner(
        task=options.task,
        mode=options.mode,
        demasking=Demasking(**{name: value for name, value in asked.items() if value is not None}),
        history=options.history,
        refine=options.refine,
        source=options.source,
        prefix=options.prefix,
        silence=options.silence,
        phonemizer=cast("PhonemizedBy", options.phonemizer),
        text_language=options.text_language,
    )
    manner.check_speaks()
    return manner


def _speakable(text: str, options: SayOptions) -> str:
    if text == "-":
        try:
            text = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError as error:
            raise UserError(f"stdin is not a text in UTF-8: {error.reason} at byte {error.start}") from error
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError("TEXT is not a text in UTF-8") from error
    if not text.strip():
        raise UserError('there is no text to speak; give one, as in: valle-lab say "Hello."')
    if len(text) > LONG_TEXT and not options.split:
        raise UserError(
            f"the text has {len(text)} characters; with --split more than {LONG_TEXT} are spoken, in pieces"
        )
    return text


def _split_by(given: str) -> Any:
    if given not in get_args(SplitBy):
        raise UserError(f"--split-by {given!r} must be one of {', '.join(get_args(SplitBy))}")
    return given


def _voice(settings: Settings) -> Voice | None:
    """The voice of that name; `auto` is the first of the package, or none where it has none."""
    if settings.voice != "auto":
        return find_voice(settings.voice, settings.paths.voices)
    return next(iter(read_folder(BUILTIN_FOLDER)), None)


def _negative_voice(settings: Settings, given: str | None) -> Voice | Literal["none"] | None:
    if given is None:
        return None
    return "none" if given == "none" else find_voice(given, settings.paths.voices)


def _stack(settings: Settings, options: SayOptions) -> Stack | None:
    """The lists that go over the model's own: the settings', over them a preset's, over them a file's."""
    given = []
    if settings.stacks:
        given.append(Stack.from_dict(settings.stacks))
    if options.preset is not None:
        given.append(_preset(settings, options.preset, options.mode or "ar+nar"))
    if options.stack is not None:
        given.append(read_stack(options.stack))
    return reduce(lambda below, stack: stack.over(below), given) if given else None


def _preset(settings: Settings, name: str, mode: str) -> Stack:
    preset = find_preset(settings.paths.presets, name)
    if preset.mode != mode:
        raise UserError(f"--preset {name} is made for {preset.mode}; give --mode {preset.mode} with it")
    return preset.stack
