"""Open what is to be audited: an installed torch folder, a wheel file, or a site-packages folder."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from opscan.errors import AuditError

TORCH_PACKAGES = frozenset({"torch", "torchgen", "functorch"})
"""The top-level packages of a torch wheel; they count as one package, torch."""

NOT_READ = frozenset({"opscan", "triton", "nvidia", "pip", "setuptools", "__pycache__", "bin"})
"""What holds no ops in a site-packages folder: this package, the Triton language, vendor libraries, installers."""

_OBJECT = re.compile(r".*\.so(\.\d+)*")
_METADATA = re.compile(r"([^/]+)-([^-/]+)\.dist-info/METADATA")


def package_of(name: str) -> str:
    """The package a file belongs to."""
    top = name.split("/")[0]
    return "torch" if top in TORCH_PACKAGES else top.split(".")[0]


@dataclass(frozen=True, slots=True)
class Target:
    """Files of a target by their paths below `root`, with forward slashes; in a wheel where there is an archive."""

    root: Path
    names: tuple[str, ...]
    archive: zipfile.ZipFile | None = None

    @property
    def sources(self) -> list[str]:
        """Python sources."""
        return [name for name in self.names if name.endswith(".py")]

    @property
    def objects(self) -> list[str]:
        """Shared objects of Linux."""
        return [name for name in self.names if _OBJECT.fullmatch(name)]

    def versions(self) -> dict[str, str]:
        """Package -> version, as far as the metadata beside the packages tells."""
        found: dict[str, str] = {}
        for name in self.names:
            if match := _METADATA.fullmatch(name):
                listed = name.removesuffix("METADATA") + "top_level.txt"
                tops = self.read(listed).decode(errors="replace").split() if listed in self.names else []
                found |= dict.fromkeys([match[1].lower().replace("-", "_"), *tops], match[2])
        return found

    def read(self, name: str) -> bytes:
        """The content of one file."""
        return self.archive.read(name) if self.archive else (self.root / name).read_bytes()

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """One file as a file on disk that can be mapped.

        A file of a wheel is unpacked into a temporary file without a name: however the process ends, nothing stays.
        """
        if self.archive is None:
            with (self.root / name).open("rb") as stream:
                yield stream
            return
        with tempfile.TemporaryFile() as unpacked, self.archive.open(name) as packed:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
            unpacked.seek(0)
            yield unpacked


@contextmanager
def open_target(place: Path) -> Iterator[Target]:
    """Open a torch folder, a wheel, or a site-packages folder.

    Raises AuditError when there is none, or it cannot be read.
    """
    try:
        if place.is_dir():
            yield _folder(place)
        elif place.is_file():
            with zipfile.ZipFile(place) as archive:
                yield _checked(Target(place, tuple(sorted(archive.namelist())), archive))
        else:
            raise AuditError("there is no such file or folder", str(place), _HINT)
    except zipfile.BadZipFile as error:
        raise AuditError(f"not a wheel: {error}", str(place), _HINT) from error
    except OSError as error:
        raise AuditError(f"cannot be read: {error}", str(place), _HINT) from error


_HINT = "Name an installed torch folder, a wheel file (.whl), or a site-packages folder."


def _folder(place: Path) -> Target:
    place = place.resolve()
    if (place / "version.py").is_file() and (place / "lib").is_dir():
        root, tops = place.parent, [place.parent / name for name in sorted(TORCH_PACKAGES) if name != "torch"]
        tops = [place, *tops, *root.glob("torch-*.dist-info")]
    else:
        root, tops = place, [each for each in sorted(place.iterdir()) if each.name not in NOT_READ]
    names = []
    for top in tops:
        files = top.rglob("*") if top.is_dir() else [top]
        names += [each.relative_to(root).as_posix() for each in files if each.is_file()]
    return _checked(Target(root, tuple(sorted(names))))


def _checked(target: Target) -> Target:
    if not any(name.endswith(".py") for name in target.names):
        raise AuditError("no Python package is here", str(target.root), _HINT)
    return target
