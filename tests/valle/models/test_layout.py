"""The layout of a sequence, worked out by hand on small rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.config import ModelConfig
from valle.models.layout import Inputs, Layout, arrange

CONFIG = ModelConfig(dim=8, layers=1, heads=2, ffn=16, version=6, text_tokens=30)
PHONEMES = torch.tensor([1, 9, 2])
PROMPT = torch.arange(16).view(2, 8)
RESPONSE = torch.arange(100, 124).view(3, 8)
ROW = Inputs(phonemes=PHONEMES, language=4, prompt=PROMPT, response=RESPONSE)


def places(layout: Layout, table: str) -> list[tuple[int, int]]:
    """The pairs (place in the sequence, id) that are looked up in a table, in order."""
    return [
        (lookup.start + offset, int(number))
        for lookup in layout.lookups
        if lookup.table == table
        for offset, number in enumerate(lookup.ids)
    ]


def test_speech_row_by_hand() -> None:
    layout = arrange(ROW, CONFIG)
    # p p p | language | level | prompt prompt | r r r
    assert layout.length == 14
    assert layout.positions.tolist() == [0, 1, 2, 3, 0, 1, 0, 1, 0, 1, 2, 0, 1, 2]
    assert places(layout, "phonemes") == [(0, 1), (1, 9), (2, 2)]
    assert places(layout, "language") == [(4, 4)]
    assert places(layout, "level") == [(6, 0)]
    assert places(layout, "prompt.0") == [(8, 0), (9, 8)]
    assert places(layout, "response.0") == [(11, 100), (12, 108), (13, 116)]
    assert [place for place, _ in places(layout, "separator")] == [3, 5, 7, 10]
    assert (layout.head, layout.causal, layout.outputs) == ("ar", True, slice(10, 14))
    assert layout.spans["phonemes"] == slice(0, 3)
    assert layout.spans["response"] == slice(11, 14)
    assert layout.next_position == 3


def test_unified_positions_count_through() -> None:
    layout = arrange(ROW, replace(CONFIG, unified_position_ids=True))
    assert layout.positions.tolist() == list(range(14))
    assert layout.next_position == 14


def test_absent_conditions_take_their_separator_with_them() -> None:
    layout = arrange(Inputs(phonemes=PHONEMES), CONFIG)
    assert layout.length == 6  # p p p | level |
    assert layout.outputs == slice(5, 6)
    assert layout.positions.tolist() == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize(
    ("sums", "prompt_tables", "response_tables"),
    [
        ("both", [0, 1, 2], [1, 2, 3]),
        ("prompt", [0, 1, 2], [3]),
        ("response", [2], [1, 2, 3]),
        ("none", [2], [3]),
    ],
)
def test_codes_below_the_level_are_embedded(
    sums: str, prompt_tables: list[int], response_tables: list[int]
) -> None:
    layout = arrange(replace(ROW, level=3), replace(CONFIG, audio_embedding_sums=sums))
    assert layout.head == "nar.3"
    assert layout.outputs == slice(11, 14)
    for level in range(8):
        expected = [(8, level), (9, 8 + level)] if level in prompt_tables else []
        assert places(layout, f"prompt.{level}") == expected
    for table in range(9):
        codebook = table - 1  # the table of level q is for the codebook before it
        expected = [(11 + frame, 100 + 8 * frame + codebook) for frame in range(3)]
        assert places(layout, f"response.{table}") == (expected if table in response_tables else [])


def test_masked_level_0_has_a_table_of_its_own_and_sees_everything() -> None:
    masked = torch.tensor([[5], [1024], [7]])
    layout = arrange(replace(ROW, response=masked, masked=True), CONFIG)
    assert places(layout, "response.8") == [(11, 5), (12, 1024), (13, 7)]
    assert (layout.head, layout.causal, layout.outputs) == ("nar_len", False, slice(11, 14))


def test_without_noncausal_masks_everything_is_causal() -> None:
    config = replace(CONFIG, noncausal_masks=False)
    assert arrange(replace(ROW, level=2), config).causal
    assert not arrange(replace(ROW, level=2), CONFIG).causal


@pytest.mark.parametrize(
    ("row", "head", "order", "causal"),
    [
        (
            replace(ROW, task="len", digits=torch.tensor([0, 1])),
            "len",
            ["phonemes", "language", "level", "prompt", "digits"],
            True,
        ),
        (replace(ROW, task="stt"), "phonemes", ["response", "language", "level", "phonemes"], True),
        (
            Inputs(task="phn", text=PHONEMES, phonemes=PHONEMES, language=0),
            "phonemes",
            ["text", "language", "level", "phonemes"],
            True,
        ),
        (
            Inputs(task="un-phn", text=PHONEMES, phonemes=PHONEMES, language=0),
            "text",
            ["phonemes", "language", "level", "text"],
            False,
        ),
        (
            Inputs(text=PHONEMES, language=0, prompt=PROMPT),
            "ar",
            ["text", "language", "level", "prompt", "response"],
            True,
        ),
    ],
)
def test_order_of_segments(row: Inputs, head: str, order: list[str], causal: bool) -> None:
    layout = arrange(row, CONFIG)
    assert (layout.head, list(layout.spans), layout.causal) == (head, order, causal)
    output = layout.spans[order[-1]]
    assert layout.outputs == slice(output.start - 1, output.stop)


def test_transcription_embeds_all_codebooks_but_the_last() -> None:
    layout = arrange(replace(ROW, task="stt"), CONFIG)
    used = [table for table in range(9) if places(layout, f"response.{table}")]
    assert used == [0, 2, 3, 4, 5, 6, 7]
    assert places(layout, "response.7")[0] == (0, 106)


def test_task_token_in_front_of_the_prompt() -> None:
    row = replace(ROW, task="ns", prompt=["ns", PROMPT])
    counted = arrange(row, CONFIG)
    assert places(counted, "task") == [(8, 2)]
    assert places(counted, "prompt.0") == [(9, 0), (10, 8)]
    assert counted.positions.tolist()[8:] == [0, 1, 2, 3, 0, 1, 2]


def test_overlooked_task_token_moves_later_positions_as_in_the_reference() -> None:
    row = replace(ROW, task="ns", prompt=["ns", PROMPT])
    config = replace(CONFIG, task_tokens_counted=False)
    assert arrange(row, config).positions.tolist()[8:] == [0, 1, 2, 0, 1, 2, 1]
    growing = arrange(row, config, growing=True)
    assert growing.positions.tolist()[8:] == [0, 1, 2, 0, 1, 2, 3]
    assert growing.next_position == 4


@pytest.mark.parametrize("task", ["tts-c", "tse", "soe", "mask", "eoe"])
def test_going_on_from_the_voice_overlooks_separators_as_the_reference_does(task: str) -> None:
    row = replace(ROW, task=task)
    assert arrange(row, CONFIG).positions.tolist() == arrange(ROW, CONFIG).positions.tolist()
    config = replace(CONFIG, task_tokens_counted=False)
    # p p p language level prompt prompt r r r, by the reference's count; then ones as far as it is too short
    assert arrange(row, config).positions.tolist() == [0, 1, 2, 0, 0, 0, 1, 0, 1, 2, 1, 1, 1, 1]
    growing = arrange(row, config, growing=True)
    assert growing.positions.tolist() == [0, 1, 2, 0, 0, 0, 1, 0, 1, 2, 3, 4, 5, 6]
    assert growing.next_position == 7
    unified = replace(config, unified_position_ids=True)
    assert arrange(row, unified).positions.tolist() == list(range(14))


def test_prompt_parts_follow_each_other() -> None:
    layout = arrange(replace(ROW, prompt=[PROMPT, PROMPT[:1]]), CONFIG)
    assert places(layout, "prompt.0") == [(8, 0), (9, 8), (10, 0)]
    assert layout.positions.tolist()[8:12] == [0, 1, 2, 3]


@given(
    st.integers(0, 5),
    st.integers(0, 4),
    st.integers(1, 6),
    st.integers(0, 7),
    st.booleans(),
    st.sampled_from(["tts", "len", "stt"]),
)
def test_every_place_is_filled_and_positions_restart(
    phonemes: int, prompt: int, frames: int, level: int, language: bool, task: str
) -> None:
    row = Inputs(
        task=task,
        phonemes=torch.zeros(phonemes, dtype=torch.long),
        language=0 if language else None,
        level=level if task == "tts" else 0,
        prompt=torch.zeros(prompt, 8, dtype=torch.long) if prompt else None,
        response=torch.zeros(frames, 8, dtype=torch.long),
        digits=torch.zeros(frames, dtype=torch.long),
    )
    layout = arrange(row, CONFIG)
    filled = Counter(lookup.start + n for lookup in layout.lookups for n in range(len(lookup.ids)))
    assert set(filled) == set(range(layout.length))
    separators = {place for place, _ in places(layout, "separator")}
    assert len(separators) == len(layout.spans) - 1
    expected, position = [], 0
    for place in range(layout.length):
        expected.append(position)
        position = 0 if place in separators else position + 1
    assert layout.positions.tolist() == expected


def test_sizes_of_the_released_layout() -> None:
    config = ModelConfig(dim=1024, layers=12, heads=16, ffn=4096)
    assert config.vocabulary == 17702
    sizes = config.head_sizes()
    assert list(sizes.values()) == [1025, *[1024] * 7, 1024, 256, 11]
    assert list(sizes)[:2] == ["ar", "nar.1"]
    assert list(sizes)[8:] == ["nar_len", "phonemes", "len"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"dim": 9}, "dim 9"),
        ({"dim": 6}, "even"),
        ({"layers": 0}, "layers is 0"),
        ({"layers": 10**9}, "layers"),
        ({"audio_embedding_sums": "some"}, "audio_embedding_sums"),
    ],
)
def test_sizes_that_cannot_be_built(change: dict[str, object], word: str) -> None:
    with pytest.raises(UserError, match=word):
        replace(CONFIG, **change)


@pytest.mark.parametrize(
    "row",
    [
        Inputs(task="sing", phonemes=PHONEMES),
        Inputs(phonemes=PHONEMES, level=8),
        Inputs(),
        Inputs(phonemes=PHONEMES, level=1),
        Inputs(task="stt", phonemes=PHONEMES),
    ],
)
def test_rows_that_make_no_sequence(row: Inputs) -> None:
    with pytest.raises(ValueError, match=r"unknown task|level|needs"):
        arrange(row, CONFIG)


def test_a_tone_stands_behind_the_prompt_where_the_model_has_the_capability() -> None:
    row = replace(ROW, tone=0)
    assert "tone" not in arrange(row, CONFIG).spans
    config = replace(CONFIG, capabilities=("ar", "nar", "len", "tone"))
    layout = arrange(row, config)
    assert list(layout.spans) == ["phonemes", "language", "level", "prompt", "tone", "response"]
    assert places(layout, "tone") == [(11, 0)]
    assert layout.positions.tolist()[8:] == [0, 1, 2, 0, 1, 0, 1, 2]
    assert "tone" in arrange(replace(row, task="len", digits=torch.tensor([0])), config).spans
    assert "tone" not in arrange(replace(row, task="stt"), config).spans


def test_a_model_of_four_levels_hears_four_of_a_recording() -> None:
    config = replace(CONFIG, audio_levels=4)
    heard = torch.arange(16).view(2, 8)
    layout = arrange(Inputs(task="stt", phonemes=PHONEMES, response=heard), config)
    tables = [lookup.table for lookup in layout.lookups if lookup.table.startswith("response")]
    assert tables == ["response.0", "response.2", "response.3"]


@pytest.mark.parametrize(("languages", "tasks"), [(6, 9), (4, 8)])
def test_one_head_may_answer_each_phase_in_a_range_of_its_own(languages: int, tasks: int) -> None:
    config = ModelConfig(
        dim=16,
        layers=1,
        heads=2,
        ffn=32,
        languages=languages,
        tasks=tasks,
        split_classifiers=False,
        classifier_size=17_702,
    )
    torch.manual_seed(0)
    shared = ArNar(config).eval()
    ranged = ArNar(replace(config, classifier_offsets=True)).eval()
    ranged.load_state_dict(shared.state_dict())
    row = replace(ROW, language=1)
    length = replace(row, task="len", digits=torch.tensor([0]))
    rows = [row, replace(row, level=3), replace(row, task="stt"), length]
    ranges = [(8484, 9509), (11557, 12581), (0, 256), (279, 290)]  # the reference's table of the 17,702 ids
    for whole, part, (first, end) in zip(shared.full(rows), ranged.full(rows), ranges, strict=True):
        assert whole.shape[1] == 17_702
        assert torch.allclose(whole[:, first:end], part, atol=1e-6)
