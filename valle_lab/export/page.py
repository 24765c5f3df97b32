"""One HTML page of a session: sound, figures, stacks and verdicts, in a file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import valle
from valle_lab.export.drawings import Drawing
from valle_lab.export.markup import Markup, data_uri, element, facts, joined, table, words
from valle_lab.export.material import Material
from valle_lab.session import schema
from valle_lab.session.judge import Judgement
from valle_lab.session.opinions import notes_of, ratings_of
from valle_lab.session.seal import LABELS

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
"""The browser itself then fetches nothing and runs nothing, whatever stands in the page."""
CANDIDATES = 12


class Chapter:
    """What the page tells of one take."""

    def __init__(self, known: Material, figures: Sequence[Drawing], wav: bytes | None) -> None:
        """`wav` is a whole file."""
        self.known = known
        self.anchor = ""
        self._figures, self._wav = figures, wav

    def html(self) -> Markup:
        """The section of this take."""
        known, record = self.known, self.known.record
        return element(
            "section",
            element("h2", element("bdi", known.take.name), " ", _badge(known.judgement)),
            element("blockquote", words(known.take.text)),
            self._sound(),
            _facts(known),
            element("p", f"Left out: {known.left_out}", class_="soft") if known.left_out else None,
            *_opinions(record),
            element("h3", "What was spoken"),
            _segments(record),
            element("h3", "Stack"),
            *_stacks(record),
            _events(record),
            *(_figure(drawing) for drawing in self._figures),
            _candidates(known),
            _details(record),
            id=self.anchor,
        )

    def _sound(self) -> Markup:
        if self._wav is None:
            return element("p", "There is no sound here.", class_="soft")
        return element("audio", "", controls="controls", src=data_uri("audio/wav", self._wav))


def page(title: str, chapters: Sequence[Chapter], trials: Sequence[schema.Trial] = ()) -> bytes:
    """The whole page as a file; `title` is the session's name, `trials` those of its takes."""
    for number, chapter in enumerate(chapters, 1):
        chapter.anchor = f"take-{number}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=f"valle-lab {valle.__version__}"),
        element("title", title),
        element("style", _style()),
    )
    body = element(
        "body",
        element("h1", element("bdi", title)),
        element(
            "p",
            "A session of valle-lab. Each sound carries its own: save it as a file, and ",
            element("code", "valle-lab replay FILE.wav"),
            " makes the take again and says whether it is the same.",
            class_="soft",
        ),
        _overview(chapters),
        _trials(trials),
        *(chapter.html() for chapter in chapters),
    )
    document = element("html", head, body, lang="en")
    return f"<!DOCTYPE html>\n{document}\n".encode()


@cache
def _style() -> Markup:
    return Markup((Path(__file__).parent / "page.css").read_text(encoding="utf-8"))


def _overview(chapters: Sequence[Chapter]) -> Markup:
    rows = (
        (
            element("a", element("bdi", chapter.known.take.name), href=f"#{chapter.anchor}"),
            _from(chapter.known.record),
            f"{chapter.known.take.take.duration:.2f} s",
            chapter.known.take.stop,
            chapter.known.take.seed,
            element("bdi", chapter.known.take.voice or "none"),
            _badge(chapter.known.judgement),
        )
        for chapter in chapters
    )
    return table(("take", "from", "length", "stop", "seed", "voice", "replay"), rows)


def _from(record: schema.Take) -> Markup | None:
    """Which take it goes on from, and from where."""
    if record.parent is None:
        return None
    return joined((element("bdi", record.parent), f", from {_place(record.fork)}"))


def _content(content: schema.Content) -> Markup:
    """A model or a codec by its name and its content."""
    return joined((element("bdi", content.name), f" {content.sha256[:12]} ", element("bdi", content.release)))


def _trials(trials: Sequence[schema.Trial]) -> Markup | None:
    """The blind trials; of one that is not decided there is nothing to tell of its order."""
    if not trials:
        return None
    rows = [
        (
            trial.id,
            ", ".join(trial.takes),
            "not decided" if trial.choice is None else trial.choice,
            ", ".join(map(" was ".join, zip(LABELS, trial.order or (), strict=False))),
            element("span", trial.seal[:12], class_="hash"),
        )
        for trial in trials
    ]
    head = ("trial", "of", "chosen", "key", "seal")
    return joined((element("h3", "Heard blind"), table(head, rows)))


def _badge(judgement: Judgement | None) -> Markup:
    if judgement is None:
        return element("span", "not replayed", class_="soft")
    return element("span", judgement.verdict, class_=f"verdict {judgement.verdict}")


