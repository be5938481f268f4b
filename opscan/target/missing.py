"""Which optional arguments a failed call was missing: the None it stumbled on, followed through the traceback.

The frame that raised read a None, or its message names a parameter that is None. Each caller's line says what it
handed on under that name or in that place, up to the parameters of the forward that was called.
"""

from __future__ import annotations

import ast
import linecache
import re
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from traceback import walk_tb
from types import CodeType, FrameType, TracebackType

_ASKS = re.compile(r"none|must|specify|provide|require|missing|expect|should|need|pass|either|at least", re.I)

_MISSING = re.compile(r"`?(\w+)`? (?:is|are) (?:missing|required)")


@dataclass(frozen=True, slots=True)
class _Step:
    """A frame of the traceback, the text of the expression or statement it was at, and whether torch's own."""

    frame: FrameType
    text: str

    @property
    def parameters(self) -> list[str]:
        code = self.frame.f_code
        return list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])

    @property
    def is_of_torch(self) -> bool:
        return self.frame.f_globals.get("__name__", "").partition(".")[0] in ("torch", "opscan")

    @property
    def passes_on(self) -> bool:
        """Whether it hands on its arguments as they came: a decorator's wrapper, Module.__call__, a mode's detour."""
        return re.search(r"\*\w+,\s*\*\*\w+|torch_function(_*)\(", self.text) is not None

    def is_none(self, name: str) -> bool:
        return name in self.frame.f_locals and self.frame.f_locals[name] is None


def missing_arguments(error: BaseException, optional: Collection[str]) -> list[str]:
    """Those of the parameters `optional` that the error asks for, the likeliest first."""
    message = str(error)
    if not _ASKS.search(message) and "NoneType" not in message:
        return []
    steps = list(_steps(error.__traceback__))
    said = re.findall(r"\w+", message)
    if named := [name for name in _MISSING.findall(message) if name in optional]:
        return named
    followed = [name for name in _followed(steps, said) if name in optional]
    found = followed or [name for name in said if name in optional]
    return [name for name in dict.fromkeys(found) if name not in _instead_of(found, said)]


def _instead_of(found: list[str], said: list[str]) -> set[str]:
    """The `inputs_embeds` that could be given instead of `input_ids`, which are simpler."""
    ids = (name for name in (*found, *said) if name.endswith("input_ids"))
    return {name.replace("input_ids", "inputs_embeds") for name in ids}


def _steps(trace: TracebackType | None) -> Iterator[_Step]:
    while trace is not None:
        yield _Step(trace.tb_frame, _text_at(trace.tb_frame.f_code, trace.tb_lasti, trace.tb_lineno))
        trace = trace.tb_next


def _text_at(code: CodeType, lasti: int, line: int) -> str:
    """The lines of the instruction, dedented: the whole call, where it spans several."""
    first, last = next(
        ((start, end) for n, (start, end, _, _) in enumerate(code.co_positions()) if n == lasti // 2), (line, line)
    )
    span = range(first or line, (last or line) + 1)
    return textwrap.dedent("".join(linecache.getline(code.co_filename, number) for number in span))


def _followed(steps: list[_Step], said: list[str]) -> list[str]:
    """The parameters of the outermost forward that were None, and came to be what the innermost frames stumbled on."""
    wanted: dict[str, int] = {}  # names in the frame, with their place among the positional arguments
    found: list[str] = []
    is_near = True
    for step in reversed(steps):
        if wanted and step.passes_on:
            continue
        if wanted:
            stumbled = [name for name in _handed_on(step.text, wanted) if step.is_none(name)]
        else:
            read = re.findall(r"\w+", step.text) if is_near else []
            stumbled = [name for name in (*read, *said) if step.is_none(name)]
            ids = [name.replace("inputs_embeds", "input_ids") for name in stumbled]
            stumbled += [name for name in ids if step.is_none(name)]
        if not stumbled and wanted:
            return found
        is_near = is_near and step.is_of_torch
        places = [name for name in step.parameters if name != "self"]
        wanted = {name: places.index(name) if name in places else -1 for name in stumbled}
        found = stumbled or found
    return found


def _handed_on(text: str, wanted: dict[str, int]) -> list[str]:
    """The names a call hands on as one of the wanted parameters, by name or by place."""
    found: list[str] = []
    for call in _calls(text):
        for place, argument in enumerate(call.args):
            if isinstance(argument, ast.Name) and place in wanted.values():
                found.append(argument.id)
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        values = (named.get(name) for name in wanted)
        found += [value.id for value in values if isinstance(value, ast.Name)]
    return found


def _calls(text: str) -> list[ast.Call]:
    for candidate in (text, f"{text.strip()}\n    pass", text.strip().removeprefix("return ")):
        try:
            tree = ast.parse(candidate)
        except SyntaxError:
            continue
        return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return []


def texts_of(error: BaseException) -> list[str]:
    """The lines that failed, of each frame that is not torch's, the innermost first."""
    return [step.text for step in reversed(list(_steps(error.__traceback__))) if not step.is_of_torch]


def model_frames_of(error: BaseException) -> list[FrameType]:
    """The frames that are not torch's, the innermost first."""
    return [step.frame for step in reversed(list(_steps(error.__traceback__))) if not step.is_of_torch]


def frames_of(error: BaseException) -> list[FrameType]:
    """The frames of the traceback, the innermost first."""
    return [frame for frame, _ in reversed(list(walk_tb(error.__traceback__)))]
