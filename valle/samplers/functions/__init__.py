"""What the stages do: plain torch, pure, one file per family.

``apply(logits [R, V], rows, parameters, states) -> logits [R, V]`` for guidance and stages,
``choose(logits [R, V], rows, parameters, states) -> Choice`` for choosers. A parameter is a number, or a
tensor [R, 1] where rows differ. The input is never modified.
"""