def _facts(known: Material) -> Markup:
    record, take = known.record, known.take
    request, origin, recipe = record.request, record.origin, record.request.recipe
    asked = request.task, request.mode
    pairs = (
        ("seed", request.seed),
        ("voice", element("bdi", request.prompt.voice) if request.prompt else "none"),
        ("language", request.language),
        ("length", f"{take.take.duration:.2f} s, {take.take.frames} frames, ended by {take.stop}"),
        ("task", None if asked == ("tts", "ar+nar") else " ".join(asked)),
        ("grown from", _from(record)),
        ("replay", _verdict(known.judgement)),
        ("model", _content(origin.model)),
        ("codec", _content(origin.codec)),
        (
            "computed",
            f"{_spent(record.seconds)}on {recipe.device}, {recipe.dtype}, threads: {recipe.threads}",
        ),
    )
    return facts((name, value) for name, value in pairs if value is not None)


def _spent(seconds: float) -> str:
    return f"in {seconds:.2f} s " if seconds else ""


def _verdict(judgement: Judgement | None) -> str | None:
    """What came of making it again, in a line."""
    if judgement is None:
        return None
    compared = f"{judgement.decisions} tokens compared"
    first = judgement.first_divergence
    numbers = f"the model's numbers differ by {judgement.evidence_difference:.1e} nats at most"
    if first is None:
        return f"{judgement.verdict}: {compared}, {numbers}"
    kind = f" ({judgement.kind})" if judgement.kind else ""
    where = f"{first.segment}/{first.phase}.{first.level}:{first.step}, {first.seconds:.2f} s"
    told = f"{judgement.different} of {judgement.decisions} tokens differ"
    return f"{judgement.verdict}{kind} from {where}: {told}, {numbers}"


def _opinions(record: schema.Take) -> Iterator[Markup]:
    ratings = [(rating.scale, f"{rating.value:g}") for rating in ratings_of(record)]
    if ratings:
        yield table(("judged by", "value"), ratings)
    for note in notes_of(record):
        where = element("span", f"at {_place(note.place)}: ", class_="soft") if note.place else None
        yield element("p", where, words(note.text))


def _segments(record: schema.Take) -> Markup:
    made = {number: segment for number, segment in enumerate(record.segments)}
    rows = [
        (
            number,
            words(sentence.text),
            words(sentence.phonemes),
            made[number].levels[0].shape[0] if number in made else 0,
            made[number].stop if number in made else "not spoken",
        )
        for number, sentence in enumerate(record.request.sentences)
    ]
    return table(("segment", "text", "phonemes", "frames", "ended by"), rows)


def _stacks(record: schema.Take) -> Iterator[Markup]:
    """The stack of each phase that decided anything."""
    decided = {trace.phase for segment in record.segments for trace in segment.traces}
    for name, stages in record.effective.items():
        if not decided or name.partition(".")[0] in decided:
            yield element("p", element("strong", name))
            yield element("ol", *map(_stage, stages), class_="stack")


def _stage(stage: Mapping[str, Any]) -> Markup:
    values = ", ".join(
        f"{name} {_plain(value)}" for name, value in stage.items() if name not in ("name", "on")
    )
    off = stage.get("on") is False
    name = element("strong", stage.get("name", ""))
    return element("li", name, f" {values}", " (off)" if off else None, class_="off" if off else "on")


def _events(record: schema.Take) -> Markup | None:
    if not record.events:
        return None
    rows = [(_place(event.place), event.kind, event.name, _plain(event.value)) for event in record.events]
    return joined(
        (element("h3", "Changes while it was spoken"), table(("before", "change", "of", "to"), rows))
    )


def _figure(drawing: Drawing) -> Markup:
    image = data_uri("image/svg+xml", drawing.svg)
    return element(
        "figure", element("img", src=image, alt=drawing.caption), element("figcaption", drawing.caption)
    )


def _candidates(known: Material) -> Markup | None:
    """The best ids of the decision that is shown in full."""
    if known.step is None:
        return None
    shown, stop = known.step.candidates, known.step.stop
    rows = [
        (
            "chosen" if token == known.step.token else "",
            "stop" if token == stop else token,
            *(f"{value:.4f}" for value in shown.probability[:, column]),
            f"{shown.cumulative[column]:.4f}",
        )
        for column, token in enumerate(shown.ids[:CANDIDATES].tolist())
    ]
    head = ("", "id", *shown.points[:-1], "final", "cumulative")
    return joined((element("h3", f"The best candidates at decision {known.row}"), table(head, rows)))


def _details(record: schema.Take) -> Markup:
    environment = ", ".join(
        f"{name} {value}" for name, value in record.origin.environment.model_dump().items() if value
    )
    hashes = "\n".join(f"{level} {code}" for level, code in enumerate(record.codes_sha256))
    return element(
        "details",
        element("summary", "Stack as asked for, hashes of the codes, environment"),
        element("pre", json.dumps(record.request.stack, indent=2, ensure_ascii=False)),
        element("pre", hashes),
        element("p", environment, class_="soft"),
    )


def _place(place: schema.Place | None) -> str:
    return "" if place is None else f"{place.segment}/{place.phase}.{place.level}:{place.step}"


def _plain(value: Any) -> str:
    return (
        ""
        if value is None
        else json.dumps(value, ensure_ascii=False)
        if not isinstance(value, str)
        else value
    )
