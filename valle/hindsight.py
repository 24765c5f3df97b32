"""What an engine can tell of takes that were made: what each step was decided from, and what might have been.

A base of the engine: it uses the model that is loaded, and makes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from valle.errors import UserError
from valle.loaded_adapters import LoadedAdapters
from valle.request import Codes, Request
from valle.samplers.stack import Stack
from valle.take import Take
from valle.whatif import WhatIf, decisions

if TYPE_CHECKING:
    from valle.decoding.forced import RawRows
    from valle.models.attention_maps import AttentionTrack
    from valle.models.exits import LayerMeasures


class Hindsight(LoadedAdapters):
    """Passes over codes that are there already."""

    @property
    def stop(self) -> int:
        """The id that ends level 0."""
        return self.model.config.stop

    @property
    def attends(self) -> bool:
        """Whether the backbone has attention that stages can look at."""
        return self.model.attends

    def what_if(
        self,
        take: Take,
        stack: Stack | None = None,
        *,
        changes: bool = False,
        first: int = 0,
        last: int = 0,
    ) -> WhatIf:
        """What another stack would have made of a take, on logits that one pass makes again.

        Without a stack it is the take's own, with the changes that were made to it; `changes` asks for them
        upon another one too. Rows from `first` to before `last` are measured. Raises UserError for a stack
        that searches.
        """
        from valle.decoding.whatif import Question, what_if

        def find(segment: int, needs: frozenset[str]) -> RawRows:
            return self.reread(take, segment, needs)

        question = Question(stack, changes, first, last)
        return what_if(take.request, take.steps, find, question, stop=self.stop, attends=self.attends)

    def reread(self, take: Take, segment: int, needs: frozenset[str] = frozenset()) -> RawRows:
        """What the decisions of level 0 of a segment were made from, made again by one pass over its codes,
        with what stages need beside the logits.

        Raises UserError where one pass cannot tell: of early exit, and of adapters that changed meanwhile.
        """
        import torch

        from valle.decoding.forced import forced_pass
        from valle.decoding.inputs import as_tensor, context_of
        from valle.decoding.speech import pair_of

        request = take.request
        if request.recipe.early_exit is not None or any(event.kind == "adapter" for event in take.events):
            raise UserError(f"What {request.take} was decided from is not kept, and no pass can tell it.")
        torch.set_num_threads(request.recipe.threads)
        if self._attached is not None:
            self._attached.act({use.name: use.strength for use in request.recipe.adapters}, "ar", 0)
        context = context_of(request, segment, [as_tensor(item.codes()) for item in take.segments[:segment]])
        pair = pair_of(request, segment, self.details.languages[request.language], context)
        codes, count = as_tensor(take.segments[segment].levels[0]), len(decisions(take.steps, segment))
        return forced_pass(self.model, pair, codes, count, request.recipe, needs)

    def observe(self, request: Request, segment: int, level_0: Codes) -> AttentionTrack:
        """Where the model looks while it writes level 0 of a segment, codes [frames], told by one pass.

        Raises UserError where the backbone has no attention.
        """
        import torch

        from valle.decoding.speech import speech_inputs
        from valle.models.attention_maps import AttentionTrack

        if not self.attends:
            name = self.model.config.architecture
            raise UserError(f"The backbone {name} has no attention, so there is nothing to show of it.")
        torch.set_num_threads(request.recipe.threads)
        inputs = speech_inputs(request, request.sentences[segment], self.details.languages[request.language])
        if self._attached is not None:
            self._attached.act({use.name: use.strength for use in request.recipe.adapters}, "ar", 0)
        (layout,) = self.model.layouts([inputs], growing=True)
        track = AttentionTrack(layout, first=len(level_0) + 1)
        codes = torch.from_numpy(level_0.astype(np.int64))[:, None]
        self.model.full([replace(inputs, response=codes)], track)
        return track

    def measure_layers(self, request: Request, segment: int, level_0: Codes) -> LayerMeasures:
        """How sure each layer is of the decisions of a segment of level 0, codes [frames], told by one pass.

        Raises UserError for a backbone whose layers cannot be left early.
        """
        import torch

        from valle.decoding.speech import speech_inputs
        from valle.models.exits import layer_measures

        torch.set_num_threads(request.recipe.threads)
        if self._attached is not None:
            self._attached.act({use.name: use.strength for use in request.recipe.adapters}, "ar", 0)
        inputs = speech_inputs(request, request.sentences[segment], self.details.languages[request.language])
        codes = torch.from_numpy(level_0.astype(np.int64))[:, None]
        return layer_measures(self.model, replace(inputs, response=codes))
