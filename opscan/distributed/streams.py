"""Streams and events that do nothing, for FSDP2 where its device is none: it overlaps its collectives on them.

torch.cpu has such classes too, but not all that FSDP2 asks for (torch 2.6: no Stream.record_event; 2.15: no stream_id).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Event:
    """Is over when it is recorded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        pass

    def wait(self, stream: Any = None) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def query(self) -> bool:
        return True


class Stream:
    """Runs everything in the order it is called."""

    stream_id = device_index = device_type = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def record_event(self, event: Event | None = None) -> Event:
        return event or Event()

    def wait_event(self, event: Any) -> None:
        pass

    def wait_stream(self, stream: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def query(self) -> bool:
        return True


class DeviceHandle:
    """What torch.distributed takes from torch.cuda, for a device where nothing runs."""

    def __init__(self) -> None:
        self.Stream, self.Event = Stream, Event
        self._current = Stream()

    def current_stream(self, device: Any = None) -> Stream:
        return self._current

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        yield

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def synchronize(self, device: Any = None) -> None:
        pass
