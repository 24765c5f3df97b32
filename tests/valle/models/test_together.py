"""Layers as one product give what each of them gives alone, whatever becomes of their weights meanwhile."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.valle.models.conftest import TINY, RowMaker
from valle.checkpoints import native
from valle.checkpoints.details import CodecName, Details
from valle.models.adapters import Adapter, AdapterShape, Attached, Form, Matrices, fresh
from valle.models.ar_nar import ArNar
from valle.models.arch.attention import Mask
from valle.models.arch.llama import Llama
from valle.models.arch.together import Together
from valle.text.tokens import Tokenizer

OUTPUTS = (12, 8, 12)


@pytest.fixture
def layers() -> list[nn.Linear]:
    torch.manual_seed(1)
    return [nn.Linear(8, outputs, bias=False) for outputs in OUTPUTS]


def alone(hidden: Tensor, layers: list[nn.Linear]) -> list[Tensor]:
    """What the layers give, by the definition of a linear layer."""
    return [(hidden.double() @ layer.weight.double().T).to(layer.weight.dtype) for layer in layers]


def furthest(one: list[Tensor], other: list[Tensor]) -> float:
    assert [each.shape for each in one] == [each.shape for each in other]
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def calls(layers: list[nn.Linear], monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one with every layer that is called by itself."""
    made: list[None] = []
    plain = nn.Linear.forward

    def counted(self: nn.Linear, input: Tensor) -> Tensor:
        made.append(None)
        return plain(self, input)

    monkeypatch.setattr(nn.Linear, "forward", counted)
    return made


@pytest.mark.parametrize("shape", [(1, 1, 8), (2, 1, 8), (2, 8, 8), (3, 40, 8), (1, 0, 8)])
@torch.inference_mode()
def test_one_product_equals_the_layers(shape: tuple[int, ...], layers: list[nn.Linear]) -> None:
    hidden = torch.randn(shape)
    answers = list(Together()(hidden, *layers))
    assert [answer.shape for answer in answers] == [(*shape[:2], outputs) for outputs in OUTPUTS]
    assert not hidden.numel() or furthest(answers, alone(hidden, layers)) < 1e-6


