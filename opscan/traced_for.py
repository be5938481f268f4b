"""The device type that the running trace is for, None while nothing is traced: a tensor's own device does not say."""

from __future__ import annotations

device: str | None = None
