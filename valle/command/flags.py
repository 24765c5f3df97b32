"""The flags of ``python -m valle``, with the reference's names, defaults left to the model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from valle.errors import UserError
from valle.modes import MODES, TASKS

DESCRIPTION = """Speak TEXT in the voice of REFERENCE, and keep the sound in OUT with its session beside it.

REFERENCE is a recording, several with ; between, the name of a voice, or `none`. What is not given is the
model's own. Sampling flags hold for the phases that decide level 0; those of guidance and of truncation hold
for levels 1 to 7 as well."""
SPLITS = {
    "sentence": "sentence",
    "sentences": "sentence",
    "line": "line",
    "lines": "line",
    "\n": "line",
    "\\n": "line",
    "none": "none",
    "": "none",
}
"""What a segment is, in the reference's words and in ours."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are those of users, in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[:1].lower()}{message[1:]}; `python -m valle --help` lists all flags")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags of a command line. Raises UserError for one that is not known or has no such value."""
    return parser().parse_intermixed_args(arguments)


def parser() -> argparse.ArgumentParser:
    """The parser of all flags."""
    made = Parser(
        prog="python -m valle",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("text", metavar="TEXT", help="what to say; with --task stt it is not used")
    made.add_argument("reference", metavar="REFERENCE", nargs="?", default="none")
    made.add_argument("out", metavar="OUT", nargs="?", help="the wav (named after the text without it)")
    made.add_argument("--out-path", dest="out_path", metavar="OUT", help="the same as OUT")
    _add_what(made.add_argument_group("what is said, and how"))
    _add_model(made.add_argument_group("the model"))
    _add_prompt(made.add_argument_group("the prompt"))
    _add_sampling(made.add_argument_group("sampling"))
    _add_guidance(made.add_argument_group("guidance and demasking"))
    _add_layers(made.add_argument_group("leaving at an early layer"))
    return made


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--language", default="auto", help="as en; auto finds it out from the text")
    group.add_argument("--text-language", metavar="LANGUAGE", help="read the text as this language")
    group.add_argument("--task", default="tts", choices=TASKS)
    group.add_argument("--modality", default="auto", choices=("auto", *MODES), help="the mode")
    group.add_argument(
        "--phonemizer", default="espeak", metavar="espeak|model|ipa", help="ipa: the text is in IPA"
    )
    group.add_argument("--no-phonemize", action="store_true", help="the same as --phonemizer ipa")
    group.add_argument("--split-text-by", default="sentence", choices=SPLITS, metavar="sentence|line|none")
    group.add_argument("--context-history", type=int, default=0, metavar="N", help="segments to go on from")
    group.add_argument("--max-duration", type=int, metavar="FRAMES", help="the most of a segment")
    group.add_argument("--max-levels", type=int, metavar="N", help="levels above level 0, 7 at most")
    group.add_argument("--seed", type=int)
    group.add_argument("--refine-on-stop", action="store_true", help="one more pass over level 0")
    group.add_argument("--load-from-artifact", metavar="FILE", help="speech to begin with: see docs")
    group.add_argument("--play", action="store_true", help="play it when it is done")


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", help="`builtin`, a file, a folder, or hf:OWNER/NAME[:PATH]")
    group.add_argument("--yaml", metavar="FILE", help="the model's configuration, its weights beside it")
    group.add_argument("--tokenizer", metavar="FILE", help="a tokenizer.json")
    group.add_argument("--codec", metavar="FILE", help="the codec's weights, or `builtin`")
    group.add_argument("--force-codec", action="store_true", help="even if the model speaks another one")
    group.add_argument("--lora", metavar="FILE[@STRENGTH]", help="adapters, with commas between")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument("--dtype", default="auto", help="auto, float32, float16 or bfloat16")
    group.add_argument("--amp", action="store_true", help="compute in bfloat16 where no dtype is given")
    group.add_argument("--attention", default="auto", metavar="BACKEND")


def _add_prompt(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--input-prompt-length", type=float, default=0.0, metavar="S", help="0: all of it")
    group.add_argument("--input-prompt-prefix", action="store_true", help="go on from the prompt itself")
    group.add_argument("--prefix-silence", type=float, default=0.0, metavar="S", help="go on from silence")


def _add_sampling(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--temperature", type=float, metavar="T", help="of both; 0 takes the best")
    group.add_argument("--ar-temperature", type=float, metavar="T", help="of level 0")
    group.add_argument("--nar-temperature", type=float, metavar="T", help="of levels 1 to 7")
    for name in ("--min-temperature", "--min-ar-temperature", "--min-nar-temperature"):
        group.add_argument(name, type=float, metavar="T", help="below it, dynamic temperature (-1: off)")
    group.add_argument("--top-k", type=int, metavar="K")
    group.add_argument("--top-p", type=float, metavar="P")
    group.add_argument("--min-p", type=float, metavar="P")
    group.add_argument("--top-no", type=float, metavar="N", help="top-n-sigma")
    group.add_argument("--repetition-penalty", type=float, metavar="X")
    group.add_argument("--repetition-penalty-decay", type=float, metavar="X")
    group.add_argument("--length-penalty", type=float, metavar="X")
    group.add_argument("--beam-width", type=int, metavar="N")
    group.add_argument("--mirostat-tau", type=float, metavar="BITS")
    group.add_argument("--mirostat-eta", type=float, metavar="X")
    group.add_argument("--dry-multiplier", type=float, metavar="X")
    group.add_argument("--dry-base", type=float, metavar="X")
    group.add_argument("--dry-allowed-length", type=int, metavar="N")
    group.add_argument("--entropix-sampling", action="store_true")


def _add_guidance(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--cfg-strength", type=float, metavar="X", help="0 and 1 are off")
    group.add_argument("--cfg-rescale", type=float, metavar="X", help="over the sequence; 0 is off")
    group.add_argument("--max-steps", type=int, metavar="N", help="rounds of demasking")
    group.add_argument("--denoise-start", type=float, metavar="T", help="0 to 1: how much of a source stays")


def _add_layers(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--layer-skip", action="store_true")
    group.add_argument("--layer-skip-exit-layer", type=int, metavar="N")
    group.add_argument("--layer-skip-entropy-threshold", type=float, metavar="BITS")
    group.add_argument("--layer-skip-varentropy-threshold", type=float, metavar="BITS2")
