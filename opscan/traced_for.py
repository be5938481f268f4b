"""The device type that the running trace is for, None while nothing is traced: a tensor's own device does not say."""

from __future__ import annotations

device: str | None = None

DOOR_TO = "_opscan_door_to"
"""Attribute of a stand-in for one of torch's functions, which is there while a trace runs: the function itself."""
