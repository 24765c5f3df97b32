"""Phonemes from the real helper process, against phonemizer itself, stored strings, and failing helpers."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle.errors import UserError
from valle.text import helper as helper_module
from valle.text.helper import Helper
from valle.text.phonemes import LANGUAGES, Phonemizer, clauses, has_sound, normalize
from valle.text.tokens import Tokenizer


@pytest.fixture(autouse=True)
def kept_helpers() -> None:
    """Here each phonemizer has the process that it starts and ends itself."""


@pytest.fixture(scope="module")
def english() -> Iterator[Phonemizer]:
    with Phonemizer("en") as phonemizer:
        phonemizer.start()
        yield phonemizer


GOLDEN = {
    "The birch canoe slid on the smooth planks.": "ðə bˈɜːtʃ kənˈuː slˈɪd ɔnðə smˈuːð plˈæŋks.",
    "Rice is often served in round bowls.": "ɹˈaɪs ɪz ˈɔfən sˈɜːvd ɪn ɹˈaʊnd bˈoʊlz.",
    "It costs 3.14 today.": "ɪt kˈɔsts θɹˈiː pɔɪnt wˈʌn fˈɔːɹ tədˈeɪ.",
    "Dr. Smith came at 10:30 a.m. today": "dˈɑːktɚ smˈɪθ kˈeɪm æt tˈɛn θˈɜːɾi ˌeɪˈɛm tədˈeɪ",
    "yes,\n (really)  — “no”": "jˈɛs, (ɹˈiəli) — “nˈoʊ”",
}


@pytest.mark.parametrize(("text", "phonemes"), GOLDEN.items())
def test_known_sentences(english: Phonemizer, text: str, phonemes: str) -> None:
    assert english.versions().espeak == "1.52.0"
    assert english.phonemize(text) == phonemes


PHONEMIZER_ITSELF = """
import sys, json, espeakng_loader
from phonemizer.backend import EspeakBackend
from phonemizer.backend.espeak.wrapper import EspeakWrapper
EspeakWrapper.set_library(espeakng_loader.get_library_path())
EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
backend = EspeakBackend(sys.argv[1], preserve_punctuation=True, with_stress=True)
print(json.dumps([backend.phonemize([text], strip=True)[0] for text in json.load(sys.stdin)]))
"""


def test_plain_text_gives_what_phonemizer_gives(english: Phonemizer) -> None:
    texts = [
        "Hello, my world! Is it you?",
        "One; two: three... four",
        "He said: “Stop!” (and left) — at once.",
        "¿que? ¡no! «oui» [a] {b}",
        "Don't worry, it's the dogs' 42 bones, isn't it?!",
        '"quoted" words, "again".',
    ]
    assert [english.phonemize(text) for text in texts] == by_phonemizer_itself("en-us", texts)


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("zh", ["你好！你在吗？", "他说：“我很好。”然后走了。", "苹果、香蕉；还有……梨。", "你好, 世界."]),
        (
            "ja",
            ["げんきですか？はい！", "「おはよう」と、いった。", "えーと…はい。", "はい, せかい."],
        ),
    ],
)
def test_wide_marks_leave_what_phonemizer_leaves_of_them(language: str, texts: list[str]) -> None:
    with Phonemizer(language) as phonemizer:
        phonemes = [phonemizer.phonemize(text) for text in texts]
    assert phonemes == by_phonemizer_itself(LANGUAGES[language], texts)


def by_phonemizer_itself(voice: str, texts: list[str]) -> list[str]:
    """The phonemes in the way of the reference: its punctuation is phonemizer's."""
    command = [sys.executable, "-c", PHONEMIZER_ITSELF, voice]
    answer = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    phonemes: list[str] = json.loads(answer.stdout)
    return phonemes


@pytest.mark.parametrize("text", ["", "...", " \n\t", "'", '"!?"', "—", "\u200b", "\x00", "[]"])
def test_what_has_no_sound_is_refused(english: Phonemizer, text: str) -> None:
    with pytest.raises(UserError, match="no sound") as caught:
        english.phonemize(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "😀 smile",
        "👩‍👩‍👧",
        "שלום world",
        "مرحبا",
        "你好",
        "\u202eabc",
        "e\u0301clair",
        "\ud800 x",
        "naïve",
        "Ωmega",
    ],
)
def test_any_script_gives_phonemes_that_the_tokenizer_knows(english: Phonemizer, text: str) -> None:
    phonemes = english.phonemize(text)
    assert has_sound(phonemes)
    assert Tokenizer.builtin().unknown(phonemes) == []


def test_composed_and_decomposed_text_sound_the_same(english: Phonemizer) -> None:
    assert english.phonemize("caf\u00e9") == english.phonemize("cafe\u0301")


