"""Run one step of a target once, on meta, and hand back its Trace."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import fx

from opscan.distributed.collectives import reductions_noted
from opscan.distributed.wrapping import renew_reducers
from opscan.trace.autocast import Autocast, Casting, on_target
from opscan.trace.borrow import Belongings, StandIn, Twins, borrowed, meta_or_known
from opscan.trace.calls import PublicCalls
from opscan.trace.choices import FALSE, TRUE, Choices, NoChoices, Way
from opscan.trace.functions import functions_heard
from opscan.trace.graph import Trace
from opscan.trace.hygiene import unchanged_process
from opscan.trace.launches import launches_heard
from opscan.trace.modes import modes_closed
from opscan.trace.provenance import recorded_construction
from opscan.trace.recorder import Recorder
from opscan.trace.refusals import user_errors
from opscan.trace.repeats import Repeats
from opscan.trace.results import loss_or_outputs, tensors_of
from opscan.trace.scripted import refuse_sharded
from opscan.trace.spared import imports_spared
from opscan.trace.starts import add_inputs, roots_of
from opscan.trace.unwritten import unwritten_remembered
from opscan.trace.values import Values, map_tensors, meta_like

Mode = Literal["train", "eval"]
Loss = Callable[..., Any]
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


@contextmanager
def constructing(device: str = "cuda") -> Iterator[None]:
    """Build modules for a device without memory for their weights, each remembering the user's line that built it.

    They also remember which of their parameters and buffers nothing initialises.

    Raises RuntimeError where a constructor asks for values that are not there: made-up ones would build another model.
    """
    with (
        unchanged_process(),
        imports_spared(),
        recorded_construction(),
        on_target(device),
        PublicCalls(),
        Values(NoChoices()),
        unwritten_remembered(on_meta=True),
        modes_closed(),
    ):
        yield


_CASTING = Casting()


class Regime:
    """What a step is run on, who records it, and what stands for the user's tensors meanwhile.

    This one is the trace's: on meta, where nothing real happens.
    """

    def __init__(self, watched: frozenset[str], way: Way = TRUE, casting: Casting = _CASTING) -> None:
        self.watched = watched
        self.autocast = Autocast(casting)
        self.recorder = Recorder(watched, way, self.autocast.dtype_within)
        self.calls = PublicCalls(self.recorder.on_call, self.autocast.outside)

    def process(self) -> AbstractContextManager[None]:
        """Surrounds the step, and leaves the process afterwards as it was."""
        return unchanged_process(self.recorder.asked)

    def stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """What stands for a tensor of the user's."""
        return meta_or_known(tensor)

    def gradient_for(self, root: torch.Tensor) -> torch.Tensor:
        """A dense gradient to feed into an output."""
        return meta_like(root).contiguous()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Surrounds the user's code while it runs: sees its public calls and its ops."""
        with self.calls, self.recorder, modes_closed():
            yield

    def launches(self) -> AbstractContextManager[None]:
        """Surrounds the step, for launches of Triton kernels."""
        return launches_heard(self.recorder.launch)


@contextmanager
def borrowing(
    roots: Iterable[object],
    training: bool,
    process: AbstractContextManager[None] | None = None,
    stand_in: StandIn = meta_or_known,
    belongings: Belongings | None = None,
) -> Iterator[Twins]:
    """Hold stand-ins for the tensors that `roots` reach, and for those of `belongings`.

    The process too is afterwards as it was.
    """
    with ExitStack() as stack:
        stack.enter_context(process or unchanged_process())
        stack.enter_context(imports_spared())
        stack.enter_context(torch.inference_mode(False))
        held = [belongings] if belongings else []
        twins = stack.enter_context(borrowed([*held, Belongings(roots)], training, stand_in))
        refuse_sharded(twins.holders)
        yield twins


@contextmanager
def on_meta(
    roots: Iterable[object],
    training: bool = True,
    values: Values | None = None,
    casting: Casting = _CASTING,
    belongings: Belongings | None = None,
) -> Iterator[Twins]:
    """Run what `roots` reach, and what is among `belongings`, on meta, unrecorded; all is afterwards as it was."""
    values = values or Values()
    autocast = Autocast(casting)
    with ExitStack() as stack:
        twins = stack.enter_context(borrowing(roots, training, belongings=belongings))
        stack.enter_context(autocast.honoured())
        stack.enter_context(launches_heard(values.launch))
        stack.enter_context(torch.set_grad_enabled(training))
        stack.enter_context(PublicCalls())
        stack.enter_context(values)
        stack.enter_context(autocast.region())
        stack.enter_context(modes_closed())
        yield twins


def attempt(
    call: Callable[..., Any], training: bool = True, casting: Casting = _CASTING, once: bool = True
) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """A function that runs the forward alone on meta, returns its output, and raises what the model raises.

    Where made-up values led it into an error, it goes the other way once; if that fails too, the first error counts.
    With `once` layers that repeat one another are run once, see Note [Layers run once]. What the call reaches is looked
    up once, so nothing else may change it between two runs.
    """

    belongings = functools.cache(lambda: Belongings([call]))

    def run(args: tuple[Any, ...], kwargs: dict[str, Any], way: Way = TRUE, once: bool = once) -> Any:
        choices, repeats = Choices(way), Repeats()
        try:
            with on_meta([args, kwargs], training, Values(choices), casting, belongings()) as twins:
                if once:
                    repeats.install(twins.holders)
                return to_call(call, twins, training)(*twins.swap(args), **twins.swap(kwargs))
        except Exception as error:
            if repeats.passed_over:
                return run(args, kwargs, way, once=False)
            if way == FALSE or not choices.made:
                raise
            try:
                return run(args, kwargs, FALSE, once)
            except Exception:
                raise error from None

    return run


