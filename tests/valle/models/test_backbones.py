"""What every backbone must do, and each against something that computes the same in another way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from tests.valle.models.conftest import RowMaker
from valle.checkpoints import native
from valle.checkpoints.details import CodecName, Details
from valle.errors import UserError
from valle.models.ar_nar import ArNar
from valle.models.arch import BACKBONES, build, recurrent
from valle.models.arch.attention import Mask
from valle.models.arch.bitnet import BitLinear
from valle.models.arch.retention import chunkwise, decays, parallel
from valle.models.arch.retention import recurrent as one_by_one
from valle.models.base import Inputs
from valle.models.config import ModelConfig

EVERY = tuple(BACKBONES)
TOKENS = torch.tensor([[3, 0, 41, 7, 7, 12, 9], [9, 44, 2, 1, 30, 5, 5], [11, 12, 13, 14, 15, 16, 17]])


def config_of(name: str, **others: object) -> ModelConfig:
    given: dict[str, object] = {
        "dim": 24,
        "layers": 2,
        "heads": 2,
        "ffn": 40,
        "audio_tokens": 50,
        "phoneme_tokens": 20,
        "capabilities": ("ar", "nar", "len") if BACKBONES[name].looks_ahead else ("ar", "len"),
        "architecture": name,
        "experts": 4 if name == "mixtral" else 1,
    }
    return ModelConfig(**{**given, **others})  # type: ignore[arg-type]


def lively(model: ArNar) -> ArNar:
    """Weights so large that every part of the model shows in its logits."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not name.endswith("A_log"):
                parameter.normal_(0.0, 0.3)
    return model.eval()


@pytest.fixture(scope="module")
def models() -> dict[str, ArNar]:
    torch.manual_seed(0)
    return {name: lively(ArNar(config_of(name))) for name in EVERY}


def rows(make_row: RowMaker) -> list[Inputs]:
    return [
        make_row(5, 6, response=None),
        make_row(9, 0, response=None, language=None),
        make_row(3, 12, response=None),
    ]


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_steps_of_a_batch_equal_full_passes(name: str, models: dict[str, ArNar], make_row: RowMaker) -> None:
    model = models[name]
    begun = rows(make_row)
    cache, logits = model.begin(begun, TOKENS.shape[1])
    made = [logits, *(model.advance(cache, TOKENS[:, step]) for step in range(TOKENS.shape[1]))]
    together = [replace(row, response=tokens[:, None]) for row, tokens in zip(begun, TOKENS, strict=True)]
    batch = model.full(together)
    for index, row in enumerate(together):
        (alone,) = model.full([row])
        assert close(batch[index], alone)
        assert close(torch.stack(made, 1)[index], alone)
    assert batch[0].std() > 0.5


@pytest.mark.parametrize("name", EVERY)
def test_going_back_and_forking(
    name: str, models: dict[str, ArNar], make_row: RowMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrent, "KEPT_EVERY", 3)
    model = models[name]
    cache, _ = model.begin(rows(make_row), 10)
    made = [model.advance(cache, TOKENS[:, step]) for step in range(7)]
    fork = cache.fork(2)
    assert torch.equal(model.advance(fork, TOKENS[:, 2]), made[2])
    cache.restore(5)
    assert torch.equal(model.advance(cache, TOKENS[:, 5]), made[5])
    cache.restore(0)
    again = [model.advance(cache, TOKENS[:, step]) for step in range(7)]
    assert all(torch.equal(*pair) for pair in zip(made, again, strict=True))
    picked = cache.fork(4).rows([2, 0])
    assert close(model.advance(picked, TOKENS[[2, 0], 4]), made[4][[2, 0]])
    cache.select([1, 1, 2])
    cache.restore(4)
    assert close(model.advance(cache, TOKENS[[1, 1, 2], 4]), made[4][[1, 1, 2]])
    assert cache.memory > 0


@pytest.mark.parametrize("name", EVERY)
def test_a_row_joins_another(name: str, models: dict[str, ArNar], make_row: RowMaker) -> None:
    model = models[name]
    one, other = rows(make_row)[:2]
    cache, _ = model.begin([one], 5)
    model.advance(cache, TOKENS[:1, 0])
    joining, _ = model.begin([replace(other, response=TOKENS[1:2, :1])], 4)
    both = cache.beside(joining)
    answer = model.advance(both, TOKENS[:2, 1])
    expected = [
        model.full([replace(row, response=tokens[:2, None])])[0][-1]
        for row, tokens in zip((one, other), TOKENS, strict=False)
    ]
    assert close(answer, torch.stack(expected))


