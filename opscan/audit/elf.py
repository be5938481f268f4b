"""Read a shared object (ELF) without loading it: symbols, relocations, strings, and who refers to a function.

Needs numpy and pyelftools (`pip install "opscan[audit]"`). The file is mapped, never read as a whole.
Source of the layouts: System V gABI (symbol tables, relocations) and the x86-64 psABI (PLT, relocation types).
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import numpy as np
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
_RELOCATION = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
_FUNCTION = np.dtype([("value", "<i8"), ("size", "<i8"), ("name", "<i8")])
_ABSOLUTE, _GLOB_DAT, _JUMP_SLOT, _RELATIVE = 1, 6, 7, 8  # R_X86_64_*
_FUNC, _IFUNC = 2, 10  # STT_*
_CHUNK = 1 << 25
_ENDBR = b"\xf3\x0f\x1e\xfa"
_REGISTERS = re.compile(rb"__cudaRegisterFunction")

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    address: int
    offset: int
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function symbol: its mangled name and the addresses it covers."""

    name: str
    start: int
    end: int


@contextmanager
def open_object(stream: IO[bytes]) -> Iterator[SharedObject | None]:
    """Map one shared object; None when the file is not a 64-bit little-endian ELF object."""
    try:
        elf = ELFFile(stream)
    except ELFError:
        yield None
        return
    if elf.elfclass != 64 or not elf.little_endian:
        yield None
        return
    data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        yield SharedObject(elf, data)
    finally:
        # A traceback may still hold a view of the map; the map then closes with it.
        with suppress(BufferError):
            data.close()


