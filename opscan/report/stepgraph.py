"""A step as it is drawn: the modules, every op with what it hangs on, and what varies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class DrawnModule(NamedTuple):
    """A module that ran an op, or holds one that did: its path ("" is the model) and its class, "" if not known."""

    path: str
    type: str


@dataclass(frozen=True, slots=True, repr=False)
class StepGraph:
    """The ops of one trace in the order they ran, flat: entry i of each column is op i.

    `op` and `module` index `names` and `modules`; `cause` is the forward op whose autograd node ran a backward op, -1
    for the others. Of op i, `parents[starts[i]:starts[i + 1]]` are the ops it hangs on; inputs and weights are not
    drawn. `kind` indexes KINDS. `varies` is whether any finding that varies reaches it, `found` the rules of the ops
    that findings stand for. `gradients` names the parameter of an op that adds to its gradient ("" for an input),
    `marks` says which ops make an "output" or the "loss". `shapes` are the sizes of the first result, "" for none.
    """

    names: tuple[str, ...]
    modules: tuple[DrawnModule, ...]
    op: tuple[int, ...]
    module: tuple[int, ...]
    kind: tuple[int, ...]
    cause: tuple[int, ...]
    starts: tuple[int, ...]
    parents: tuple[int, ...]
    varies: tuple[bool, ...]
    found: dict[int, str]
    gradients: dict[int, str]
    marks: dict[int, str]
    shapes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.op)


KINDS = ("forward", "loss", "backward")
