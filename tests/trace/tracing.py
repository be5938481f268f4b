"""Short words for tests that trace: trace something, pick ops out of a trace, build modules from the text of a cell."""

from __future__ import annotations

import linecache
from typing import Any

import torch
from torch import fx

from opscan.trace.driver import trace_target
from opscan.trace.graph import OpCall, SourceLine, Trace, call_of


def trace(
    call: Any, *args: Any, loss: Any = None, mode: str = "train", input_grad: bool = False, **kwargs: Any
) -> Trace:
    return trace_target(call, args, kwargs, loss=loss, mode=mode, input_grad=input_grad)  # type: ignore[arg-type]


def floats(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def packet(node: fx.Node) -> str:
    """`index_add` of the node of aten.index_add.default."""
    return str(node.target).split(".")[1]


def ops(trace: Trace, name: str | None = None, phase: str | None = None) -> list[fx.Node]:
    return [
        node
        for node in trace.ops()
        if (name is None or packet(node) == name) and (phase is None or call_of(node).phase == phase)
    ]


def is_weight(node: fx.Node) -> bool:
    return node.meta.get("role") == "weight"


def only(trace: Trace, name: str, phase: str | None = None) -> fx.Node:
    found = ops(trace, name, phase)
    assert len(found) == 1, f"{len(found)} nodes of {name} among {[packet(node) for node in ops(trace, None, phase)]}"
    return found[0]


def call(trace: Trace, name: str, phase: str | None = None) -> OpCall:
    return call_of(only(trace, name, phase))


class Cell:
    """Source text run as a notebook runs a cell: its file is a name. `#tag` at the end of a line names the line."""

    def __init__(self, source: str, file: str = "<ipython-input-1-abc>", has_source: bool = True) -> None:
        self.file = file
        lines = source.splitlines(keepends=True)
        self.lines = {line.rpartition("#")[2].strip(): number for number, line in enumerate(lines, 1) if "#" in line}
        if has_source:
            linecache.cache[file] = (len(source), None, lines, file)
        else:
            linecache.cache.pop(file, None)
        self.names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(source, file, "exec"), self.names)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    def line(self, tag: str) -> SourceLine:
        return SourceLine(self.file, self.lines[tag])

    def tag(self, line: SourceLine | None) -> str | None:
        """The tag of the line; `None` for none; its number where it has no tag."""
        if line is None:
            return None
        if line.file != self.file:
            return f"{line.file}:{line.line}"
        return next((tag for tag, number in self.lines.items() if number == line.line), str(line.line))