class SharedObject:
    """One mapped ELF object."""

    def __init__(self, elf: Any, data: mmap.mmap) -> None:
        self.data = data
        self._entries_of: dict[re.Pattern[bytes], frozenset[int]] = {}
        self.machine: str = elf["e_machine"]
        kept = [section for section in elf.iter_sections() if section["sh_type"] not in ("SHT_NOBITS", "SHT_NULL")]
        self.sections = {
            section.name: Section(
                section.name,
                section["sh_addr"],
                section["sh_offset"],
                section["sh_size"],
                bool(section["sh_flags"] & 4),
            )
            for section in kept
        }
        self._relocation_sections = [each.name for each in kept if each["sh_type"] == "SHT_RELA"]
        self._segments = [
            (each["p_vaddr"], each["p_offset"], each["p_filesz"])
            for each in elf.iter_segments()
            if each["p_type"] == "PT_LOAD"
        ]

    # What the bytes say

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a virtual address; fewer where the file ends, none outside the loaded segments."""
        for start, offset, length in self._segments:
            if start <= address < start + length:
                at = address - start + offset
                return self.data[at : at + min(size, start + length - address)]
        return b""

    def start_of_code(self, address: int) -> int:
        """Where the executable section that holds an address begins."""
        sections = (each for each in self.sections.values() if each.executable)
        return next((each.address for each in sections if each.address <= address < each.address + each.size), address)

    def text_at(self, address: int, limit: int = 300) -> str | None:
        """The NUL-terminated printable ASCII text at an address, if there is one of 2 to `limit` characters."""
        found = re.match(rb"[ -~]{2,}(?=\0)", self.read(address, limit + 1))
        return found[0].decode() if found else None

    def pointer_at(self, address: int) -> int | None:
        """The eight bytes at an address as a number, relative relocations applied."""
        at = int(np.searchsorted(self._relative["offset"], address))
        if at < len(self._relative) and self._relative["offset"][at] == address:
            return int(self._relative["addend"][at])
        found = self.read(address, 8)
        return int(struct.unpack("<Q", found)[0]) if len(found) == 8 else None

    def strings(self, pattern: bytes, before: bytes = rb"(?<=\0)") -> set[str]:
        """Strings of the constant sections that match `pattern` up to their NUL, and `before` in front of them.

        A string behind binary data has no NUL in front.
        """
        wanted = re.compile(before + pattern + rb"(?=\0)")
        found: set[str] = set()
        for section in self.sections.values():
            if section.name.startswith((".rodata", ".data.rel.ro")):
                matches = wanted.finditer(self.data, max(section.offset - 1, 0), section.offset + section.size)
                found.update(match[0].decode(errors="replace") for match in matches)
        return found

    # Symbols

    @cached_property
    def imported(self) -> frozenset[str]:
        """Names of functions this object takes from other libraries (no version suffix)."""
        table = self._table(".dynsym", ".dynstr")
        start = self.sections[".dynstr"].offset if len(table) else 0
        return frozenset(self._text(start + int(each)) for each in table["name"][table["section"] == 0] if each)

    def has_text(self, section: str, pattern: re.Pattern[bytes]) -> bool:
        """Whether a section holds a match of the pattern."""
        area = self.sections.get(section)
        return area is not None and pattern.search(self.data, area.offset, area.offset + area.size) is not None

    @property
    def imports_from_cuda_runtime(self) -> bool:
        """Whether this object hands kernels to the CUDA runtime."""
        return self.has_text(".dynstr", _REGISTERS) or ".nv_fatbin" in self.sections

    def symbols(self, wanted: re.Pattern[bytes]) -> dict[int, str]:
        """Index in .dynsym -> name, for the dynamic symbols whose whole name matches."""
        table, section = self._table(".dynsym", ".dynstr"), self.sections.get(".dynstr")
        found: dict[int, str] = {}
        if section is None:
            return found
        area = self.data[section.offset : section.offset + section.size]
        for match in re.finditer(rb"(?<=\0)" + wanted.pattern + rb"(?=\0)", area):
            for index in np.nonzero(table["name"] == match.start())[0].tolist():
                found[index] = match[0].decode()
        return found

    def function_at(self, address: int) -> Function | None:
        """The function symbol that covers an address; the widest where several do."""
        starts = self._functions["value"]
        at = int(np.searchsorted(starts, address, side="right")) - 1
        if at < 0:
            return None
        at = int(np.searchsorted(starts, starts[at]))
        row = self._functions[at]
        start, end = int(row["value"]), int(row["value"] + row["size"])
        return Function(self._text(int(row["name"])), start, end) if start <= address < end else None

    @cached_property
    def _functions(self) -> Array:
        """Function symbols by address, the widest first; `name` is the offset of the name in the file."""
        rows = []
        for symbols, names in ((".symtab", ".strtab"), (".dynsym", ".dynstr")):
            table = self._table(symbols, names)
            if len(table):
                kinds = table["info"] & 0xF
                chosen = table[((kinds == _FUNC) | (kinds == _IFUNC)) & (table["section"] != 0)]
                row = np.zeros(len(chosen), dtype=_FUNCTION)
                row["value"], row["size"] = chosen["value"], chosen["size"]
                row["name"] = chosen["name"].astype("<i8") + self.sections[names].offset
                rows.append(row)
        if not rows:
            return np.zeros(0, dtype=_FUNCTION)
        joined: Array = np.concatenate(rows)
        ordered: Array = joined[np.lexsort((-joined["size"], joined["value"]))]
        return ordered

    def _table(self, symbols: str, names: str) -> Array:
        section = self.sections.get(symbols)
        if section is None or names not in self.sections:
            return np.zeros(0, dtype=_SYMBOL)
        return self._array(section, _SYMBOL)

    def _array(self, section: Section, kind: np.dtype[Any]) -> Array:
        # A copy: a view would keep the map from closing.
        area = self.data[section.offset : section.offset + section.size // kind.itemsize * kind.itemsize]
        rows: Array = np.frombuffer(area, dtype=kind)
        return rows

    def _text(self, offset: int) -> str:
        return self.data[offset : self.data.find(b"\0", offset)].decode(errors="replace")

    # Relocations

    @cached_property
    def _relocations(self) -> Array:
        found = [
            self._array(self.sections[name], _RELOCATION)
            for name in self._relocation_sections
            if self.sections[name].address
        ]
        return np.concatenate(found) if found else np.zeros(0, dtype=_RELOCATION)

    @cached_property
    def _relative(self) -> Array:
        found: Array = self._relocations[self._relocations["type"] == _RELATIVE]
        ordered: Array = found[np.argsort(found["offset"])]
        return ordered

    # Who refers to a function (x86-64)

    def references(self, symbols: Mapping[int, str]) -> list[tuple[int, str]]:
        """Addresses of instructions that call, jump to, or take the address of the given dynamic symbols.

        Calls within the object, through the PLT and through the GOT are found by their 32-bit displacements.
        """
        wanted = self._entries(symbols)
        found: set[tuple[int, str]] = set()
        if wanted:
            for section in self.sections.values():
                if section.executable and not section.name.startswith(".plt"):
                    found.update(self._scan(section, wanted))
        return sorted(found)

    def is_call_of(self, address: int, wanted: re.Pattern[bytes]) -> bool:
        """Whether a call of `address` is one of a function whose whole mangled name matches."""
        if wanted not in self._entries_of:
            self._entries_of[wanted] = frozenset(self._entries(self.symbols(wanted)))
        function = self.function_at(address)
        named = function is not None and wanted.fullmatch(function.name.encode()) is not None
        return named or address in self._entries_of[wanted]

    def _entries(self, symbols: Mapping[int, str]) -> dict[int, str]:
        """Addresses that stand for the symbols: definitions, GOT slots, PLT stubs."""
        table = self._table(".dynsym", ".dynstr")
        found = {int(table["value"][index]): name for index, name in symbols.items() if table["section"][index]}
        rows = self._relocations
        kinds = np.isin(rows["type"], (_ABSOLUTE, _GLOB_DAT, _JUMP_SLOT))
        rows = rows[kinds & np.isin(rows["symbol"], list(symbols))]
        slots = {int(row["offset"]): symbols[int(row["symbol"])] for row in rows}
        return found | slots | dict(self._stubs(slots))

    def _stubs(self, slots: Mapping[int, str]) -> Iterator[tuple[int, str]]:
        """PLT stubs (`[endbr64] [bnd] jmp *slot(%rip)`) of the given GOT slots."""
        for section in self.sections.values():
            if section.name.startswith(".plt"):
                area = self.data[section.offset : section.offset + section.size]
                for match in re.finditer(rb"\xff\x25", area):
                    at = match.start()
                    if at + 6 > len(area):
                        break
                    slot = section.address + at + 6 + struct.unpack_from("<i", area, at + 2)[0]
                    if slot in slots:
                        at -= area[at - 1 : at] == b"\xf2"
                        at -= 4 * (area[max(at - 4, 0) : at] == _ENDBR)
                        yield section.address + at, slots[slot]

    def _scan(self, section: Section, wanted: Mapping[int, str]) -> Iterable[tuple[int, str]]:
        """Instructions of a section whose displacement leads to a wanted address."""
        targets = np.array(sorted(wanted), dtype=np.int64)
        for begin in range(0, section.size, _CHUNK):
            size = min(_CHUNK + 8, section.size - begin)
            area = np.frombuffer(self.data[section.offset + begin : section.offset + begin + size], dtype=np.uint8)
            for before, opcodes in _OPERATIONS:
                places = np.nonzero(np.isin(area[: max(size - 6, 0)], opcodes))[0]
                if before == 2:
                    # `ff /2`, `ff /4`, `mov` and `lea` with a rip-relative operand: modrm = 00 reg 101.
                    modrm = area[places + 1]
                    places = places[(modrm & 0xC7) == 0x05]
                last = area[places + before + 3].astype(np.int8).astype(np.int64)
                displacement = last << 24
                for byte in range(3):
                    displacement |= area[places + before + byte].astype(np.int64) << (8 * byte)
                led_to = section.address + begin + places + before + 4 + displacement
                for hit in np.nonzero(np.isin(led_to, targets))[0].tolist():
                    place = section.address + begin + int(places[hit])
                    if place < section.address + begin + _CHUNK:
                        yield place, wanted[int(led_to[hit])]


_OPERATIONS: tuple[tuple[int, list[int]], ...] = ((1, [0xE8, 0xE9]), (2, [0xFF, 0x8B, 0x8D]))
"""Bytes from the opcode to the displacement, and the opcodes: call, jmp; call/jmp *m, mov r,m, lea r,m."""