@pytest.mark.parametrize("name", EVERY)
def test_the_other_levels(name: str, models: dict[str, ArNar], make_row: RowMaker) -> None:
    row = make_row(5, 6, 7, level=3)
    if not BACKBONES[name].looks_ahead:
        with pytest.raises(UserError, match=f"{name} reads from left to right only"):
            models[name].full([row])
        with pytest.raises(UserError, match="leave nar out of capabilities"):
            build(config_of(name, capabilities=("ar", "nar")))
        return
    (plain,) = models[name].full([row])
    assert plain.shape == (7, 50)
    assert row.response is not None
    codes = row.response.clone()
    codes[-1, 0] = (codes[-1, 0] + 1) % 50
    (changed,) = models[name].full([replace(row, response=codes)])
    assert (plain[0] - changed[0]).abs().max() > 1e-4  # the first frame sees the last one
    beside = models[name].full([row, make_row(9, 3, 4, level=1), make_row(2, 0, 3)])
    assert close(beside[0], plain)


@pytest.mark.parametrize("name", EVERY)
def test_gradients_reach_every_weight_with_and_without_checkpointing(name: str, make_row: RowMaker) -> None:
    torch.manual_seed(0)
    model = ArNar(config_of(name))
    batch = [make_row(5, 6, 7), make_row(8, 0, 3)]
    found = []
    for checkpointing in (False, True):
        model.model.checkpointing = checkpointing
        model.zero_grad()
        loss = model.loss(batch).mean
        auxiliary = model.model.auxiliary_loss()
        assert (auxiliary is not None) == (name == "mixtral")
        (loss if auxiliary is None else loss + auxiliary).backward()
        found.append({key: weight.grad for key, weight in model.model.named_parameters()})
    for key, gradient in found[0].items():
        assert gradient is not None, key
        again = found[1][key]
        assert again is not None
        assert torch.allclose(gradient, again, atol=1e-6), key


@pytest.mark.parametrize("name", EVERY)
def test_a_file_of_it(name: str, models: dict[str, ArNar], make_row: RowMaker, tmp_path: Path) -> None:
    model = models[name]
    path = tmp_path / "model.safetensors"
    native.save(path, model, Details(model.config, CodecName("toy")), torch.float32)
    loaded = native.load(path)
    assert loaded.details.config == model.config
    row = make_row(5, 6, 7)
    assert torch.equal(loaded.model.full([row])[0], model.full([row])[0])
    half = native.load(path, dtype=torch.bfloat16).model
    cache, _ = half.begin([replace(row, response=None)], 3)
    assert half.advance(cache, torch.tensor([4])).isfinite().all()


@pytest.mark.parametrize("name", [each for each in EVERY if each != "bitnet"])
def test_any_backbone_with_ternary_weights(name: str, make_row: RowMaker) -> None:
    torch.manual_seed(0)
    model = ArNar(config_of(name, bitnet=True))
    kinds = {type(part) for part in model.model.modules() if isinstance(part, nn.Linear)}
    assert kinds == {BitLinear}
    model.loss([make_row(5, 6, 7)]).mean.backward()
    assert all(weight.grad is not None for weight in model.model.parameters())


def test_bit_linear_formula() -> None:
    layer = BitLinear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.2, -0.9, 0.1], [0.5, 0.6, -0.1]]))
    # The mean magnitude is 0.4, so the weights are 0.4 times 0 (0.5 to even), -1, 0 and 1, 1, 0.
    given = torch.tensor([[3.0, 0.0, -4.0]], requires_grad=True)
    unit = torch.tensor([3.0, 0.0, -4.0]) / (25 / 3 + 1e-6) ** 0.5
    step = unit.abs().max() / 127
    eighth = torch.round(unit / step) * step
    answer = layer(given)
    assert torch.allclose(answer, 0.4 * torch.stack([-eighth[1], eighth[0] + eighth[1]])[None], atol=1e-6)
    answer[0, 1].backward()
    assert layer.weight.grad is not None
    assert torch.allclose(layer.weight.grad, torch.stack([torch.zeros(3), eighth]), atol=1e-6)


def test_ternary_weights_are_rounded_again_when_they_change() -> None:
    torch.manual_seed(0)
    layer, given = BitLinear(6, 4, bias=False), torch.randn(2, 6)

    def fresh() -> Tensor:
        with torch.enable_grad():
            return layer(given).detach()

    with torch.no_grad():
        assert torch.equal(layer(given), fresh())
        layer.weight.neg_()
        assert torch.equal(layer(given), fresh())
        layer.weight.data = layer.weight.data.flip(0)
        assert torch.equal(layer(given), fresh())
        layer.load_state_dict({"weight": torch.randn(4, 6)}, assign=True)
        assert torch.equal(layer(given), fresh())
        parametrize.register_parametrization(layer, "weight", _Twice())
        doubled = layer(given)
        assert torch.equal(doubled, fresh())
        parametrize.remove_parametrizations(layer, "weight")
        assert torch.equal(layer(given), doubled)


