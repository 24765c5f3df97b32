"""A blind trial: X, Y and Z are heard and one is chosen; which take each is stands nowhere before that."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from valle_lab.lab.trials import NO_CHOICE, TrialView
from valle_lab.tui.screens.following import FollowingScreen

HEARD, SOUNDING, SILENT = "●", "♪", "○"


class TrialScreen(FollowingScreen):
    """Draws only what a trial's view has, in which there is nothing of the order before the choice."""

    HELP = (
        "## Blind trial\n\nTakes in an order that was sealed before you hear them, made equally loud. `x`, "
        "`y` and `z` play one, from the same place on if another one sounds; all must be heard. Capital "
        "`X`, `Y` or `Z` chooses, `0` says that no difference is heard. Only then is it told which take "
        "is which; all of it stands in the session. Escape leaves; `trial.resume` goes on later."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(name.lower(), f"play('{name}')", f"Hear {name}", id=f"trial.hear_{name.lower()}",
                    tooltip=f"Hear {name}")
            for name in "XYZ"
        ),
        *(
            Binding(name, f"choose('{name}')", f"Choose {name}", id=f"trial.choose_{name.lower()}",
                    tooltip=f"Decide for {name}")
            for name in "XYZ"
        ),
        Binding("0", f"choose('{NO_CHOICE}')", "None", id="trial.none", tooltip="No difference is heard"),
        Binding("space", "app.command('take.pause')", show=False, id="trial.pause", tooltip="Pause"),
        Binding("escape", "dismiss", "Close", id="trial.close", tooltip="Back to the lab"),
    ]  # fmt: skip

    def body(self) -> ComposeResult:
        with Vertical(id="trial"):
            yield Static("", id="trial-state", markup=False)

    def show(self) -> None:
        trial = self.lab.trial
        if trial is not None:
            self.query_one("#trial-state", Static).update(drawn(trial.view()))
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Labels that this trial does not have have no keys."""
        trial = self.lab.trial
        if action in ("play", "choose") and parameters and trial is not None:
            return parameters[0] in (*trial.labels, NO_CHOICE)
        return True

    def action_play(self, label: str) -> None:
        self.do("trial.play", label)

    def action_choose(self, label: str) -> None:
        self.do("trial.choose", label)


def drawn(view: TrialView) -> Content:
    """A trial in words."""
    lines = [Content.styled(f"{view.name}: {len(view.labels)} takes, equally loud", "bold"), Content("")]
    for label in view.labels:
        mark = SOUNDING if label == view.sounding else HEARD if label in view.heard else SILENT
        told = next((f"   {take}  {words}" for name, take, words in view.key if name == label), "")
        chosen = "   ← chosen" if view.choice == label else ""
        lines.append(Content.assemble(f"  {mark} ", (label, "bold"), told, (chosen, "$text-success")))
    lines.append(Content(""))
    if not view.seal:
        lines.append(Content.styled("The sounds are being made ready.", "dim"))
    else:
        lines.append(Content.styled(f"order sealed by {view.seal[:16]}…", "dim"))
    if view.choice == NO_CHOICE:
        lines.append(Content("No difference was heard."))
    return Content("\n").join(lines)
