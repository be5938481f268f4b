"""The same program written in several ways: other names, other nesting, other files, other order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.fuzz.models.pieces import HEADER
from tests.fuzz.models.program import Branch, Program, Step

Item = Step | Branch


@dataclass(frozen=True)
class Style:
    """How a program is written. Every line that builds or calls a step ends in its number, `# p3`.

    `blocks` puts so many items into a module of their own; `sequential` puts layers that follow one another into
    nn.Sequential, or with `listed` into an nn.ModuleList; `apart` writes modules and functions in a second file,
    `wrapped` puts functional calls into functions, `identities` puts nn.Identity between, `reordered` runs the second
    branch first, and `renamed` gives every name of the model's own another one.
    """

    name: str
    blocks: int = 0
    sequential: bool = False
    listed: bool = False
    apart: bool = False
    wrapped: bool = False
    identities: bool = False
    reordered: bool = False
    renamed: bool = False

    @property
    def keeps_calls(self) -> bool:
        """Whether each step is still called on a line of its own."""
        return not (self.sequential or self.listed)


PLAIN = Style("plain")
STYLES = (
    Style("renamed", renamed=True),
    Style("blocks", blocks=2),
    Style("blocks in another file", blocks=1, apart=True, renamed=True),
    Style("sequential", sequential=True),
    Style("listed", listed=True),
    Style("functions", wrapped=True),
    Style("functions in another file", wrapped=True, apart=True),
    Style("identities", identities=True),
    Style("branches in another order", reordered=True),
    Style("all at once", blocks=2, sequential=True, apart=True, wrapped=True, identities=True, reordered=True),
)


def render(program: Program, style: Style, stem: str) -> dict[str, str]:
    """The files of a program, by name; the model is `Net` (or `Machine`) in the file `stem`.py."""
    return _Writer(program, style, stem).files()


def model_name(style: Style) -> str:
    """What the model's class is called."""
    return "Machine" if style.renamed else "Net"


class _Writer:
    def __init__(self, program: Program, style: Style, stem: str) -> None:
        self.program, self.style, self.stem = program, style, stem
        self.x, self.layer = ("value", "part_") if style.renamed else ("x", "m")
        self.parts: list[str] = []  # classes and functions beside the model

    def files(self) -> dict[str, str]:
        model = self._module(model_name(self.style), self.program.chain, is_whole=True)
        parts = "".join(self.parts)
        if not self.style.apart:
            return {f"{self.stem}.py": f"{HEADER}\n\n{parts}{model}"}
        other = f"{self.stem}_parts"
        return {
            f"{other}.py": f"{HEADER}\n\n{parts}",
            f"{self.stem}.py": f"{HEADER}\n\nfrom {other} import *\n\n\n{model}",
        }

    def _module(self, name: str, items: Sequence[Item], is_whole: bool = False) -> str:
        groups = list(self._groups(items)) if is_whole and self.style.blocks else [(item,) for item in items]
        built, called = [], []
        for at, group in enumerate(groups):
            if is_whole and self.style.blocks:
                block = f"{'Part' if self.style.renamed else 'Block'}{at}"
                self.parts.append(self._module(block, group))
                built.append(f"self.block{at} = {block}()")
                called.append(f"{self.x} = self.block{at}({self.x})")
            if is_whole and self.style.identities:
                built.append(f"self.same{at} = nn.Identity()")
                called.append(f"{self.x} = self.same{at}({self.x})")
        if not (is_whole and self.style.blocks):
            built_too, called_too = self._items(items)
            built, called = built_too + built, _mixed(called_too, called)
        body = "".join(f"        {line}\n" for line in built)
        forward = "".join(f"        {line}\n" for line in called)
        return (
            f"class {name}(nn.Module):\n    def __init__(self):\n        super().__init__()\n{body}\n"
            f"    def forward(self, {self.x}):\n{forward}        return {self.x}\n\n\n"
        )

    def _groups(self, items: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
        """Items in blocks; a step stays with the one whose module it shares."""
        group: list[Item] = []
        for at, item in enumerate(items):
            group.append(item)
            there = {each.number for each in group if isinstance(each, Step)}
            later = {each.shares for each in items[at + 1 :] if isinstance(each, Step)}
            if len(group) >= self.style.blocks and not there & later:
                yield tuple(group)
                group = []
        if group:
            yield tuple(group)

    def _items(self, items: Sequence[Item]) -> tuple[list[str], list[str]]:
        built: list[str] = []
        called: list[str] = []
        shared = {item.shares for item in items if isinstance(item, Step)}
        run: list[Step] = []
        for item in (*items, None):
            plain = isinstance(item, Step) and item.is_plain and item.number not in shared
            if plain and (self.style.sequential or self.style.listed):
                assert isinstance(item, Step)
                run.append(item)
                continue
            self._run_of_layers(run, built, called)
            run = []
            if isinstance(item, Branch):
                self._branch(item, built, called)
            elif item is not None:
                self._step(item, self.x, built, called)
        return built, called

    def _run_of_layers(self, run: Sequence[Step], built: list[str], called: list[str]) -> None:
        if not run:
            return
        name = f"self.run{run[0].number}"
        kind = "nn.Sequential(" if self.style.sequential else "nn.ModuleList(["
        built.append(f"{name} = {kind}")
        built += [f"    {step.build},  # p{step.number}" for step in run]
        built.append(")" if self.style.sequential else "])")
        if self.style.sequential:
            called.append(f"{self.x} = {name}({self.x})")
        else:
            called += [f"for each in {name}:", f"    {self.x} = each({self.x})"]

    def _step(self, step: Step, x: str, built: list[str], called: list[str]) -> None:
        tag, module = f"  # p{step.number}", f"self.{self.layer}{step.owner}"
        if step.build:
            built.append(f"{module} = {step.build}{tag}")
        if self.style.wrapped and "{m}" not in step.call:
            name = f"call{step.number}"
            self.parts.append(f"def {name}({self.x}):\n    return {step.call.format(x=self.x, m='')}{tag}\n\n\n")
            called.append(f"{x} = {name}({x})")
        else:
            called.append(f"{x} = {step.call.format(x=x, m=module)}{tag}")

    def _branch(self, branch: Branch, built: list[str], called: list[str]) -> None:
        sides = [(f"{self.x}_a{branch.number}", branch.one), (f"{self.x}_b{branch.number}", branch.other)]
        for name, steps in reversed(sides) if self.style.reordered else sides:
            called.append(f"{name} = {self.x}")
            for step in steps:
                self._step(step, name, built, called)
        called.append(f"{self.x} = {branch.joined.format(a=sides[0][0], b=sides[1][0])}  # p{branch.number}")


def _mixed(called: list[str], others: list[str]) -> list[str]:
    """Both, taking turns; what is indented stays below its line."""
    mixed: list[str] = []
    for line in called:
        mixed.append(line)
        if others and not line.endswith(":"):
            mixed.append(others.pop(0))
    return mixed + others
