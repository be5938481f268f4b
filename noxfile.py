"""The suite over the releases of torch and Python: `nox`, or one of them, as `nox -s "tests-3.11(2.6.0)"`.

A Python that is not here is skipped, and so is a release of torch that has no wheel for it.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "tests"]

PYTHONS = ("3.11", "3.12", "3.13")
TORCHES = ("2.6.0", "2.8.0", "2.11.0", "2.13.0", "2.15.0")
NEWEST = TORCHES[-1]


def install(session: nox.Session, torch: str, extra: str) -> None:
    """opscan with an extra, beside one release of torch: nothing that comes with it may bring another."""
    session.install(f"torch=={torch}", "-e", f".[{extra}]")


@nox.session(python=PYTHONS)
@nox.parametrize("torch", TORCHES, ids=TORCHES)
def tests(session: nox.Session, torch: str) -> None:
    """The whole suite, or what is named: nox -s "tests-3.11(2.6.0)" -- tests/trace."""
    install(session, torch, "test")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def packages(session: nox.Session) -> None:
    """What opscan says of real packages, and the clusters that sweeps are tried on."""
    install(session, "2.13.0", "test,packages")
    session.run("python", "-m", "pytest", "-m", "packages", *session.posargs)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """ruff, format and rules."""
    session.install("ruff")
    session.run("make", "lint", "PYTHON=python", external=True)


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """mypy --strict."""
    install(session, NEWEST, "dev")
    session.run("make", "types", "PYTHON=python", external=True)


@nox.session(python="3.11")
def coverage(session: nox.Session) -> None:
    """The table of what no test runs."""
    install(session, NEWEST, "test")
    session.run("make", "coverage", "PYTHON=python", external=True)
