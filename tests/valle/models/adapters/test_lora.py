"""LoRA in both forms: the product by hand, on and off without a trace, merged, stored, of another model."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from valle.errors import UserError
from valle.models.adapters import Adapter, AdapterShape, Attached, Form, Matrices, fresh, load, merge, save
from valle.models.ar_nar import ArNar
from valle.models.base import Inputs
from valle.models.config import ModelConfig

FORMS: tuple[Form, ...] = ("parametrize", "linear")
SHAPE = AdapterShape(rank=3, alpha=6.0)


@pytest.fixture
def model() -> ArNar:
    torch.manual_seed(5)
    return ArNar(ModelConfig(dim=24, layers=2, heads=2, ffn=40, languages=1)).eval().requires_grad_(False)


def trained(model: ArNar, name: str = "voice", shape: AdapterShape = SHAPE) -> Adapter:
    """An adapter that changes something."""
    adapter = fresh(model, name, shape)
    torch.manual_seed(len(name))
    layers = {layer: Matrices(down, torch.randn_like(up) / 8) for layer, (down, up) in adapter.layers.items()}
    return Adapter(name, shape, layers)


def logits(model: ArNar, level: int = 0) -> torch.Tensor:
    codes = torch.arange(40).view(5, 8)
    row = Inputs(
        phonemes=torch.tensor([1, 9, 7, 2]), language=0, response=codes[:, : max(level, 1)], level=level
    )
    return model.full([row])[0]


@pytest.mark.parametrize("form", FORMS)
def test_a_layer_adds_the_scaled_product(model: ArNar, form: Form) -> None:
    adapter = trained(model)
    layer = "model.layers.1.mlp.up_proj"
    hidden = torch.randn(2, 24)
    down, up = adapter.layers[layer]
    plain = hidden @ model.get_submodule(layer).weight.T
    attached = Attached(model, form)
    attached.add(adapter)
    attached.act({"voice": 0.5}, "ar", 0)
    wanted = plain + hidden @ down.T @ up.T * (6.0 / 3) * 0.5
    assert torch.allclose(model.get_submodule(layer)(hidden), wanted, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_fresh_adapter_changes_nothing(model: ArNar, form: Form) -> None:
    plain = logits(model)
    Attached(model, form).add(fresh(model, "new", SHAPE))
    assert torch.allclose(logits(model), plain, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_off_and_out_leave_no_trace(model: ArNar, form: Form) -> None:
    plain, names = logits(model), set(model.state_dict())
    attached = Attached(model, form)
    for name in ("voice", "other"):
        attached.add(trained(model, name))
    both = logits(model)
    assert not torch.allclose(both, plain, atol=1e-3)
    attached.act({}, "ar", 0)
    assert torch.equal(logits(model), plain)
    attached.act({"voice": 1.0, "other": 1.0}, "ar", 0)
    assert torch.equal(logits(model), both)
    attached.remove("voice")
    alone = copy.deepcopy(model)
    Attached(alone)
    assert [adapter.name for adapter in attached.adapters] == ["other"]
    assert not torch.allclose(logits(model), both, atol=1e-4)
    attached.remove("other")
    assert torch.equal(logits(model), plain) and set(model.state_dict()) == names


def test_both_forms_and_merged_weights_agree(model: ArNar) -> None:
    adapter = trained(model)
    merged = copy.deepcopy(model)
    merge(merged, adapter, 0.7)
    for form in FORMS:
        adapted = copy.deepcopy(model)
        attached = Attached(adapted, form)
        attached.add(adapter)
        attached.act({"voice": 0.7}, "ar", 0)
        assert torch.allclose(logits(adapted), logits(merged), atol=1e-5)
        assert not torch.allclose(logits(adapted), logits(model), atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "phase", "level", "acting"),
    [
        (AdapterShape(phases=("ar",)), "ar", 0, True),
        (AdapterShape(phases=("ar",)), "nar", 2, False),
        (AdapterShape(phases=("nar",)), "nar_len", 0, True),
        (AdapterShape(phases=("nar",)), "stt", 0, False),
        (AdapterShape(levels=(0, 3)), "nar", 3, True),
        (AdapterShape(levels=(0, 3)), "nar", 2, False),
    ],
)
def test_an_adapter_acts_where_it_is_for(
    model: ArNar, shape: AdapterShape, phase: str, level: int, acting: bool
) -> None:
    plain = logits(model)
    attached = Attached(model)
    attached.add(trained(model, shape=shape))
    attached.act({"voice": 1.0}, phase, level)
    assert torch.equal(logits(model), plain) != acting


def test_the_changed_weight_is_made_once_and_again_after_training(model: ArNar) -> None:
    attached = Attached(model)
    attached.add(trained(model))
    layer = model.get_submodule("model.layers.0.self_attn.q_proj")
    with torch.inference_mode():
        assert layer.weight is layer.weight
        before = layer.weight.clone()
        for weight in attached.weights("voice"):
            weight += 0.1
        assert not torch.allclose(layer.weight, before)


def test_stored_alone_small_and_read_again(model: ArNar, tmp_path: Path) -> None:
    adapter = trained(model, shape=AdapterShape(rank=2, alpha=3.0, dropout=0.1, phases=("nar",), levels=(2,)))
    stored = save(tmp_path / "my voice.safetensors", adapter, torch.float32)
    assert stored.name == "my-voice" and stored.shape == adapter.shape and len(stored.hash) == 64
    assert set(stored.layers) == set(adapter.layers)
    for layer, matrices in adapter.layers.items():
        assert all(torch.equal(one, other) for one, other in zip(matrices, stored.layers[layer], strict=True))
    numbers = sum(each.numel() for matrices in stored.layers.values() for each in matrices)
    assert (tmp_path / "my voice.safetensors").stat().st_size < 4 * numbers + 6000
    assert save(tmp_path / "half.safetensors", adapter).hash != stored.hash


@pytest.mark.parametrize("parametrised", [False, True])
def test_files_of_the_reference(model: ArNar, tmp_path: Path, parametrised: bool) -> None:
    """Its parametrised form has the sizes of a weight the other way round; the product is read as it lies."""
    between = ".parametrizations.weight.0" if parametrised else ""
    layer = "model.layers.0.mlp.down_proj"  # [24, 40]
    small, large = (24, 40) if parametrised else (40, 24)
    down, up = torch.randn(4, small), torch.randn(large, 4)
    tensors = {f"{layer}{between}.lora_A": down, f"{layer}{between}.lora_B": up}
    config = {"name": "lora", "rank": 4, "alpha": 8, "training": True, "rvq_levels": [0]}
    save_file(tensors, tmp_path / "lora.sft", {"config": json.dumps(config), "stats": "{}"})
    torch.save({"module": tensors, "config": config}, tmp_path / "lora.pth")
    weight = model.get_submodule(layer).weight.clone()
    wanted = weight + (up @ down).view(weight.shape) * 2
    for file in ("lora.sft", "lora.pth"):
        adapter = load(tmp_path / file)
        assert adapter.shape == AdapterShape(rank=4, alpha=8.0, modules=("down_proj",), levels=(0,))
        for form in FORMS:
            adapted = copy.deepcopy(model)
            Attached(adapted, form).add(adapter)
            found = adapted.get_submodule(layer)(torch.eye(40)).T
            assert torch.allclose(found, wanted, atol=1e-5)


def test_what_cannot_be_made_is_said(model: ArNar, tmp_path: Path) -> None:
    for arguments, said in [
        ({"rank": 0}, "rank of an adapter must be from 1 to 4096, not 0"),
        ({"alpha": 0.0}, "alpha of an adapter must be a number above 0"),
        ({"dropout": 1.0}, "dropout of an adapter must be from 0 to below 1, not 1.0"),
        ({"modules": ()}, "needs modules"),
        ({"phases": ("len",)}, "must be ar, nar or both, not len"),
    ]:
        with pytest.raises(UserError, match=said):
            AdapterShape(**arguments)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no layers named nothing"):
        fresh(model, "x", AdapterShape(modules=("nothing",)))
    attached = Attached(model, model_hash="b" * 64)
    with pytest.raises(UserError, match=r"trained on another model \(aaaaaaaaaaaa\) than the one"):
        attached.add(Adapter("x", SHAPE, {}, model="a" * 64))
    other = ArNar(ModelConfig(dim=32, layers=2, heads=2, ffn=40, languages=1))
    with pytest.raises(UserError, match=r"of \[32, 32\], that of this model is \[24, 24\]: it was made for"):
        attached.add(trained(other))
    deeper = ArNar(ModelConfig(dim=24, layers=3, heads=2, ffn=40, languages=1))
    with pytest.raises(UserError, match=r"model.layers.2.* which this model does not have"):
        attached.add(trained(deeper))
    attached.add(trained(model))
    with pytest.raises(UserError, match="There is an adapter voice already"):
        attached.add(trained(model))
    with pytest.raises(UserError, match="no adapter 'vice' loaded; there is voice"):
        attached.act({"vice": 1.0}, "ar", 0)


@pytest.mark.parametrize(
    ("tensors", "metadata", "said"),
    [
        ({"model.sep": (3, 3)}, {}, "model.sep is no matrix of an adapter"),
        ({}, {}, "cannot be used"),
        ({"a.lora_A": (2, 3)}, {}, "lora_A and lora_B of a do not belong together"),
        ({"a.lora_A": (2, 3), "a.lora_B": (4, 3)}, {}, "do not belong together"),
        (
            {"a.lora_A": (2, 3), "a.lora_B": (4, 2)},
            {"config": '{"rank": 3}'},
            "a has rank 2, its settings say 3",
        ),
        ({"a.lora_A": (2, 3), "a.lora_B": (4, 2)}, {"config": '{"rank": 0}'}, "rank of an adapter must be"),
        ({"a.lora_A": (2, 3), "a.lora_B": (4, 2)}, {"config": "{"}, "cannot be understood"),
        ({"a.lora_A": (2, 3), "a.lora_B": (4, 2)}, {"valle-lab.adapter": "{}"}, "is damaged"),
    ],
)
def test_bad_files(
    tmp_path: Path, tensors: dict[str, tuple[int, ...]], metadata: dict[str, str], said: str
) -> None:
    file = tmp_path / "bad.safetensors"
    save_file({name: torch.ones(shape) for name, shape in tensors.items()}, file, metadata)
    with pytest.raises(UserError, match=said) as error:
        load(file)
    assert str(file) in str(error.value)
    (tmp_path / "cut.sft").write_bytes(file.read_bytes()[:40])
    for name in ("cut.sft", "none.sft"):
        with pytest.raises(UserError, match=name):
            load(tmp_path / name)
