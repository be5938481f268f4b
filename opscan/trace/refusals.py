"""From what a target raises to the one error that names the user's line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opscan.blame import one_line, user_line
from opscan.errors import OpscanError, TraceError
from opscan.trace.choices import EndlessLoopError
from opscan.trace.recorder import Recorder


@contextmanager
def user_errors(call: Callable[..., Any], recorder: Recorder) -> Iterator[None]:
    """Turn what the target raises into one TraceError that names the user's line, and the watched Function it ran."""
    try:
        yield
    except (KeyboardInterrupt, OpscanError):
        raise
    except BaseException as error:
        raise TraceError(
            one_line(error),
            user_line(error) or getattr(call, "__qualname__", type(call).__name__),
            _REAL if _is_of_meta(error) and not recorder.real else _OTHERS,
            recorder.failed_in(error),
        ) from error


_OTHERS = "The model fails on these inputs; give others with --input or --inputs, or fix the model."
_REAL = "A trace on meta cannot go through this. If the model is small: --trace-device cpu runs it for real."


def _is_of_meta(error: BaseException) -> bool:
    """Whether the error is about what a trace on meta lacks, values and some kernels, and not the model's own."""
    return isinstance(error, NotImplementedError | EndlessLoopError) or (
        isinstance(error, RuntimeError | AssertionError | ValueError | AttributeError)
        and any(word in str(error) for word in ("meta", "not allocated", "DTensor", "_local_tensor", "storage_device"))
    )
