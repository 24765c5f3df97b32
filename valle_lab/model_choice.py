"""What the settings say is to be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from valle_lab.adapters import parse_adapters
from valle_lab.worker.messages import ModelChoice

if TYPE_CHECKING:
    from valle_lab.settings import Settings


def model_choice(settings: Settings) -> ModelChoice:
    """The choice in the worker's words. Raises UserError for adapters that are not there."""
    return ModelChoice(
        settings.model,
        settings.codec,
        settings.device,
        settings.dtype,
        None if settings.threads == "auto" else settings.threads,
        settings.attention,
        settings.language,
        str(settings.paths.models),
        settings.tokenizer,
        settings.force_codec,
        settings.memory_budget_gb,
        parse_adapters(settings.lora, settings.paths.adapters),
    )
