"""The dispatch mode that writes the graph: one node per ATen op, with its provenance."""

from __future__ import annotations

import itertools
import operator
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from opscan.distributed.collectives import described, readable
from opscan.trace.asked import AskedStrict
from opscan.trace.choices import TRUE, Choices, Way
from opscan.trace.functions import next_sequence_nr
from opscan.trace.graph import CompositeCall, ModuleSite, OpCall, Phase, Role, SourceLine, TensorInfo
from opscan.trace.kept_tensors import KeptTensors
from opscan.trace.launches import Launch, target_of
from opscan.trace.provenance import construction_site, look_out, stock_class
from opscan.trace.traits import traits_of
from opscan.trace.values import Values, is_lazy, map_tensors, tensors_in
from opscan.trace.wrapped import FAKE, dispatch_mode, is_wrapped, local_of

_NODE = "_opscan_node_"
"""With the recorder's number, the attribute that ties a tensor to the index of the node it came from.

An index, so that copying it is harmless. Numbered, as a tensor that the code keeps may meet another recorder.
"""
_numbers = itertools.count()

_KNOWN_NUMEL = 1 << 16
"""Known integer tensors up to this many elements are kept, so that rules may ask whether an index repeats."""

_graph_task = torch._C._current_graph_task_id
_autograd_node = torch._C._current_autograd_node

# Note [Freed one by one]
# Whoever frees the last node of an autograd graph frees the one before with it, and so on. PyTorch does that in a loop
# (torch/csrc/autograd/function.cpp), but not through nodes that Python has looked at: with torch 2.13 some
# 40,000 in a row overflow a stack of 8 MB. So those a trace has looked at are held until its tensors are gone, and are
# then let go of in the order of backward, when the next one is still held.


def tensor_info(tensor: torch.Tensor, storage: int = 0) -> TensorInfo:
    """Sizes, strides (in elements), dtype and layout of a tensor that lies in the memory numbered `storage`."""
    shape = () if is_lazy(tensor) else tensor.shape
    stride = tensor.stride() if tensor.layout is torch.strided else ()
    return TensorInfo(shape, stride, tensor.dtype, tensor.layout, tensor.requires_grad, storage)


