"""What can go wrong, one subclass per stage.

An OpscanError means *we could not look*: it says what happened, where, and what to do next.
Findings are values, never exceptions; misuse of the Python API is ValueError or TypeError.
"""

from __future__ import annotations

from opscan.formats.text import printable


class OpscanError(Exception):
    """We could not look.

    `what` names the problem, `where` the place (a target, a file and line, a rule id), `hint` the next step.
    All three are handed to `Exception`, so that the error survives pickling between processes.
    """

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        super().__init__(what, where, hint)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{printable(self.where)}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class RulesError(OpscanError):
    """A rule file is not valid: names the file, the rule id and the likely fix."""


class EnvironmentSpecError(OpscanError):
    """The environment asked for (torch version, device) does not exist or is not covered."""


class TargetError(OpscanError):
    """The target could not be imported, found or built."""


class InputError(OpscanError):
    """No inputs could be found for the target, or those given do not fit it."""


class TraceError(OpscanError):
    """The target's own forward, loss or backward failed while it was traced.

    `call` is the torch.autograd.Function it failed in, if rules name that one: "mmcv.ops.roi_align.RoIAlignFunction".
    It may also be an op of a package that runs above dispatch: "torch.ops.torch_scatter.scatter_max".
    """

    def __init__(self, what: str, where: str = "", hint: str = "", call: str = "") -> None:
        super().__init__(what, where, hint)
        self.args = (what, where, hint, call)
        self.call = call


class OutputError(OpscanError):
    """A file could not be written."""


class AuditError(OpscanError):
    """A torch build could not be read: no such file, no build, or the libraries that read machine code are missing."""


class ConfigError(OpscanError):
    """The [tool.opscan] table of a pyproject.toml is not valid."""


class SweepError(OpscanError):
    """A sweep could not begin or go on: a package it needs is missing, or its files cannot be read or written."""


class DocumentError(OpscanError):
    """A JSON document of earlier findings could not be read: no such file, not opscan's, or of a newer schema."""


class VerifyError(OpscanError):
    """Runs could not be made or compared: no such script, no record, or nothing in it to compare."""