def test_ternary_weights_are_rounded_again_where_others_lie_in_their_place() -> None:
    """Memory that a conversion frees is soon another weight's: only what it holds tells them apart."""
    torch.manual_seed(0)
    for _ in range(200):
        layer, given = BitLinear(64, 64, bias=False), torch.randn(1, 64)
        with torch.no_grad():
            layer(given)
            layer.to(torch.bfloat16).to(torch.float32)
            same = BitLinear(64, 64, bias=False)
            same.weight.copy_(layer.weight)
            assert torch.equal(layer(given), same(given))


class _Twice(nn.Module):
    """A stand-in for an adapter: it makes weights of the weights."""

    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight + 0.3


def test_a_mixture_is_the_two_best_experts_by_their_shares() -> None:
    from valle.models.arch.experts import Mixture

    torch.manual_seed(0)
    mixture = Mixture(config_of("mixtral"))
    hidden = torch.randn(2, 3, 24)
    answer = mixture(hidden)
    for place in ((0, 0), (1, 2)):
        x = hidden[place]
        shares = torch.softmax(mixture.gate.weight @ x, 0)
        best = shares.argsort(descending=True)[:2]
        expected = torch.zeros(24)
        for expert in best:
            gate, up = (mixture.experts.gate_up_proj[expert] @ x).chunk(2)
            down = mixture.experts.down_proj[expert] @ (functional.gelu(gate) * up)
            expected += shares[expert] / shares[best].sum() * down
        assert torch.allclose(answer[place], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["mixtral", "retnet", "retnet-hf"])
def test_the_routers_loss_leaves_padding_out(name: str, make_row: RowMaker) -> None:
    torch.manual_seed(0)
    model = ArNar(config_of(name, experts=4))
    short, long = make_row(3, 2, 2), make_row(9, 9, 9)
    layers = [0.0, 0.0]
    for index, batch in enumerate(([short, short], [short, short, long])):
        model.loss(batch)
        layers[index] = model.model.auxiliary_loss().item()
    model.loss([long])
    counts = [2 * model.layouts([short])[0].length, model.layouts([long])[0].length]
    alone = model.model.auxiliary_loss().item()
    assert min(*layers, alone) > 1.9
    # Uneven use is a product of two shares, so the mixture of both lies near their mean, padding or not.
    mean = (counts[0] * layers[0] + counts[1] * alone) / sum(counts)
    assert layers[1] == pytest.approx(mean, abs=0.05)
    model.eval()
    with torch.no_grad():
        model.loss([short])
    assert model.model.auxiliary_loss() is None


def test_the_three_forms_of_retention_agree() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 3, 11, 4).unbind(0)
    log_decay = decays(3, query.device)
    whole = parallel(query, key, value, log_decay, Mask(causal=True))
    state = torch.zeros(2, 3, 4, 4)
    chunks, last = chunkwise(query, key, value, log_decay, state, chunk=4)
    steps = []
    for place in range(11):
        at = slice(place, place + 1)
        answer, state = one_by_one(query[:, :, at], key[:, :, at], value[:, :, at], log_decay, state)
        steps.append(answer)
    assert torch.allclose(whole, chunks, atol=1e-5)
    assert torch.allclose(whole, torch.cat(steps, 2), atol=1e-5)
    assert torch.allclose(state, last, atol=1e-5)
    fades = 1 - 2.0**-6
    expected = sum(
        fades ** (7 - past) * float(query[1, 1, 7] @ key[1, 1, past]) / 2 * value[1, 1, past]
        for past in range(8)
    )
    assert torch.allclose(whole[1, 1, 7], torch.as_tensor(expected), atol=1e-5)


def test_both_retnets_are_the_same_and_one_is_a_transformers_model(tmp_path: Path) -> None:
    from valle.models.arch.retnet_hf import RetNetHF, RetNetModel

    torch.manual_seed(0)
    ours, theirs = build(config_of("retnet")), build(config_of("retnet-hf"))
    assert isinstance(theirs, RetNetHF)
    theirs.model.retnet.load_state_dict(ours.state_dict())
    theirs.model.save_pretrained(tmp_path)
    model = RetNetModel.from_pretrained(tmp_path).eval()
    hidden = torch.randn(2, 6, 24)
    places = torch.arange(6).expand(2, -1)
    with torch.inference_mode():
        expected = ours(hidden, places, 6, Mask(causal=True))
        assert torch.equal(model(hidden).last_hidden_state, expected)
        begun = model(hidden[:, :4], use_cache=True)
        step = model(hidden[:, 4:5], past_key_values=begun.past_key_values, use_cache=True)
        assert close(step.last_hidden_state[:, 0], expected[:, 4])
        ternary = build(config_of("retnet-hf", bitnet=True))
        ternary.model.save_pretrained(tmp_path / "ternary")
        again = RetNetModel.from_pretrained(tmp_path / "ternary").eval()
        as_it_was = ternary(hidden, places, 6, Mask(causal=True))
        assert torch.equal(again(hidden).last_hidden_state, as_it_was)
        free = ours(hidden, places, 6, Mask())
        assert torch.equal(theirs(hidden, places, 6, Mask()), free)
        assert not close(free, expected)


