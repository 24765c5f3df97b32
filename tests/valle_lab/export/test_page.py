"""The page of a session: well-formed, sealed off, and no text of anybody becomes markup."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from valle.audio.riff import read_text
from valle_lab.export.drawings import Drawing
from valle_lab.export.markup import element, escaped, joined
from valle_lab.export.material import Material, Wanted, gather
from valle_lab.export.page import POLICY, Chapter, page
from valle_lab.figures import Picture, timeline
from valle_lab.lab.session import lab_takes
from valle_lab.session.judge import Divergence, Judgement
from valle_lab.session.save import load_session, parse_session
from valle_lab.session.schema import Session, Trial
from valle_lab.session.seal import seal_of

SESSIONS = Path(__file__).parents[3] / "sessions"
EVIL = '</style><script>alert("1")</script><img src=x onerror=alert(1)> & \' \x00\x1b[31m \u202e ]]> -->'
ONE_LINE = EVIL.replace("\x00\x1b", "")


def nobody(record: object) -> None:
    raise AssertionError("the model was asked")


def hostile() -> Session:
    """An example session in which everything that a person writes is markup."""
    document = load_session(SESSIONS / "tweaks.json").model_dump(mode="json", by_alias=True)
    (take,) = document["takes"]
    take["id"], take["parent"] = ONE_LINE[:190], ONE_LINE[:9]
    take["fork"] = {"segment": 0, "phase": "ar", "level": 0, "step": 3}
    take["request"]["sentences"][0] |= {"text": EVIL, "phonemes": EVIL}
    take["request"]["prompt"]["voice"] = ONE_LINE
    for content in ("model", "codec"):
        take["origin"][content] |= {"name": ONE_LINE, "release": ONE_LINE}
    take["origin"]["environment"]["torch"] = ONE_LINE
    take["ratings"] = [{"scale": ONE_LINE, "value": 4.0}, {"scale": [], "value": None}]
    take["notes"] = [{"text": EVIL, "place": take["fork"]}]
    import json

    return parse_session(json.dumps(document))


def known(session: Session) -> Material:
    (take,), (record,) = lab_takes(session), session.takes
    found = gather(take, record, Wanted(model=False), nobody)
    diverged = Divergence(0, "ar", 0, 7, 0, 0.09, 5, 6, 0.1)
    judgement = Judgement("diverged", "sampler", diverged, 100, 3, 1e-5)
    return replace(found, judgement=judgement, left_out=EVIL)


@pytest.fixture(scope="module")
def made() -> bytes:
    material = known(hostile())
    drawing = Drawing("timeline", EVIL, timeline(material.take.timeline, material.row))
    return page(EVIL, [Chapter(material, [drawing], b"RIFF....WAVE")])


@pytest.fixture(scope="module")
def root(made: bytes) -> ET.Element:
    """The page, read by a parser that forgives nothing."""
    return ET.fromstring(made.decode())


def attributes(root: ET.Element) -> Iterator[tuple[str, str, str]]:
    for item in root.iter():
        for name, value in item.attrib.items():
            yield item.tag, name, value


def test_what_people_write_is_text(root: ET.Element) -> None:
    tags = {item.tag for item in root.iter()}
    assert "script" not in tags and len(root.findall(".//style")) == 1
    assert all(name in KNOWN for _, name, _ in attributes(root))
    shown = EVIL.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")
    texts = ["".join(item.itertext()) for item in root.iter("bdi")]
    assert texts.count(shown) >= 4
    assert root.find("head/title").text == shown  # type: ignore[union-attr]


KNOWN = {
    "lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "src", "alt", "controls",
}  # fmt: skip


def test_nothing_is_fetched_from_anywhere(root: ET.Element) -> None:
    addresses = [value for _, name, value in attributes(root) if name in ("src", "href")]
    assert len(addresses) == 3 and all(value.startswith(("data:", "#")) for value in addresses)
    style = root.findtext("head/style") or ""
    assert "url(" not in style and "@import" not in style and "</" not in style
    policies = [item for item in root.iter("meta") if item.get("http-equiv") == "Content-Security-Policy"]
    assert [item.get("content") for item in policies] == [POLICY] and POLICY.startswith("default-src 'none'")


def test_the_figures_in_it_need_nothing_either(root: ET.Element) -> None:
    (image,) = root.iter("img")
    kind, _, data = image.get("src", "").partition(",")
    assert kind == "data:image/svg+xml;base64"
    svg = ET.fromstring(base64.b64decode(data))
    references = [value for _, name, value in attributes(svg) if name.endswith(("href", "src"))]
    assert references and all(value.startswith("#") for value in references)
    styles = " ".join(value for _, name, value in attributes(svg) if name == "style")
    assert not re.search(r"url\((?!#)", styles)


def test_it_tells_the_verdict_the_stack_and_the_changes(root: ET.Element) -> None:
    told = "".join(root.itertext())
    frames = lab_takes(load_session(SESSIONS / "tweaks.json"))[0].take.frames
    for part in (
        "diverged (sampler) from 0/ar.0:7, 0.09 s: 3 of 100 tokens differ",
        "temperature value 0.9",
        "0/ar.0:30", "ar:temperature.value",
        "0/nar.3:0", f"{frames / 75:.2f} s, {frames} frames, ended by stop",
    ):  # fmt: skip
        assert part in told, part
    assert "len" not in [item.text for item in root.iter("strong")]  # a phase that decided nothing


def test_a_trial_tells_its_key_only_when_it_is_decided() -> None:
    open_one = Trial(id="trial-1", takes=("a", "b"), seal="0" * 64)
    salt = "1" * 64
    done = Trial(
        id="trial-2",
        takes=("a", "b"),
        seal=seal_of(("b", "a"), salt),
        order=("b", "a"),
        salt=salt,
        choice="X",
    )
    told = "".join(ET.fromstring(page("x", [], [open_one, done]).decode()).itertext())
    assert "trial-1a, bnot decided000000000000" in told
    assert "trial-2a, bXX was b, Y was a" in told


def test_one_session_gives_one_page(made: bytes) -> None:
    material = known(hostile())
    drawing = Drawing("timeline", EVIL, timeline(material.take.timeline, material.row))
    assert page(EVIL, [Chapter(material, [drawing], b"RIFF....WAVE")]) == made


def test_elements_escape_all_but_markup() -> None:
    inner = element("b", "<i>", class_="x&y")
    assert inner == '<b class="x&amp;y">&lt;i&gt;</b>'
    assert element("p", inner, None, 3) == f"<p>{inner}3</p>"
    assert joined(["a\ud800", "\x07"]) == escaped("a\ufffd\ufffd")
    joined(["\ud800"]).encode()


def test_a_picture_is_kept_as_what_its_name_says(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    picture = Picture(Figure(figsize=(1, 1)))
    assert picture.save(tmp_path / "a.png").read_bytes() == picture._repr_png_()
    assert ET.fromstring(picture.save(tmp_path / "a.svg").read_bytes()).tag.endswith("svg")
    with pytest.raises(Exception, match=r"a\.jpg: the name must end in \.png or \.svg"):
        picture.save(tmp_path / "a.jpg")


def test_a_wav_brings_its_own_sound(tmp_path: Path) -> None:
    from valle.audio import wav
    from valle_lab.session.save import session_text

    session = load_session(SESSIONS / "plain.json")
    (take,), (record,) = lab_takes(session), session.takes
    sound = np.linspace(-0.5, 0.5, take.take.frames * 320, dtype=np.float32)
    file = wav.write(tmp_path / "take.wav", sound, text=session_text(session, None))
    assert read_text(file) is not None
    found = gather(take, record, Wanted(model=False), nobody, file)
    assert found.wave is not None and np.allclose(found.wave, sound, atol=1e-4)
    other = wav.write(tmp_path / "other.wav", sound[:1000])
    assert gather(take, record, Wanted(model=False), nobody, other).wave is None