def trace_target(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    loss: Loss | None = None,
    mode: Mode = "train",
    input_grad: bool = False,
    way: Way = TRUE,
    watched: frozenset[str] = frozenset(),
    assumed_sizes: bool = False,
    casting: Casting = _CASTING,
    wrap: Wrap | None = None,
) -> Trace:
    """Trace forward, loss and backward of one call of a module or of a callable step, on meta.

    In eval mode the forward alone is traced, without gradients. With `input_grad` floating inputs need a gradient, as
    they do when the module is part of a larger model. `way` is taken wherever the way through hangs on values that a
    trace does not have. The model, its gradients and buffers, and the process are afterwards as they were.
    `watched` are public functions to be recorded as CompositeCall. `casting` is the device type whose autocast the
    step's own regions are for, and the precision to run its forward and loss in. `wrap` puts what is called into
    something else, as part of the step. Raises TraceError when the target's
    own code fails, naming the user's line.
    """
    return trace_under(
        Regime(watched, way, casting),
        call,
        args,
        kwargs,
        loss=loss,
        mode=mode,
        input_grad=input_grad,
        assumed_sizes=assumed_sizes,
        wrap=wrap,
    )


def trace_under(
    regime: Regime,
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    loss: Loss | None = None,
    mode: Mode = "train",
    input_grad: bool = False,
    assumed_sizes: bool = False,
    wrap: Wrap | None = None,
) -> Trace:
    """As trace_target, under any regime."""
    trace = _traced(
        regime, call, args, kwargs, loss=loss, mode=mode, input_grad=input_grad, assumed_sizes=assumed_sizes, wrap=wrap
    )
    regime.recorder.let_go_of_autograd()
    return trace


def _traced(
    regime: Regime,
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    loss: Loss | None,
    mode: Mode,
    input_grad: bool,
    assumed_sizes: bool,
    wrap: Wrap | None,
) -> Trace:
    training = mode == "train"
    recorder, calls = regime.recorder, regime.calls
    assumptions: list[str] = []
    roots = [call, args, dict(kwargs), loss]
    with borrowing(roots, training, regime.process(), regime.stand_in) as twins, ExitStack() as stack:
        call, held = to_call(call, twins, training), (twins.swap(args), twins.swap(dict(kwargs)))
        if input_grad and training:
            held = map_tensors(_as_activation, held[0]), map_tensors(_as_activation, held[1])
        stack.callback(recorder.forget_tensors)
        add_inputs(recorder, call, *held)
        stack.enter_context(recorder.watching_modules(roots_of(call, *held)))
        stack.enter_context(calls.nested(regime.watched))
        stack.enter_context(regime.launches())
        stack.enter_context(regime.autocast.honoured())
        stack.enter_context(functions_heard(recorder.on_function, regime.watched))
        stack.enter_context(torch.set_grad_enabled(training))
        stack.enter_context(user_errors(call, recorder))
        stack.enter_context(reductions_noted())
        with regime.watching():
            renew_reducers(twins.holders)
            call = wrap(call) if wrap is not None else call
        with regime.watching(), regime.autocast.region():
            outputs = call(*held[0], **held[1])
            returned, losses = recorder.nodes_of(tensors_of(outputs)), tuple(recorder.losses)
            if loss is not None:
                recorder.loss = True
                outputs = loss(outputs)
        if training and not calls.ran_backward:
            losses = _run_backward(regime, outputs, assumptions)
    if regime.autocast.assumed:
        assumptions.append(
            f"autocast: a region for the CPU is taken for one on {regime.autocast.casting.device}, not here"
        )
    return Trace(
        graph=recorder.graph,
        composites=tuple(recorder.composites),
        autograd_nodes=recorder.autograd_nodes,
        inventions=tuple(recorder.choices.made),
        way=recorder.choices.way,
        places=recorder.choices.places,
        assumptions=tuple(assumptions),
        assumed_sizes=assumed_sizes,
        outputs=tuple(node for node in returned if node not in losses),
        losses=losses,
    )


def to_call(call: Callable[..., Any], twins: Twins, training: bool) -> Callable[..., Any]:
    """What to call: the module itself, or what stands for it if it is TorchScript's."""
    return twins.script(call).train(training) if isinstance(call, torch.jit.ScriptModule) else call


def _as_activation(tensor: torch.Tensor) -> torch.Tensor:
    """A floating input as a layer before would hand it in: it needs a gradient, and in-place ops may change it."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return tensor
    with torch.enable_grad():
        return tensor.detach().requires_grad_().clone()


def _run_backward(regime: Regime, outputs: Any, assumptions: list[str]) -> tuple[fx.Node, ...]:
    """Feed a dense gradient into every output that has a history; a scalar output is taken for the loss, and returned.

    `.sum()` would feed expanded gradients: strides no real loss produces, which hide reordering.
    """
    roots = [tensor for tensor in loss_or_outputs(outputs) if tensor.grad_fn is not None]
    if not roots:
        assumptions.append("backward: no output has a gradient, so there is none")
        return ()
    gradients = [regime.gradient_for(root) for root in roots]
    differentiated = regime.recorder.nodes_of(roots)
    has_loss = len(roots) == 1 and roots[0].numel() == 1
    for position, gradient in enumerate(gradients):
        node = regime.recorder.add_input(f"grad_output_{position}", gradient, "data")
        if not has_loss:
            node.meta["stands_for"] = differentiated
    if not has_loss:
        assumptions.append("backward: a dense gradient was fed into each output (--loss gives a loss function)")
    with regime.watching():
        torch.autograd.backward(roots, gradients)
    return differentiated if has_loss else ()
