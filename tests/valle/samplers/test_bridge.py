"""Stacks in the generation of transformers, with a Llama that is small and knows nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from valle.samplers import Stack, StackError
from valle.samplers.bridge import sample_top_p
from valle.samplers.rows import Rows
from valle.samplers.sampler import Sampler

VOCABULARY = 24
PROMPT = torch.tensor([[1, 5, 9, 5], [2, 7, 7, 3]])
LENGTH = 12


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.6,
    )
    return LlamaForCausalLM(config).eval()


def ar(*stages: dict[str, Any]) -> Stack:
    return Stack.from_dict({"ar": list(stages)})


def config(**values: Any) -> GenerationConfig:
    return GenerationConfig(max_new_tokens=LENGTH, eos_token_id=None, pad_token_id=0, **values)


def generated(model: Any, stack: Stack | None = None, prompt: torch.Tensor = PROMPT, **values: Any) -> Any:
    bridge = {} if stack is None else {"logits_processor": stack.to_transformers(seed=values.pop("seed", 0))}
    return model.generate(prompt, generation_config=config(**values), **bridge)


def test_a_stack_decides_as_it_does_by_itself(model: Any) -> None:
    """Against a loop without any generate: one forward pass and one decision per step."""
    stack = ar({"name": "repetition_penalty", "penalty": 1.3, "window": 6}, {"name": "draw"})
    sampler, ids = Sampler(stack, "ar"), PROMPT
    for step in range(LENGTH):
        with torch.inference_mode():
            logits = model(ids).logits[:, -1]
        rows = Rows.of("ar", 2, seed=7, hypothesis=[0, 1], step=step, past=ids)
        ids = torch.cat([ids, sampler.decide(logits, rows).tokens[:, None]], 1)
    assert generated(model, stack, seed=7, do_sample=True).tolist() == ids.tolist()
    assert generated(model, stack, seed=7, do_sample=False).tolist() == ids.tolist()
    assert generated(model, stack, seed=8).tolist() != ids.tolist()


def test_one_list_serves_one_generation_after_another(model: Any) -> None:
    processors = ar({"name": "draw"}).to_transformers(seed=3)
    first, again = (
        model.generate(PROMPT, generation_config=config(), logits_processor=processors) for _ in range(2)
    )
    assert first.tolist() == again.tolist()


def test_draws_of_a_batch_follow_the_model(model: Any) -> None:
    count = 2000
    drawn = generated(model, ar({"name": "draw"}), PROMPT[:1].expand(count, -1), seed=5)[:, PROMPT.shape[1]]
    with torch.inference_mode():
        expected = model(PROMPT[:1]).logits[0, -1].softmax(-1) * count
    seen = torch.bincount(drawn, minlength=VOCABULARY).float()
    often = expected >= 5
    chi_squared = float(((seen - expected) ** 2 / expected)[often].sum())
    assert chi_squared < 2.5 * int(often.sum())


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 2},
        {"bad_words_ids": [[3], [11]], "suppress_tokens": [5]},
        {"sequence_bias": {(4,): 3.0, (8,): -2.5}},
    ],
)
def test_greedy_generation_goes_on_as_the_config_asks(asked: dict[str, Any], model: Any) -> None:
    stack = Stack.from_generation_config(GenerationConfig(**asked))
    assert generated(model, stack).tolist() == generated(model, **asked).tolist()


def test_guidance_is_left_to_generate(model: Any) -> None:
    asked: dict[str, Any] = {"guidance_scale": 2.5, "repetition_penalty": 1.5}
    stack = Stack.from_generation_config(GenerationConfig(**asked))
    assert stack.to_dict()["ar"][0] == {"name": "guidance", "scale": 2.5, "log_softmax": True}
    processors = stack.to_transformers()
    assert processors.arguments == {"guidance_scale": 2.5}
    ours = model.generate(
        PROMPT, generation_config=config(), logits_processor=processors, **processors.arguments
    )
    assert ours.tolist() == generated(model, **asked).tolist()
    assert ours.tolist() != generated(model, repetition_penalty=1.5).tolist()


@pytest.mark.parametrize(
    "parameters",
    [{"rescale": 0.5}, {"blend": 0.7}, {"candidates": 9}, {"when": {"measure": "entropy", "above": 1}}],
)
def test_guidance_that_is_more_than_a_scale_is_refused(parameters: dict[str, Any]) -> None:
    stack = ar({"name": "guidance", "scale": 2.0, **parameters}, {"name": "draw"})
    with pytest.raises(StackError, match="guidance"):
        stack.to_transformers()


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"temperature": 0.7, "top_k": 5, "top_p": 0.8},
        {"top_k": 0, "min_p": 0.1, "temperature": 1.4},
        {"top_k": 0, "typical_p": 0.6, "repetition_penalty": 1.2},
        {"top_k": 0, "epsilon_cutoff": 0.02},
        {"top_k": 0, "eta_cutoff": 0.02, "top_h": 0.7},
    ],
)
def test_sampling_sees_the_same_rows_as_the_config_gives(asked: dict[str, Any], model: Any) -> None:
    torch.manual_seed(1)
    out = generated(
        model, do_sample=True, return_dict_in_generate=True, output_logits=True, output_scores=True, **asked
    )
    sampler = Sampler(Stack.from_generation_config(GenerationConfig(do_sample=True, **asked)), "ar")
    for step, (logits, scores) in enumerate(zip(out.logits, out.scores, strict=True)):
        rows = Rows.of("ar", 2, step=step, past=out.sequences[:, : PROMPT.shape[1] + step])
        torch.testing.assert_close(
            sampler.final(logits, rows).softmax(-1), scores.softmax(-1), atol=1e-5, rtol=1e-5
        )


def test_the_length_is_that_of_the_config() -> None:
    asked = GenerationConfig(min_new_tokens=9, exponential_decay_length_penalty=(6, 1.2))
    assert Stack.from_generation_config(asked).to_dict()["ar"] == [
        {"name": "minimum_length", "steps": 9},
        {"name": "exponential_decay_length", "start": 6, "factor": 1.2},
        {"name": "greedy"},
    ]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"num_beams": 3}, "num_beams"),
        ({"guidance_scale": 1.5, "num_beams": 2}, "num_beams"),
        ({"bad_words_ids": [[1, 2]]}, "bad_words_ids"),
        ({"do_sample": True, "top_p": 0.0, "temperature": 9.0}, "temperature.value"),
    ],
)
def test_what_a_stack_cannot_say_is_named(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(StackError, match=says):
        Stack.from_generation_config(GenerationConfig(**asked))


GUIDED = {"name": "guidance", "scale": 2.5, "log_softmax": True}


def test_guidance_becomes_the_argument_that_generate_has(model: Any) -> None:
    """Against a loop of two passes a step; the null pass of generate begins with the prompt's last id."""
    endless = {"name": "ban_tokens", "ids": [model.config.eos_token_id]}
    stack = ar(GUIDED, endless, {"name": "repetition_penalty", "window": 0}, {"name": "greedy"})
    processors = stack.to_transformers()
    assert processors.arguments == {"guidance_scale": 2.5}
    found = model.generate(
        PROMPT, generation_config=config(), logits_processor=processors, **processors.arguments
    )
    sampler, ids = Sampler(stack, "ar"), PROMPT
    for step in range(LENGTH):
        with torch.inference_mode():
            logits, null = model(ids).logits[:, -1], model(ids[:, PROMPT.shape[1] - 1 :]).logits[:, -1]
        rows = Rows.of("ar", 2, step=step, past=ids, null=null)
        ids = torch.cat([ids, sampler.decide(logits, rows).tokens[:, None]], 1)
    assert found.tolist() == ids.tolist()
    assert found.tolist() != generated(model, ar(*stack.to_dict()["ar"][1:])).tolist()


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ([{"name": "beam_search"}], "beam_search searches over several steps and cannot go into generate"),
        ([{"name": "best_of"}], "best_of searches over several steps"),
        ([{**GUIDED, "blend": 0.7}, {"name": "draw"}], "guidance.blend cannot go into generate"),
        (
            [{**GUIDED, "scale": {"curve": "linear", "values": [3, 1], "end": 9}}, {"name": "draw"}],
            "the same scale at every step",
        ),
    ],
)
def test_what_cannot_go_into_generate_is_refused_by_name(stages: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(StackError, match=says):
        ar(*stages).to_transformers()


def test_the_bridge_is_crossed_only_when_it_is_used() -> None:
    code = (
        "import sys; from valle.samplers import Stack; "
        "Stack.from_dict({'ar': [{'name': 'draw'}]}); "
        "print(sorted({'torch', 'transformers'} & set(sys.modules))); "
        "Stack.from_dict({'ar': [{'name': 'draw'}]}).to_transformers(); print('transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "True"]


def test_stages_that_stop_need_the_id(model: Any) -> None:
    stack = ar({"name": "minimum_length", "steps": LENGTH}, {"name": "greedy"})
    with pytest.raises(StackError, match="minimum_length needs the end-of-sequence id"):
        stack.to_transformers()
    stop = int(generated(model, ar({"name": "greedy"}))[0, PROMPT.shape[1]])
    held = model.generate(
        PROMPT, generation_config=config(), logits_processor=stack.to_transformers(stop=stop)
    )
    assert stop not in held[:, PROMPT.shape[1] :]


def test_sample_top_p_keeps_one_more_at_an_exact_tie() -> None:
    """Golden: four ids of .25 at p = .5 leave three, and .4 .3 .2 .1 at .8 are drawn as .444 .333 .222 0."""
    generator = torch.Generator().manual_seed(0)
    tied = sample_top_p(torch.full((1000, 4), 0.25), 0.5, generator)
    assert tied.shape == (1000, 1)
    assert len(tied.unique()) == 3
    probs = torch.tensor([0.1, 0.4, 0.2, 0.3]).expand(9000, -1)
    shares = torch.bincount(sample_top_p(probs, 0.8, generator)[:, 0], minlength=4) / 9000
    torch.testing.assert_close(shares, torch.tensor([0.0, 4 / 9, 2 / 9, 3 / 9]), atol=0.025, rtol=0)
