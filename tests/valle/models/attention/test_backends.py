"""Every backend that runs here gives what `math` gives, forward and backward; the model with it too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from tests.valle.models.attention.cases import QUERIES, SHAPES, case, difference
from valle.decoding.attention import LastQuery
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.arch.attention import Mask, find, use_attention
from valle.models.arch.attention.kernel import Kernel
from valle.models.attention_maps import AttentionTrack
from valle.models.base import Inputs
from valle.models.config import ModelConfig

HERE = ("eager", "default", "sdpa", "flash")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", HERE)
def test_a_backend_agrees_with_math(name: str, shape: str) -> None:
    for queries in QUERIES:
        assert max(difference(name, case(shape, queries))) < 2e-6


@pytest.mark.parametrize(("shape", "queries"), [("full", 7), ("causal", 3), ("padded", 7), ("padded", 1)])
def test_the_kernel_of_ours_agrees_with_math(shape: str, queries: int) -> None:
    assert max(difference("fused", case(shape, queries))) < 2e-6


def test_flex_agrees_and_has_no_gradients_on_the_cpu() -> None:
    for shape, queries in (("full", 7), ("causal", 3), ("padded", 7)):
        with torch.inference_mode():
            plain = case(shape, queries)
            found = replace(plain, **{n: getattr(plain, n).detach() for n in ("query", "key", "value")})
            assert max(difference("flex", found)) < 2e-6
    with pytest.raises(UserError, match="no gradients on the CPU"):
        find("flex")(*case(shape, 3).tensors(), Mask())


def test_the_kernel_of_ours_in_half_precision() -> None:
    assert max(difference("fused", case("padded", 7, torch.float16))) < 4e-3


def test_the_kernel_of_ours_over_several_blocks_and_odd_heads() -> None:
    torch.manual_seed(2)
    query, key, value = (torch.randn(1, 1, 150, 20, requires_grad=True) for _ in range(3))
    found = replace(case("causal", 7), query=query, key=key, value=value, live=torch.ones(1, 150))
    assert max(difference("fused", found)) < 5e-6


def test_what_is_not_finite_is_named() -> None:
    found = case("causal", 3)
    key = found.key.detach().clone()
    key[1, 0, 4, 2] = torch.nan
    with pytest.raises(UserError, match="the key of row 1, head 0, position 4 is not finite"):
        find("default")(found.query, key, found.value, found.mask)


def test_a_mask_of_one_query_tells_its_rows_itself() -> None:
    keep = torch.tensor([[False, True, True], [True, True, True]])[:, None, None]
    assert [tuple(span) for span in Mask(keep=keep).spans(2, 3)] == [(1, 3, False), (0, 3, False)]
    with pytest.raises(ValueError, match="must tell its rows"):
        Mask(keep=keep.expand(2, 1, 2, 3)).spans(2, 3)


@pytest.fixture(scope="module")
def model() -> Iterator[ArNar]:
    torch.manual_seed(3)
    yield ArNar(ModelConfig(dim=32, layers=2, heads=2, ffn=64, languages=1)).eval().requires_grad_(False)


def rows() -> list[Inputs]:
    codes = torch.arange(6 * 8).view(6, 8)
    short = Inputs(phonemes=torch.tensor([1, 20, 2]), language=0)
    return [short, Inputs(phonemes=torch.tensor([1, 20, 31, 42, 2]), language=0, prompt=codes)]


def decode(model: ArNar, observer: object = None) -> list[torch.Tensor]:
    """Logits of two padded rows, step by step, and of a padded batch of AR and NAR rows."""
    cache, logits = model.begin(rows(), capacity=3, observer=observer)  # type: ignore[arg-type]
    found = [logits]
    found.append(model.advance(cache, torch.tensor([5, 6]), observer))  # type: ignore[arg-type]
    made = torch.arange(8).view(4, 2)
    mixed = [replace(rows()[0], response=made, level=2), replace(rows()[1], response=made[:, :1])]
    return found + model.full(mixed)


@pytest.mark.parametrize("name", [*HERE, "flex", "fused"])
def test_the_model_answers_the_same_by_every_backend_watched_or_not(model: ArNar, name: str) -> None:
    use_attention(model, "math")
    wanted = decode(model)
    use_attention(model, name)
    answers = decode(model)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(wanted, answers, strict=True))
    (layout,) = model.layouts(rows()[:1], growing=True)
    watched = decode(model, AttentionTrack(layout))
    assert all(torch.equal(one, other) for one, other in zip(answers, watched, strict=True))
    last = LastQuery()
    assert torch.equal(model.begin(rows(), capacity=3, observer=last)[1], answers[0])
    assert last.measures().entropy.shape == (1, 2)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert {module.name for module in model.modules() if isinstance(module, Kernel)} == {name}


def test_measures_are_the_same_by_numpy_and_by_torch() -> None:
    torch.manual_seed(6)
    query, key = torch.randn(2, 3, 1, 8), torch.randn(2, 3, 40, 8) * 3
    by_numpy, by_torch = LastQuery(), LastQuery()
    by_numpy.attention(0, query, key)
    by_torch.attention(0, query.requires_grad_(), key)
    for one, other in zip(vars_of(by_numpy), vars_of(by_torch), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def vars_of(watch: LastQuery) -> tuple[torch.Tensor, ...]:
    found = watch.measures()
    return found.entropy, found.varentropy, found.agreement.detach(), found.interaction.detach()