@pytest.mark.parametrize("name", ["mamba", "mamba2"])
def test_equals_the_whole_model_of_transformers(name: str) -> None:
    from transformers import Mamba2Config, Mamba2Model, MambaConfig, MambaModel

    torch.manual_seed(0)
    ours = build(config_of(name))
    sizes = {"vocab_size": 4, "hidden_size": 24, "num_hidden_layers": 4, "layer_norm_epsilon": 1e-6}
    if name == "mamba":
        theirs = MambaModel(MambaConfig(**sizes))
    else:
        theirs = Mamba2Model(Mamba2Config(**sizes, num_heads=2, head_dim=24, n_groups=1, state_size=64))
    weights = {key.replace("norm.", "norm_f.", 1) if key.startswith("norm.") else key: value
               for key, value in ours.state_dict().items()}  # fmt: skip
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == (["embeddings.weight"], [])
    hidden = torch.randn(2, 9, 24)
    places = torch.arange(9).expand(2, -1)
    with torch.inference_mode():
        expected = theirs.eval()(inputs_embeds=hidden).last_hidden_state
        assert torch.allclose(ours(hidden, places, 9, Mask(causal=True)), expected, atol=1e-4)


def test_equals_the_transformer_of_torch() -> None:
    from valle.models.arch.transformer import sinusoids

    torch.manual_seed(0)
    ours = build(config_of("transformer"))
    layer = nn.TransformerEncoderLayer(24, 2, 40, 0.0, "gelu", batch_first=True, norm_first=True)
    theirs = nn.TransformerEncoder(layer, 2, nn.LayerNorm(24), enable_nested_tensor=False)
    state = ours.state_dict()
    wanted = {}
    for key in theirs.state_dict():
        place = key.rpartition(".")[0] + "."
        head = ".".join(key.split(".")[:2]) + "."
        if "in_proj_weight" in key:
            wanted[key] = torch.cat([state[f"{head}self_attn.{each}_proj.weight"] for each in "qkv"])
        elif "self_attn" in key and key.endswith("bias"):
            wanted[key] = torch.zeros_like(theirs.state_dict()[key])
        else:
            names = {
                "self_attn.out_proj.": "self_attn.o_proj.",
                "linear1.": "mlp.up_proj.",
                "linear2.": "mlp.down_proj.",
                "norm1.": "input_layernorm.",
                "norm2.": "post_attention_layernorm.",
            }
            own = names.get(place.removeprefix(head), place.removeprefix(head))
            own = key if key.startswith("norm.") else head + own + key.rpartition(".")[2]
            wanted[key] = state[own]
    theirs.load_state_dict(wanted)
    hidden = torch.randn(2, 7, 24)
    places = torch.tensor([[0, 1, 2, 0, 1, 2, 3], [*range(7)]])
    with torch.inference_mode():
        placed = hidden + sinusoids(places, 24)
        assert torch.allclose(ours(hidden, places, 7, Mask()), theirs(placed), atol=1e-5)
    assert sinusoids(torch.tensor([[3]]), 4).flatten().tolist() == pytest.approx(
        [0.1 * value for value in (0.14112, 0.0299955, -0.9899925, 0.99955)], abs=1e-6
    )


def test_names_and_sizes_that_cannot_be() -> None:
    with pytest.raises(UserError, match=r"unknown architecture 'mambo'; .* did you mean mamba\?"):
        build(replace(config_of("mamba"), architecture="mambo"))
    with pytest.raises(UserError, match="mixtral needs experts of 2 or more"):
        build(config_of("mixtral", experts=1))
    with pytest.raises(UserError, match="dim 25 must split into 2 heads"):
        config_of("retnet", dim=25)
    with pytest.raises(UserError, match="experts is 0"):
        config_of("mixtral", experts=0)
    with pytest.raises(UserError, match=r"llama has no mixture of experts; .* mixtral, retnet, retnet-hf"):
        build(config_of("llama", experts=3))


def test_there_is_no_way_back_beyond_the_beginning(models: dict[str, ArNar], make_row: RowMaker) -> None:
    cache, _ = models["retnet"].begin([make_row(5, 6, response=None)], 4)
    models["retnet"].advance(cache, torch.tensor([3]))
    state = cache.state
    assert isinstance(state, recurrent.RecurrentState)
    kept = state.snapshot()
    assert kept.length == state.length
    state.crop(state.length - 1)
    assert kept.length == state.length + 1
    with pytest.raises(ValueError, match="has the positions from"):
        state.crop(3)
