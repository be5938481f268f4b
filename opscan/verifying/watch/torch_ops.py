"""Every op that torch dispatches in the run's thread: draws always, all others in the steps that are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from opscan.blame import lines_of
from opscan.observe.fingerprint import fingerprint
from opscan.verifying.watch.modules import Modules
from opscan.verifying.watch.recording import Recording
from opscan.verifying.watch.storages import Storages

_ALLOCATE = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted"}
_OVERWRITE = ("aten.zero_.", "aten.fill_.", "aten.copy_.", "aten._foreach_zero_.", "aten._foreach_copy_.")
_COLLECTIVE = ("c10d.", "_c10d_functional.", "c10d_functional.", "symm_mem.")
_HELD = 256
"""Ops that are held back, their fingerprints on the device: one wait for the device serves so many."""

_node = torch._C._current_autograd_node
_sequence_nr = torch._C._autograd._get_sequence_nr
_PLAIN_TENSORS = (torch.Tensor, torch.nn.Parameter)
_Marks = dict[tuple[Any, ...], torch.Tensor]
"""Fingerprints of the views of one memory, by what they are views of."""


class _Facts(NamedTuple):
    """Of an op: its name, whether it draws or allocates without writing, the arguments it writes to, and names of all.

    `views` returns other views of its inputs; `overwrites` does not read what it writes to; `sends` is a collective,
    and `sums` adds up over ranks in place, as DDP's reducer does.
    """

    name: str
    draws: bool
    allocates: bool
    writes: tuple[tuple[int, str], ...]
    views: bool
    overwrites: bool
    sends: bool
    sums: bool
    arguments: tuple[str, ...]

    @property
    def plain(self) -> bool:
        return not (self.draws or self.allocates or self.writes)


_facts: dict[Any, _Facts] = {}


def _facts_of(func: Any) -> _Facts:
    found = _facts.get(func)
    if found is None:
        schema = getattr(func, "_schema", None)
        arguments = schema.arguments if schema else ()
        writes = tuple(
            (at, each.name) for at, each in enumerate(arguments) if each.alias_info and each.alias_info.is_write
        )
        drawing = torch.Tag.nondeterministic_seeded in getattr(func, "tags", ())
        aliases = any(each.alias_info is not None for each in schema.returns) if schema else False
        found = _facts[func] = _Facts(
            name=str(func),
            draws=drawing,
            allocates=schema is not None and schema.name.partition("::")[2] in _ALLOCATE,
            writes=writes,
            views=aliases and (not writes or str(func).startswith("aten.set_.")),
            overwrites=drawing or ".out" in str(func) or str(func).startswith(_OVERWRITE),
            sends=str(func).startswith(_COLLECTIVE),
            sums=str(func).startswith("c10d.allreduce_"),
            arguments=tuple(each.name for each in arguments),
        )
    return found


class Watch(TorchDispatchMode):
    """Sees each op before autograd's part is done: forward, backward and the optimizer's."""

    def __init__(self, recording: Recording, modules: Modules) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.unwritten: Storages[tuple[str, str]] = Storages()
        self.summed: Callable[[Sequence[Any]], None] = lambda args: None
        self._recording = recording
        self._modules = modules
        self._known: Storages[bool] = Storages()
        self._weights: Storages[_Marks] = Storages()
        self._sites: dict[Any, int] = {}
        self._held: list[tuple[int, int, list[torch.Tensor]]] = []
        self._forward: dict[int, tuple[str, str, str]] = {}
        self._last_nr = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        recording = self._recording
        if recording.silent:
            return func(*args, **kwargs)
        facts = _facts_of(func)
        if facts.sums:
            self.summed(args)
        if recording.wants_ops:
            return self._watched(func, facts, args, kwargs)
        result = func(*args, **kwargs)
        if facts.draws:
            self._drawn(facts, kwargs, result, sys._getframe(1))
        if recording.step == 0 and not facts.plain:  # where there are weights yet to be written
            self._follow_memory(facts, args, kwargs, result)
        return result

    # -- draws

    def _drawn(self, facts: _Facts, kwargs: Mapping[str, Any], result: Any, frame: Any) -> None:
        tensor = next(_tensors(result), None)
        if tensor is None or tensor.is_meta:
            return
        generator, name = kwargs.get("generator"), "torch"
        if generator is not None and generator is not _default_generator(tensor.device):
            name = "own torch.Generator"
        else:
            generator = _default_generator(tensor.device)
            name = "torch" if tensor.device.type == "cpu" else f"torch {tensor.device}"
        if generator is None:
            return
        with self._recording.silenced():
            state = int(fingerprint(generator.get_state()))
        self._recording.draw(name, facts.name, state, frame)

    # -- memory that nothing wrote

    def _follow_memory(self, facts: _Facts, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        if facts.sends:
            for value in args:
                for tensor in _tensors(value):
                    self.unwritten.forget(tensor)
        if facts.allocates:
            own, library = lines_of(sys._getframe(2))
            if len(self.unwritten) < 100_000 and isinstance(result, torch.Tensor) and result.numel():
                self.unwritten.put(result, (own, library))
            return
        for position, name in facts.writes:
            target = args[position] if position < len(args) else kwargs.get(name)
            for tensor in _tensors(target):
                self._forget_marks(tensor)
                if tensor.numel() * tensor.element_size() >= tensor.untyped_storage().nbytes():
                    self.unwritten.forget(tensor)

    # -- ops that are recorded

    def _watched(self, func: Any, facts: _Facts, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if facts.sends:
            return self._collective(func, args, kwargs)
        module, own, library, phase = self._place()
        if not self._is_asked_for(module):
            result = func(*args, **kwargs)
            self._follow_memory(facts, args, kwargs, result)
            if facts.draws:
                self._drawn(facts, kwargs, result, sys._getframe(2))
            return result
        self._recording.settle()
        foreign = ""
        marks: list[torch.Tensor] = []
        if not facts.views and not facts.allocates:
            foreign, marks = self._foreign(facts, args, kwargs)
        result = func(*args, **kwargs)
        if facts.draws:
            self._drawn(facts, kwargs, result, sys._getframe(2))
            self._recording.settle()
        self._follow_memory(facts, args, kwargs, result)
        inputs = len(marks)
        if not facts.views and not facts.allocates:
            for tensor in _tensors(result):
                self._known.put(tensor, True)
                marks.append(fingerprint(tensor))
        if marks:
            self._hold((facts.name, module, own, library, phase, foreign, self._device(result)), inputs, marks)
        return result

    def _collective(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What others send is there some time later, and no schema says where: what is read of it then is told."""
        for value in (*args, *kwargs.values()):
            for tensor in _tensors(value):
                self._known.forget(tensor)
                self._weights.forget(tensor)
                self.unwritten.forget(tensor)
        return func(*args, **kwargs)

    def _is_asked_for(self, module: str) -> bool:
        asked = self._recording.options.modules
        return not asked or any(fnmatch(module, each) for each in asked)

    def _foreign(
        self, facts: _Facts, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[str, list[torch.Tensor]]:
        """Fingerprints of the inputs that no recorded op made, and words for each; outputs are not read."""
        unread = {name for _, name in facts.writes} if facts.overwrites else ()
        names = (*(each for at, each in enumerate(facts.arguments) if at < len(args)), *kwargs)
        words, marks = [], []
        for name, value in zip(names, (*args, *kwargs.values()), strict=False):
            for tensor in () if name in unread else _tensors(value):
                place = self.unwritten.get(tensor)
                if place is None and self._known.get(tensor):
                    continue
                words.append(f"unwritten {place[0] or place[1]}" if place else self._modules.name_of(tensor))
                marks.append(self._mark_of(tensor))
        return "|".join(words), marks

    # -- weights, which a step reads three times and writes once

    def follow_weights(self, parameters: Iterable[torch.Tensor]) -> None:
        """Read each of these once for as long as no op writes to it: its memory, whichever view of it an op is given.

        Their versions would not tell: a view that is made within an op counts its own.
        """
        for each in parameters:
            if type(each) in _PLAIN_TENSORS and each.layout is torch.strided and self._weights.get(each) is None:
                self._weights.put(each, {})

    def _mark_of(self, tensor: torch.Tensor) -> torch.Tensor:
        marks = self._weights.get(tensor)
        if marks is None:
            return fingerprint(tensor)
        if tensor.dim() == 2 and tensor.t().is_contiguous():
            tensor = tensor.t()
        key = (tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)
        found = marks.get(key)
        if found is None:
            found = marks[key] = fingerprint(tensor)
        return found

    def _forget_weights(self) -> None:
        for marks in self._weights.values():
            marks.clear()

    def _forget_marks(self, tensor: torch.Tensor) -> None:
        marks = self._weights.get(tensor)
        if marks:
            marks.clear()

    def _place(self) -> tuple[str, str, str, str]:
        """The module, the user's line and the library's, and the phase; of a backward op those of its forward op."""
        node = _node()
        if node is not None and not self._modules.running:
            module, own, library = self._forward.get(node._sequence_nr(), ("", "", ""))
            return module, own, library, "backward"
        own, library = lines_of(sys._getframe(3))
        module = self._modules.path()
        number = _sequence_nr()
        for made in range(max(self._last_nr, number - 16), number):
            self._forward[made] = (module, own, library)
        self._last_nr = number
        return module, own, library, "forward" if module else ""

    def _device(self, result: Any) -> str:
        tensor = next(_tensors(result), None)
        return tensor.device.type if tensor is not None else ""

    def _hold(self, site: tuple[str, ...], inputs: int, marks: list[torch.Tensor]) -> None:
        number = self._sites.get(site)
        if number is None:
            number = self._sites[site] = len(self._sites)
            self._recording.write_site(number, site)
        self._held.append((number, inputs, marks))
        if len(self._held) >= _HELD:
            self.settle()

    def add_call(self, name: str, own: str, library: str, inputs: list[Any], outputs: list[Any]) -> None:
        """Record a compiled call as one op: what went in, and what came out."""
        ins, outs = [fingerprint(each) for each in inputs], [fingerprint(each) for each in outputs]
        device = outputs[0].device.type if outputs else ""
        words = "|".join(f"input {at}" for at in range(len(ins)))
        self._forget_weights()  # it may have written to any
        self._hold((name, self._modules.path(), own, library, "forward", words, device), len(ins), ins + outs)

    def settle(self) -> None:
        """Hand over the ops that are held back, in one record."""
        held, self._held = self._held, []
        if held:
            with self._recording.silenced():
                numbers = _read([mark for _, _, marks in held for mark in marks])
            ops = []
            for site, inputs, marks in held:
                found = [next(numbers) for _ in marks]
                ops.append([site, found[:inputs], found[inputs:]])
            self._recording.write_ops(ops)

    def new_step(self) -> None:
        """Forget what belongs to the last step."""
        self._forward.clear()
        self._known.clear()
        self._forget_weights()
        if self._recording.step:
            self.unwritten.clear()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of an argument or a result that have values of their own."""
    if isinstance(value, torch.Tensor):
        if type(value) in _PLAIN_TENSORS and not value.is_meta and value.layout is torch.strided:
            yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _default_generator(device: torch.device) -> torch.Generator | None:
    if device.type == "cpu":
        return torch.default_generator
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    return torch.mps._get_default_mps_generator() if device.type == "mps" else None


def _read(marks: list[torch.Tensor]) -> Iterator[int]:
    """The fingerprints as numbers, in order: one transfer from each device."""
    numbers: list[int] = [0] * len(marks)
    devices: dict[torch.device, list[int]] = {}
    for place, mark in enumerate(marks):
        devices.setdefault(mark.device, []).append(place)
    for places in devices.values():
        for place, number in zip(places, torch.stack([marks[each] for each in places]).tolist(), strict=True):
            numbers[place] = number
    return iter(numbers)
