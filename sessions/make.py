"""Make the example sessions of the built-in voice again: `make sessions`, after its weights have changed.

Everything that says how fast this machine was is left out, so that the same weights give the same files.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from valle.errors import UserError
from valle_lab.cli.common import Common
from valle_lab.cli.plan import make_plan
from valle_lab.cli.say import SayOptions
from valle_lab.session.convert import from_session_take, to_session_take
from valle_lab.session.save import load_session, save_session
from valle_lab.session.schema import Environment, Session, new_session
from valle_lab.speak import speak

HERE = Path(__file__).parent
COMMON = Common(model="builtin", codec="auto", device="cpu", dtype="float32", threads=1, language="en")

EXAMPLES: dict[str, tuple[str, SayOptions]] = {
    "plain": ("The rain had stopped before the morning came.", SayOptions(seed=1)),
    "tweaks": (
        "Turn the dial slowly, and listen to what it does.",
        SayOptions(
            seed=2,
            at=[
                "30:temperature.value=1.1",
                "60:temperature.value=0.6",
                "60:top_k.k=20",
                "90:repetition_penalty.penalty=1.3",
                "nar.3:0:temperature.value=0.5",
                "nar.3:0:draw.on=true",
            ],
        ),
    ),
    "seed-zero": ("Zero is a number like any other.", SayOptions(seed=0)),
    "greedy": (
        "Always the most likely one.",
        SayOptions(seed=3, set=["greedy.on=true", "repetition_penalty.penalty=1.5"], max_duration=6.0),
    ),
    "two-sentences": ("Who is there? It is only the wind.", SayOptions(seed=4)),
}
"""What is said, and how, by the name of the file."""


def make_example(text: str, options: SayOptions, folder: Path) -> Session:
    """Say it, and give its session without times; files go to `folder`."""
    plan = make_plan(COMMON, text, replace(options, out=folder / "example.wav"))
    spoken = speak(plan, lambda step: None)
    record = load_session(spoken.session).take()
    take = from_session_take(record)
    steps = tuple(replace(step, seconds=0.0) for step in take.steps)
    origin = record.origin.model_copy(update={"environment": Environment()})
    return new_session(to_session_take(replace(take, steps=steps, seconds=0.0), origin))


def main(folder: Path = HERE) -> int:
    """Write every example, and say how long each is."""
    for name, (text, options) in EXAMPLES.items():
        with tempfile.TemporaryDirectory() as place:
            try:
                session = make_example(text, options, Path(place))
            except UserError as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 2
        file = save_session(session, folder / f"{name}.json")
        frames = sum(segment.levels[0].shape[0] for segment in session.take().segments)
        print(f"{file}: {frames / 75:.2f} s, ended by {session.take().segments[-1].stop}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
