"""Commands to go on from the middle of a take in another way, and to walk in the tree that comes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from valle.errors import UserError
from valle.fork import Fork, fork
from valle.samplers.stack import Stack
from valle.step import Place
from valle.take import Take
from valle_lab.lab.beginning import begin_fork, free_name
from valle_lab.lab.places import place_or_cursor
from valle_lab.lab.registry import command
from valle_lab.lab.sight import strange
from valle_lab.lab.stack import current
from valle_lab.lab.state import LabTake
from valle_lab.lab.takes import named, no_takes
from valle_lab.lab.tree import Twig, in_few_words, stack_at, stack_changes, tree

if TYPE_CHECKING:
    from valle_lab.lab.lab import Lab


def here(lab: Lab, step: str | None = None) -> LabTake:
    """Go back to a step of the chosen take, by default under the cursor, and on with the stack as it is."""
    return _begin(lab, step, stack=current(lab))


def force(lab: Lab, token: int, step: str | None = None) -> LabTake:
    """Go back to a step of the chosen take and on from there with another token, by the stack as it was."""
    return _begin(lab, step, token=token)


def reseed(lab: Lab, seed: int, step: str | None = None) -> LabTake:
    """Go back to a step of the chosen take and on from there with the noise of another seed."""
    return _begin(lab, step, seed=seed)


def show_tree(lab: Lab) -> tuple[Twig, ...]:
    """Show which take goes on from which, from where, and how it differs."""
    return tree(lab.takes)


def parent(lab: Lab) -> None:
    """Choose the take that the chosen one goes on from."""
    take = named(lab, None)
    if take.parent is None:
        raise UserError(f"{take.name} was spoken from its beginning.")
    _choose(lab, take.parent, f"The parent of {take.name}, {take.parent}, is not in this session.")


def child(lab: Lab, number: int = 1) -> None:
    """Choose a take that goes on from the chosen one, the first or that of a number."""
    take = named(lab, None)
    children = [item.name for item in lab.takes if item.parent == take.name]
    if not 1 <= number <= len(children):
        raise UserError(f"{len(children) or 'No'} takes go on from {take.name}; there is no number {number}.")
    _choose(lab, children[number - 1], "")


def sibling(lab: Lab, by: int = 1) -> None:
    """Choose the next take that goes on from the same one, or with -1 the one before."""
    take = named(lab, None)
    same = [item.name for item in lab.takes if item.parent == take.parent]
    _choose(lab, same[(same.index(take.name) + by) % len(same)], "")


def fork_of(
    lab: Lab,
    take: LabTake,
    place: Place,
    *,
    stack: Stack | None = None,
    token: int | None = None,
    seed: int | None = None,
) -> Fork:
    """A fork of a take, to be made by the loaded model. Raises UserError for one that cannot be."""
    if take.running:
        raise UserError(f"{take.name} is still being made; stop it first.")
    if (reason := strange(lab, take)) is not None:
        raise UserError(reason)
    assert lab.description is not None
    parent_take = take.take
    recipe = replace(lab.description.recipe, guidance=parent_take.request.recipe.guidance)
    if _computes_as(parent_take, lab):
        recipe = parent_take.request.recipe
    return fork(parent_take, place, free_name(lab), stack=stack, force=token, seed=seed, recipe=recipe)


def _computes_as(take: Take, lab: Lab) -> bool:
    """Whether a take was computed as the loaded model computes, adapters and early exit apart."""
    assert lab.description is not None
    ours, theirs = lab.description.recipe, take.request.recipe
    names = ("device", "dtype", "threads", "attention")
    return all(getattr(ours, name) == getattr(theirs, name) for name in names)


def _begin(
    lab: Lab,
    step: str | None,
    *,
    stack: Stack | None = None,
    token: int | None = None,
    seed: int | None = None,
) -> LabTake:
    take = named(lab, None)
    place = place_or_cursor(take, lab.row, step)
    begun = fork_of(lab, take, place, stack=stack, token=token, seed=seed)
    words = [] if token is None else [f"token {token}"]
    if stack is not None:
        words += stack_changes(stack_at(take.take, place), stack)
    if begun.request.seed != take.seed:
        words.append(f"seed {begun.request.seed}")
    return begin_fork(lab, begun, take, in_few_words(words))


def _choose(lab: Lab, name: str, missing: str) -> None:
    found = lab.find(name)
    if found is None:
        raise UserError(missing)
    lab.chosen, lab.row = found, None
    lab.mark("takes", "cursor")


def _cannot_fork(lab: Lab) -> str | None:
    if (reason := no_takes(lab)) is not None:
        return reason
    if lab.description is None:
        return "no model is loaded."
    return "a take is being made; stop it first." if lab.running else None


COMMANDS = (
    command("fork.here", here, key="alt+r", unavailable=_cannot_fork),
    command("fork.force", force, unavailable=_cannot_fork),
    command("fork.reseed", reseed, unavailable=_cannot_fork),
    command("fork.tree", show_tree, unavailable=no_takes),
    command("fork.parent", parent, key="alt+u", unavailable=no_takes),
    command("fork.child", child, key="alt+d", unavailable=no_takes),
    command("fork.sibling", sibling, key="alt+s", unavailable=no_takes),
)
