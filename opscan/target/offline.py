"""Nothing is downloaded while a model is built: its weights are not needed, and the network may be slow or absent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_REFUSAL = "opscan builds models without a network, and weights are not needed: give pretrained=False or the like"


@contextmanager
def offline() -> Iterator[None]:
    """Refuse connections that this thread asks for: OSError, at once. Other threads keep theirs."""
    thread = threading.get_ident()
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def refusing(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == thread:
                raise OSError(_REFUSAL)
            return original(*args, **kwargs)

        return call

    socket.getaddrinfo = refusing(resolve)
    socket.socket.connect = refusing(connect)  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        socket.getaddrinfo = resolve
        socket.socket.connect = connect  # type: ignore[method-assign]  # as it was