@pytest.mark.parametrize(
    ("language", "text", "phonemes"),
    [
        ("de", "Guten Tag!", "ɡˈuːtən tˈɑːk!"),
        ("fr", "Bonjour, ça va?", "bɔ̃ʒˈuʁ, sa vˈa?"),
        ("ja", "こんにちは。", "kˌo̞nnitɕˈihä"),
        ("en", "Well，yes。", "wˈɛl, jˈɛs."),
        ("zh", "你好，世界", "ni2χˈɑu2 s.ˈi.5 tɕˈiɛ5"),
    ],
)
def test_other_languages(language: str, text: str, phonemes: str) -> None:
    with Phonemizer(language) as phonemizer:
        assert phonemizer.phonemize(text) == phonemes
        assert Tokenizer.builtin().unknown(phonemes) == []


KAKASI = """
class kakasi:
    def convert(self, text):
        return [{"hira": "せかい" if word == "世界" else word} for word in text.partition("世界")]
"""


def test_kanji_are_read_by_pykakasi_and_refused_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a stand-in for it, since it is no dependency; the phonemes of a word are those of its kana."""
    with Phonemizer("ja") as phonemizer:
        kana = phonemizer.phonemize("せかい")
    (tmp_path / "pykakasi.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Phonemizer("ja") as phonemizer:
        refused = r"espeak cannot read the kanji in '世界。'; write them in kana, .* 'valle-lab\[japanese\]'"
        with pytest.raises(UserError, match=refused):
            phonemizer.phonemize("世界。")
        assert phonemizer.phonemize("せかい。") == kana
    (tmp_path / "pykakasi.py").write_text(KAKASI)
    with Phonemizer("ja") as phonemizer:
        assert phonemizer.phonemize("世界。") == kana


def test_an_unknown_language_names_the_known_ones() -> None:
    with pytest.raises(UserError) as caught:
        Phonemizer("tlh")
    assert all(language in str(caught.value) for language in LANGUAGES) and "'tlh'" in str(caught.value)


def test_a_killed_helper_is_started_again() -> None:
    with Phonemizer("en") as phonemizer:
        first = phonemizer.phonemize("one")
        running = phonemizer._helper
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        assert phonemizer.phonemize("two") == "tˈuː"
        assert phonemizer._helper is not running
        assert phonemizer.phonemize("one") == first


def test_what_was_said_before_needs_no_helper() -> None:
    with Phonemizer("en", cache_size=2) as phonemizer:
        for text in ("one", "two", "one", "three"):
            phonemizer.phonemize(text)
        phonemizer.close()
        phonemizer.phonemize("one")
        phonemizer.phonemize("three")
        assert phonemizer._helper is None
        phonemizer.phonemize("two")
        assert phonemizer._helper is not None


def fail_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    """Let every helper run `program` instead of espeak."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setattr(helper_module.sys, "executable", str(script))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; sys.exit('phontab is missing')", "ended: phontab is missing"),
        ("print('hello', flush=True); input()", "nonsense"),
        ("print('{}', flush=True); input()", "did not start"),
        ("input()", "no answer within 0.3 seconds"),
    ],
)
def test_a_helper_that_fails_twice_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, words: str
) -> None:
    fail_with(monkeypatch, tmp_path, program)
    with Phonemizer("en", timeout=0.3 if program == "input()" else 10) as phonemizer:
        with pytest.raises(UserError, match="the phonemizer for en-us") as caught:
            phonemizer.phonemize("hello")
        assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_helper_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper_module.sys, "executable", "/nowhere/python")
    with pytest.raises(UserError, match="could not be started"):
        Phonemizer("en").phonemize("hello")


def test_closing_ends_the_process_and_removes_its_files() -> None:
    running = Helper("en-us")
    running.greeting(20)
    folder = Path(running._folder.name)
    assert running.alive() and any(folder.iterdir())
    running.close()
    assert not running.alive() and not folder.exists()


def test_the_helper_ends_when_its_program_is_killed() -> None:
    program = (
        "import os, signal; from valle.text.helper import Helper; h = Helper('en-us'); h.greeting(20);"
        "print(h.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    pid = int(child.stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Path(f"/proc/{pid}").exists() and not is_zombie(pid):
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists() or is_zombie(pid)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] == "Z"
    except OSError:
        return True


def test_several_threads_share_one_helper(english: Phonemizer) -> None:
    words = ["seven", "eleven", "thirteen", "nineteen", "ninety", "thousand"]
    answers: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda word=word: answers.update({word: english.phonemize(word)}))
        for word in words
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {word: english.phonemize(word) for word in words}


def test_importing_and_phonemizing_bring_no_phonemizer_into_this_process() -> None:
    program = (
        "import sys; from valle.text.phonemes import Phonemizer; Phonemizer('en').phonemize('hi');"
        "print([name for name in ('torch', 'phonemizer', 'espeakng_loader', 'numpy') if name in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (child.stdout, child.stderr) == ("[]\n", "")


@given(st.text(st.sampled_from("abC 12.,:!?…\"'”()-—3。，U.S.Dr e.g. ") | st.characters(), max_size=80))
def test_clauses_add_up_to_the_text(text: str) -> None:
    plain = normalize(text)
    assert "".join(words + marks for words, marks in clauses(plain)) == plain
    assert normalize(plain) == plain and plain.isprintable()