class Recorder(Values):
    """Runs ops as Values does and records each as a node.

    `watched` are the public calls to be recorded as composites; `dtype_within` says in which precision one named so
    gets an argument on.
    """

    real = False
    """Whether tensors have memory of their own, on a device: their values are then not kept."""

    def __init__(
        self,
        watched: frozenset[str],
        way: Way = TRUE,
        dtype_within: Callable[[str, torch.dtype], torch.dtype] = lambda name, dtype: dtype,
    ) -> None:
        super().__init__(Choices(way))
        self._dtype_within = dtype_within
        self.graph = fx.Graph()
        self._attribute = f"{_NODE}{next(_numbers)}"
        self.composites: list[CompositeCall] = []
        self.autograd_nodes: dict[int, str] = {}
        self.loss = False
        self.collectives = 0
        self.asked = AskedStrict()
        self.losses: list[fx.Node] = []
        self._watched = watched
        self._parameters: dict[int, str] = {}
        self._nodes: list[fx.Node] = []
        self._by_storage: dict[int, tuple[fx.Node, int]] = {}
        self._by_sequence: dict[int, fx.Node] = {}
        self._last_sequence_nr = next_sequence_nr() - 1
        self._function_nr: int | None = None  # sequence number of the torch.autograd.Function whose forward runs
        self._failed: tuple[Exception, str] | None = None  # an error, and the watched Function or op it came from
        self._previous_op: fx.Node | None = None
        self._last_input: fx.Node | None = None  # None: at the start of the graph
        self._composite: int | None = None
        self._public: tuple[str, ...] = ()
        self._modules: list[ModuleSite] = []
        self._marked: list[torch.Tensor] = []
        self._entered: deque[torch.autograd.graph.Node] = deque()
        self._foreign = KeptTensors()
        self._module_at: dict[tuple[SourceLine, Any], ModuleSite | None] = {}

    # -- tensors the graph starts from

    def add_input(self, name: str, tensor: torch.Tensor, role: Role, parameter: str = "") -> fx.Node:
        """Make a placeholder node for a tensor that no recorded op produced; of a DTensor it is this rank's part.

        `parameter` is its path in the model.
        """
        tensor = local_of(tensor)
        if parameter:
            self._parameters[id(tensor)] = parameter
        with self.graph.inserting_after(self._last_input):
            node = self._last_input = self.graph.placeholder(name)
        node.meta["role"] = role
        self._place(tensor, node, fresh=False)
        self._marked.append(tensor)
        return node

    def let_go_of_autograd(self) -> None:
        """Free the autograd nodes of a trace whose tensors are gone: Note [Freed one by one]."""
        while self._entered:
            self._entered.popleft()

    def forget_tensors(self) -> None:
        """Take the marks off tensors that outlive the trace, and undo what was written to them."""
        for tensor in self._marked:
            tensor.__dict__.pop(self._attribute, None)
        self._marked.clear()
        self._foreign.restore()

    def nodes_of(self, tensors: Iterable[torch.Tensor]) -> tuple[fx.Node, ...]:
        """The nodes that tensors came from; one that nothing recorded has none."""
        found = (tensor.__dict__.get(self._attribute) for tensor in tensors)
        return tuple(self._nodes[index] for index in found if index is not None)

    @property
    def current(self) -> fx.Node:
        """The op that was recorded last."""
        assert self._previous_op is not None
        return self._previous_op

    def _mark(self, tensor: torch.Tensor, node: fx.Node) -> None:
        tensor.__dict__[self._attribute] = len(self._nodes)
        self._nodes.append(node)

    def _node_of(self, tensor: torch.Tensor) -> fx.Node:
        index: int | None = tensor.__dict__.get(self._attribute)
        if index is not None:
            return self._nodes[index]
        if (
            tensor.is_meta or self.real
        ) and tensor.layout is torch.strided:  # autograd hands saved tensors back as new objects
            found = self._by_storage.get(tensor.untyped_storage()._cdata)
            if found is not None:
                return found[0]
        # The model made it or holds it without torch having dispatched an op for it.
        self._foreign.meet(tensor)
        self.add_input("constant", tensor, "weight" if tensor.requires_grad and tensor.is_leaf else "data")
        return self._nodes[-1]

    # -- modules and public calls around the ops

    @contextmanager
    def watching_modules(self, roots: Mapping[str, nn.Module]) -> Iterator[None]:
        """Follow which module of `roots` is running; a submodule's path starts with its root's name, if it has one."""
        sites: dict[int, tuple[Mapping[str, nn.Module], str, str]] = {}
        for prefix, root in roots.items():
            modules = dict(root.named_modules())
            sites |= {id(module): (modules, prefix, path) for path, module in modules.items()}
        known: dict[int, ModuleSite] = {}

        def enter(module: nn.Module, inputs: Any) -> None:
            site = known.get(id(module))
            if site is None:
                site = known[id(module)] = _module_site(module, sites.get(id(module)))
            self._modules.append(site)

        def leave(module: nn.Module, inputs: Any, outputs: Any) -> None:
            self._modules.pop()

        handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def on_function(self, name: str, args: tuple[Any, ...], sequence_nr: int, differentiable: bool) -> Iterator[None]:
        """Surround the forward of a torch.autograd.Function: its ops are children of it if it is watched.

        Its backward is tied to the last of them, which hangs on all it was given; the first may be a view of an index.
        """
        outer, outer_composite = self._function_nr, self._composite
        self._function_nr = sequence_nr
        if name in self._watched and outer_composite is None:
            self._composite = len(self.composites)
            self.composites.append(self._composite_call(name, args, {}, differentiable))
        try:
            yield
        except Exception as error:
            self._note_failure(error, name)
            raise
        finally:
            self._function_nr, self._composite = outer, outer_composite

    def _note_failure(self, error: Exception, name: str) -> None:
        if name in self._watched and (self._failed is None or self._failed[0] is not error):
            self._failed = error, name

    def failed_in(self, error: BaseException | None) -> str:
        """The watched Function or op above dispatch that raised this error, or what led to it; "" where none did."""
        while error is not None and self._failed is not None:
            if error is self._failed[0]:
                return self._failed[1]
            error = error.__cause__ or error.__context__
        return ""

    @contextmanager
    def on_call(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[None]:
        """Surround a public torch call: its ops carry its name, and are children of it if it is watched."""
        outer_public, outer_composite = self._public, self._composite
        self._public = (*outer_public, name)
        if name in _BACKWARD:
            self._public = ()
            self._note_losses(args)
        if name in self._watched and outer_composite is None:
            self._composite = len(self.composites)
            self.composites.append(self._composite_call(name, args, kwargs, torch.is_grad_enabled()))
        try:
            yield
        except Exception as error:
            if name.startswith("torch.ops."):
                self._note_failure(error, name)
            raise
        finally:
            self._public, self._composite = outer_public, outer_composite

    def _note_losses(self, args: tuple[Any, ...]) -> None:
        """What the user's own code differentiates is its loss."""
        roots: list[torch.Tensor] = []
        tensors_in(args[:1], roots)
        self.losses.extend(node for node in self.nodes_of(roots) if node not in self.losses)

    def _composite_call(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], differentiable: bool
    ) -> CompositeCall:
        called, _ = look_out(sys._getframe(3))
        module = self._modules[-1] if self._modules else None

        def info(tensor: torch.Tensor) -> TensorInfo:
            found = tensor_info(tensor)
            found = found._replace(dtype=self._dtype_within(name, found.dtype))
            return found if differentiable else found._replace(requires_grad=False)

        infos = map_tensors(info, args), map_tensors(info, dict(kwargs))
        return CompositeCall(name, *infos, self._phase(), module, called, self.asked.forced)

    def _phase(self) -> Phase:
        if _graph_task() != -1:
            return "backward"
        return "loss" if self.loss else "forward"

    # -- ops

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if types and is_wrapped(types):
            return NotImplemented
        with torch._C.DisableTorchFunction():
            if dispatch_mode(FAKE) is not None:
                return func(*args, **(kwargs or {}))
            if torch.is_inference_mode_enabled() and _is_composite(func):
                with self:
                    return func._op_dk(_COMPOSITE, *args, **(kwargs or {}))
            traits = traits_of(func)
            node = self._record(func, args, kwargs or {}) if not traits.talks else self._record_collective(func, args)
            launched = self.launched
            result = self.run(func, args, dict(kwargs) if kwargs else {})
            if self.launched != launched:
                node.meta["launches"] = self.launched - launched
            self._record_result(node, args[0] if traits.sends else result)
            if traits.sends and self._works:
                self._works[-1].on_wait = partial(self._note_wait, node)
            return result

    def _note_wait(self, collective: fx.Node) -> None:
        """Remember the op after which a collective was waited for, the first time."""
        collective.meta.setdefault("waited_after", self.current)

    def launch(self, launch: Launch) -> None:
        """Record the launch of a kernel as a node: it reads what it is given, and writes in place."""
        args = tuple(list(each) if isinstance(each, tuple) else each for each in launch)
        with torch._C.DisableTorchFunction():
            node = self._record(target_of(launch.kernel), args, {})
            super().launch(launch)
            self._record_result(node, (*launch.written, *launch.updated))

    def _record(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> fx.Node:
        grad_args = 0
        node_args: list[Any] = []
        for position, value in enumerate(args):
            if isinstance(value, torch.Tensor):
                given = self._node_of(value)
                if value.requires_grad:
                    grad_args |= 1 << position
                    if isinstance(value, nn.Parameter) and given.op != "placeholder":  # put together from its shards
                        given.meta["role"] = "weight"
                node_args.append(given)
            elif (type(value) is list or type(value) is tuple) and any(
                isinstance(item, torch.Tensor) for item in value
            ):
                if any(item.requires_grad for item in value if item is not None):
                    grad_args |= 1 << position
                node_args.append([item if item is None else self._node_of(item) for item in value])
            elif type(value) is list and value and type(value[0]) is list:
                node_args.append(map_tensors(self._node_of, value))
            else:
                node_args.append(value)
        if traits_of(func).writes_at:
            self._foreign.before_writing(args)
        node = self.graph.create_node("call_function", func, name=traits_of(func).name)
        node.args = tuple(node_args)  # set after the fact: create_node would walk them a second time
        if kwargs:
            node.kwargs = map_tensors(self._node_of, dict(kwargs))
        node.meta["opscan"] = self._provenance(node, grad_args)
        if traits_of(func).draws:
            node.meta["role"] = "data"
        self._previous_op = node
        return node

    def _record_collective(self, func: Any, args: tuple[Any, ...]) -> fx.Node:
        """A node for an op of torch.distributed's: its groups and reductions in words, and what it is as a whole."""
        found = described(func, args, self.collectives)
        self.collectives += found is not None
        node = self._record(func, tuple(readable(each) for each in args), {})
        node.meta["collective"] = found
        return node

    def _provenance(self, node: fx.Node, grad_args: int) -> OpCall:
        called, functions = look_out(sys._getframe(3))
        public = _merged(self._public, functions)
        backward, forced = _autograd_node(), self.asked.forced
        if backward is None:
            return self._forward_call(node, called, public, grad_args)
        if not self._entered or self._entered[-1] is not backward:
            self._entered.append(backward)  # Note [Freed one by one]
        sequence_nr = backward._sequence_nr()
        self.autograd_nodes.setdefault(sequence_nr, backward.name())
        self._own_sequence_numbers(node, grad_args)
        cause = self._by_sequence.get(sequence_nr)
        if cause is None:
            if backward.name() == _ACCUMULATES:
                node.meta["gradient_of"] = self._name_of(backward.variable)  # type: ignore[attr-defined]  # AccumulateGrad's
            return OpCall("backward", None, None, (), sequence_nr, None, self._composite, grad_args, forced)
        origin: OpCall = cause.meta["opscan"]
        if self._modules:  # a forward that a checkpoint runs again
            running, line = self._modules[-1], called or origin.called
            return OpCall("backward", running, line, public, sequence_nr, cause, self._composite, grad_args, forced)
        composite = origin.composite if self._composite is None else self._composite
        module = origin.module
        if called is None:
            called, public = origin.called, origin.public
        else:  # user code run by backward: a hook, a backward method, a function that a checkpoint runs again
            module = self._module_at.get((called, node.target), module)
        return OpCall("backward", module, called, public, sequence_nr, cause, composite, grad_args, forced)

    def _name_of(self, leaf: torch.Tensor) -> str:
        """The path of a parameter; of a leaf that no module holds its node's name; "" for an input's own leaf."""
        found = self._parameters.get(id(leaf))
        return found if found is not None else next((node.name for node in self.nodes_of([leaf])), "")

    def _forward_call(
        self, node: fx.Node, called: SourceLine | None, public: tuple[str, ...], grad_args: int
    ) -> OpCall:
        sequence_nr = self._own_sequence_numbers(node, grad_args)
        if self._function_nr is not None and not torch.is_grad_enabled():
            self._by_sequence[self._function_nr] = node
        module = self._modules[-1] if self._modules else None
        if called is not None:
            self._module_at.setdefault((called, node.target), module)
        phase, forced = self._phase(), self.asked.forced
        return OpCall(phase, module, called, public, sequence_nr, None, self._composite, grad_args, forced)

    def _own_sequence_numbers(self, node: fx.Node, grad_args: int) -> int | None:
        """Tie the autograd nodes made since the last op to the op that made them.

        Autograd makes an op's node right before dispatching it, so the newest one is this op's if the op has an
        argument that needs a gradient; older ones (an in-place op on a view makes one after the fact) are the
        previous op's.
        """
        newest = next_sequence_nr() - 1
        if newest == self._last_sequence_nr:
            return None
        previous = self._previous_op or node
        for number in range(self._last_sequence_nr + 1, newest):
            self._by_sequence[number] = previous
        after_the_fact = not grad_args and not traits_of(previous.target).pure
        self._by_sequence[newest] = previous if after_the_fact else node
        self._last_sequence_nr = newest
        return newest if grad_args else None

    def _record_result(self, node: fx.Node, result: Any) -> None:
        fresh = traits_of(node.target).pure
        if isinstance(result, torch.Tensor):
            self._place(result, node, fresh)
        elif isinstance(result, list | tuple):
            result = [each for item in result for each in item] if result and type(result[0]) is list else result
            node.meta["tensors"] = tuple(
                self._place(item, self._getitem(node, index), fresh) if isinstance(item, torch.Tensor) else None
                for index, item in enumerate(result)
            )

    def _getitem(self, node: fx.Node, index: int) -> fx.Node:
        return self.graph.create_node("call_function", operator.getitem, (node, index))

    def _place(self, tensor: torch.Tensor, node: fx.Node, fresh: bool) -> TensorInfo:
        """Tie a tensor to its node. `fresh` memory gets a number of its own; other memory may be known already."""
        self._mark(tensor, node)
        number = len(self._nodes)
        if tensor.layout is torch.strided:
            address = tensor.untyped_storage()._cdata
            if not fresh and address in self._by_storage:
                number = self._by_storage[address][1]
            self._by_storage[address] = (node, number)
        info = node.meta["tensors"] = tensor_info(tensor, number)
        if not (tensor.is_meta or self.real or tensor.is_floating_point()) and tensor.numel() <= _KNOWN_NUMEL:
            # An alias: were the tensor itself held here, torch would make another one of it.
            node.meta["known"] = (tensor.detach(), tensor._version)
        return info


_BACKWARD = frozenset({"torch.Tensor.backward", "torch.autograd.backward", "torch.autograd.grad"})
_ACCUMULATES = "torch::autograd::AccumulateGrad"
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd


@cache
def _is_composite(func: Any) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), _COMPOSITE)


def _merged(called: tuple[str, ...], passed: tuple[str, ...]) -> tuple[str, ...]:
    """One chain of public functions, outermost first: the calls intercepted, then the functions on the stack."""
    if not passed:
        return called
    if called and called[-1] in passed:  # functions that call it without being seen themselves stand outside it
        at = passed.index(called[-1])
        return tuple(dict.fromkeys(called[:-1] + passed[:at] + called[-1:] + passed[at:]))
    return tuple(dict.fromkeys(called + passed))


def _module_site(module: nn.Module, found: tuple[Mapping[str, nn.Module], str, str] | None) -> ModuleSite:
    cls: Any = type(module)
    stock = stock_class(cls)
    if found is None:
        return ModuleSite("", type(module).__name__, None, stock)
    modules, prefix, path = found
    full = ".".join(part for part in (prefix, path) if part)
    return ModuleSite(full, type(module).__name__, construction_site(modules, path), stock)
