"""Reading a text file back that somebody or something else wrote: whatever is wrong with it becomes one error."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

from opscan.errors import OpscanError


def read_stored(
    path: str | os.PathLike[str],
    parse: Callable[[str], Any],
    failed: Callable[[str], OpscanError],
    may_be_pipe: bool = False,
) -> Any:
    """What `parse` makes of the text of a file. Raises what `failed` makes of the reason why that cannot be had.

    Only what a user named may be a pipe: to open one that nobody writes to takes for ever.
    tomllib and json raise ValueErrors for text that is not theirs, for numbers too long to be converted, and, with a
    path that holds a null byte, open does; they descend by recursion.
    """
    if not may_be_pipe and os.path.lexists(path) and not os.path.isfile(path):
        raise failed("it is no file")
    try:
        with io.TextIOWrapper(io.FileIO(path), encoding="utf-8") as stream:  # `open` may be the target's by now
            return parse(stream.read())
    except OSError as error:
        raise failed(error.strerror or str(error)) from error
    except RecursionError as error:
        raise failed("nested too deeply") from error
    except ValueError as error:
        raise failed(str(error)) from error