@torch.no_grad()
def test_few_positions_are_one_product_and_many_are_not(
    layers: list[nn.Linear], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = calls(layers, monkeypatch)
    Together()(torch.randn(1, 2, 8), *layers)
    assert not made
    Together()(torch.randn(1, 200, 8), *layers)
    assert len(made) == len(layers)


def in_place(layers: list[nn.Linear]) -> None:
    layers[1].weight.mul_(1.5)


def another_parameter(layers: list[nn.Linear]) -> None:
    layers[1].weight = nn.Parameter(torch.randn(8, 8))


def other_numbers(layers: list[nn.Linear]) -> None:
    layers[1].weight.data = torch.randn(8, 8)


def loaded(layers: list[nn.Linear]) -> None:
    layers[1].load_state_dict({"weight": torch.randn(8, 8)})


def half(layers: list[nn.Linear]) -> None:
    for layer in layers:
        layer.to(torch.bfloat16)


def half_and_back(layers: list[nn.Linear]) -> None:
    for layer in layers:
        layer.to(torch.bfloat16).to(torch.float32)


CHANGES = (in_place, another_parameter, other_numbers, loaded, half, half_and_back)


@pytest.mark.parametrize("change", CHANGES)
@torch.no_grad()
def test_changed_weights_are_noticed(
    change: Callable[[list[nn.Linear]], None], layers: list[nn.Linear]
) -> None:
    together, hidden = Together(), torch.randn(1, 2, 8)
    before = list(together(hidden, *layers))
    change(layers)
    hidden = hidden.to(layers[0].weight.dtype)
    after = list(together(hidden, *layers))
    tolerance = 1e-6 if hidden.dtype == torch.float32 else 3e-2
    assert furthest(after, alone(hidden, layers)) <= tolerance
    assert furthest(before, after) > 1e-4


@torch.no_grad()
def test_hooks_and_biases_are_kept(layers: list[nn.Linear]) -> None:
    together, hidden = Together(), torch.randn(1, 2, 8)
    plain = list(together(hidden, *layers))
    handle = layers[1].register_forward_hook(lambda _module, _inputs, output: output + 1)
    assert furthest([plain[1] + 1], [together(hidden, *layers)[1]]) < 1e-6
    handle.remove()
    layers[1].bias = nn.Parameter(torch.full((8,), 2.0))
    assert furthest([plain[1] + 2], [together(hidden, *layers)[1]]) < 1e-6


def test_gradients_are_those_of_the_layers(layers: list[nn.Linear]) -> None:
    together, hidden = Together(), torch.randn(1, 2, 8, requires_grad=True)
    with torch.no_grad():
        together(hidden, *layers)
    torch.stack([answer.square().sum() for answer in together(hidden, *layers)]).sum().backward()
    weight = torch.cat([layer.weight for layer in layers]).detach()
    wanted = 2 * weight.T @ weight @ hidden.detach()[0].T
    assert hidden.grad is not None
    assert float((hidden.grad[0].T - wanted).abs().max()) < 1e-5
    assert all(layer.weight.grad is not None for layer in layers)


@pytest.mark.parametrize("form", ["parametrize", "linear"])
def test_adapters_act_in_steps_as_in_a_full_pass(form: Form, model: ArNar, make_row: RowMaker) -> None:
    adapted = copy.deepcopy(model)
    row, tokens = make_row(4, 3, response=None), torch.tensor([5, 9, 2])

    def stepped() -> Tensor:
        cache, logits = adapted.begin([row], len(tokens))
        return torch.cat([logits, *(adapted.advance(cache, token[None]) for token in tokens)])

    before = stepped()
    empty = fresh(adapted, "a", AdapterShape(rank=2))
    layers = {
        name: Matrices(each.down, torch.randn_like(each.up) * 0.3) for name, each in empty.layers.items()
    }
    attached = Attached(adapted, form)
    attached.add(Adapter("a", empty.shape, layers))
    merged = copy.deepcopy(model)
    with torch.no_grad():
        for name, each in layers.items():
            merged.get_parameter(f"{name}.weight").add_(
                each.change(merged.get_parameter(f"{name}.weight")) * 8
            )
    cache, logits = merged.begin([row], len(tokens))
    wanted = torch.cat([logits, *(merged.advance(cache, token[None]) for token in tokens)])
    assert float((stepped() - wanted).abs().max()) < 1e-3
    assert float((before - wanted).abs().max()) > 0.1
    attached.act({}, "ar", 0)
    assert torch.equal(stepped(), before)
    attached.clear()
    assert torch.equal(stepped(), before)


@pytest.mark.parametrize("moved", [copy.deepcopy, lambda model: copy.deepcopy(model).double().float()])
def test_a_copy_computes_the_same_bits_and_goes_its_own_way(
    moved: Callable[[ArNar], ArNar], model: ArNar, make_row: RowMaker
) -> None:
    row = make_row(4, 3, response=None)

    def stepped(of: ArNar) -> Tensor:
        cache, _ = of.begin([row], 2)
        return of.advance(cache, torch.tensor([7]))

    original = stepped(model)
    other = moved(model)
    assert torch.equal(stepped(other), original)
    with torch.no_grad():
        other.get_parameter("model.layers.0.self_attn.k_proj.weight").mul_(2)
    assert not torch.equal(stepped(other), original)
    assert torch.equal(stepped(model), original)


def test_a_file_written_after_steps_has_the_same_bits(
    tmp_path: Path, model: ArNar, make_row: RowMaker
) -> None:
    stored = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    details = Details(TINY, CodecName("builtin-1"), Tokenizer.builtin().to_dict(), {"en": 0}, {})
    native.save(tmp_path / "before.safetensors", model, details, torch.float32)
    cache, _ = model.begin([make_row(4, 3, response=None)], 2)
    model.advance(cache, torch.tensor([7]))
    native.save(tmp_path / "after.safetensors", model, details, torch.float32)
    assert (tmp_path / "before.safetensors").read_bytes() == (tmp_path / "after.safetensors").read_bytes()
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in stored.items())
    assert all(tensor.is_contiguous() for tensor in model.state_dict().values())


class Watching:
    """Sees queries and keys, and keeps their shapes."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def attention(self, _layer: int, query: Tensor, key: Tensor) -> None:
        self.seen.append((query.shape[2], key.shape[2]))


def test_an_observer_sees_all_and_changes_no_bit(model: ArNar, make_row: RowMaker) -> None:
    rows = [make_row(5, 6, 7, level=2), make_row(4, 2, 9, level=1)]
    watching = Watching()
    watched, plain = model.full(rows, watching), model.full(rows)
    assert all(torch.equal(one, other) for one, other in zip(watched, plain, strict=True))
    length = max(layout.length for layout in model.layouts(rows))
    assert watching.seen == [(length, length)] * TINY.layers


@pytest.mark.parametrize(
    "mask",
    [
        Mask(),
        Mask(causal=True),
        Mask(
            keep=(torch.rand(2, 1, 9, 9, generator=torch.Generator().manual_seed(2)) < 0.6)
            | torch.eye(9).bool()
        ),
    ],
    ids=["full", "causal", "own"],
)
@pytest.mark.parametrize("since", [0, 1, 5, 8])
@torch.inference_mode()
def test_the_last_places_alone_are_those_of_all(mask: Mask, since: int, model: ArNar) -> None:
    body = model.model
    assert isinstance(body, Llama)
    hidden = torch.randn(2, 9, TINY.dim, generator=torch.Generator().manual_seed(3))
    positions = torch.arange(9).expand(2, 9)
    whole = body(hidden, positions, 9, mask)
    part = body(hidden, positions, 9, mask, since=since)
    assert part.shape == (2, 9 - since, TINY.dim)
    assert float((part - whole[:, since:]).abs().max()) < 1e-5


def test_a_level_of_no_frames_is_answered_by_nothing(model: ArNar, make_row: RowMaker) -> None:
    (logits,) = model.full([make_row(4, 3, 0, level=2)])
    assert logits.shape == (0, TINY.audio_tokens)
