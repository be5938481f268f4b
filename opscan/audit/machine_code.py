"""The text a call hands over: constants followed through the x86-64 instructions before it.

Needs capstone (`pip install "opscan[audit]"`).
"""

from __future__ import annotations

import re
from typing import Any

import capstone
from capstone import x86_const as x86

from opscan.audit.elf import Function, SharedObject

_WINDOWS = (60, 400)
_BEFORE_CALL = 512
"""Bytes read before a call where no symbol says where its function begins."""
_LONGEST_TEXT = 300
_VIEW_OF_TEXT = re.compile(rb"_ZN(St17|3c1017)basic_string_viewIc(St11char_traitsIcE)?EC[12]EPKc")
_LEAVES = (x86.X86_INS_RET, x86.X86_INS_JMP)
_CALLER_SAVED = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")

Value = int | tuple[str, int] | None
"""What a register or a stack cell holds: a constant, an address relative to a register's first value, or unknown."""
Pair = tuple[Value, Value]
_Known = tuple[dict[str, Value], dict[str, Pair], dict[tuple[str, int], Value]]
"""Registers, vector registers and stack cells."""
_FRAME: _Known = ({"rsp": ("rsp", 0), "rbp": ("rbp", 0)}, {}, {})


def text_argument(so: SharedObject, call: int, function: Function | None) -> str | None:
    """The literal that the call at address `call` passes as its first argument, None when it cannot be told.

    Understood: `std::string_view` and `c10::string_view` in two registers, `c10::string_view` on the stack by
    hidden reference, and `const char*`; the length as a constant or, in code of GCC 9, as a loop up to the NUL.
    """
    start = function.start if function else max(call - _BEFORE_CALL, so.start_of_code(call))
    before = _instructions(so, start, call)
    for window in _WINDOWS:
        state = _State(so)
        for instruction in before[-window:]:
            state.step(instruction)
        if (text := state.text()) is not None:
            return text
    return None


def _instructions(so: SharedObject, start: int, end: int) -> list[Any]:
    """The instructions from `start` up to the one at `end`; a start inside an instruction is mended."""
    reader = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    reader.detail, reader.skipdata = True, True
    for shift in range(16):
        found = list(reader.disasm(so.read(start + shift, end - start - shift), start + shift))
        if found and found[-1].address + found[-1].size == end:
            return found
    return []


class _State:
    """Registers and stack while constants are followed in the order of the code.

    What stands behind a `ret` or a `jmp` is not reached from there. Nothing is known there but that it has a frame (a
    return in the middle of a function pops rbp; the code below still uses it), up to the first place that a jump
    seen before leads to: from there on holds what held at that jump. Where two ways meet, the one that falls through
    is followed.
    """

    def __init__(self, so: SharedObject) -> None:
        self.so = so
        self.at_target: dict[int, _Known] = {}
        self.continue_from(_FRAME)
        self.reached = True

    def continue_from(self, known: _Known) -> None:
        """Go on with what is known at another place."""
        registers, vectors, stack = known
        self.registers: dict[str, Value] = dict(registers)
        self.vectors: dict[str, Pair] = dict(vectors)
        self.stack: dict[tuple[str, int], Value] = dict(stack)

    def text(self) -> str | None:
        """The text at the first argument."""
        first, second = self.registers.get("rdi"), self.registers.get("rsi")
        if isinstance(first, tuple):
            first, second = self.load(first), self.load(_moved(first, 8))
        for pointer, length in ((first, second), (second, first)):
            if isinstance(pointer, int) and isinstance(length, int) and 1 < length < _LONGEST_TEXT:
                found = self.so.read(pointer, length)
                if len(found) == length and all(32 <= letter < 127 for letter in found):
                    return found.decode()
        return self.so.text_at(first, _LONGEST_TEXT) if isinstance(first, int) else None

    def load(self, address: Value) -> Value:
        if isinstance(address, tuple):
            return self.stack.get(address)
        return self.so.pointer_at(address) if address is not None else None

    def address(self, instruction: Any, operand: Any) -> Value:
        memory = operand.mem
        if memory.base == x86.X86_REG_RIP:
            return int(instruction.address + instruction.size + memory.disp)
        if memory.index or not memory.base:
            return None
        return _moved(self.registers.get(_wide(instruction, memory.base)), memory.disp)

    def read(self, instruction: Any, operand: Any) -> Pair:
        """An operand as two eight-byte values."""
        if operand.type == x86.X86_OP_IMM:
            return operand.imm, None
        if operand.type == x86.X86_OP_MEM:
            address = self.address(instruction, operand)
            if operand.size == 8:
                return self.load(address), 0
            return (self.load(address), self.load(_moved(address, 8))) if operand.size == 16 else (None, None)
        name = _wide(instruction, operand.reg)
        return self.vectors.get(name, (None, None)) if "mm" in name else (self.registers.get(name), 0)

    def write(self, instruction: Any, operand: Any, value: Pair) -> None:
        if operand.type == x86.X86_OP_MEM:
            address = self.address(instruction, operand)
            if isinstance(address, tuple):
                self.stack[address] = value[0] if operand.size >= 8 else None
                if operand.size == 16:
                    self.stack[address[0], address[1] + 8] = value[1]
        elif operand.type == x86.X86_OP_REG:
            name = _wide(instruction, operand.reg)
            if "mm" in name:
                self.vectors[name] = value
            else:
                self.registers[name] = value[0]

    def step(self, instruction: Any) -> None:
        if instruction.id == 0:
            return
        if not self.reached and (known := self.at_target.get(instruction.address)) is not None:
            self.continue_from(known)
            self.reached = True
        word, operands = instruction.mnemonic.removeprefix("v"), instruction.operands
        if instruction.group(x86.X86_GRP_JUMP) and operands[0].type == x86.X86_OP_IMM:
            self.at_target.setdefault(operands[0].imm, (dict(self.registers), dict(self.vectors), dict(self.stack)))
        match word, operands:
            case _ if instruction.id in _LEAVES:
                self.continue_from(_FRAME)
                self.reached = False
            case "call", [target]:
                if target.type == x86.X86_OP_IMM and self.so.is_call_of(target.imm, _VIEW_OF_TEXT):
                    self.view_text()
                self.registers |= dict.fromkeys(_CALLER_SAVED)
                self.vectors.clear()
            case "push", [source]:
                self.shift_stack(-8)
                self.stack[self.top()] = self.read(instruction, source)[0]
            case "pop", [target]:
                self.write(instruction, target, (self.load(self.top()), 0))
                self.shift_stack(8)
            case "lea", [target, source]:
                self.write(instruction, target, (self.address(instruction, source), 0))
            case "xor" | "pxor" | "xorps", [target, *_, source] if target.reg == source.reg:
                self.write(instruction, target, (0, 0))
            case "add" | "sub", [target, source] if source.type == x86.X86_OP_IMM:
                by = source.imm if word == "add" else -source.imm
                self.write(instruction, target, (_moved(self.read(instruction, target)[0], by), None))
            case "movhps" | "movhpd" | "pinsrq" | "punpcklqdq", [target, *_] if target.type == x86.X86_OP_REG:
                given = [each for each in operands[1:] if each.type != x86.X86_OP_IMM]
                low = self.read(instruction, given[0] if len(given) == 2 else target)[0]
                self.write(instruction, target, (low, self.read(instruction, given[-1])[0]))
            case _, [target, source] if word.startswith("mov") and word not in ("movzx", "movsx", "movsxd"):
                self.write(instruction, target, self.read(instruction, source))
            case _ if word not in ("cmp", "test"):
                for operand in operands[:1]:
                    self.write(instruction, operand, (None, None))

    def view_text(self) -> None:
        """The constructor of a view, where it is called and not inlined: `this` is rdi, the text rsi."""
        this, text = self.registers.get("rdi"), self.registers.get("rsi")
        if isinstance(this, tuple) and isinstance(text, int) and (found := self.so.text_at(text)) is not None:
            self.stack[this], self.stack[this[0], this[1] + 8] = text, len(found)

    def top(self) -> tuple[str, int]:
        top = self.registers["rsp"]
        return top if isinstance(top, tuple) else ("lost", 0)

    def shift_stack(self, by: int) -> None:
        self.registers["rsp"] = _moved(self.top(), by)


def _moved(value: Value, by: int) -> Value:
    match value:
        case int():
            return value + by
        case (base, offset):
            return base, offset + by
    return None


_PARTS = {f"{letter}{part}": f"r{letter}x" for letter in "abcd" for part in ("l", "h", "x")}
_PARTS |= {f"{name}{part}": f"r{name}" for name in ("si", "di", "bp", "sp") for part in ("", "l")}


def _wide(instruction: Any, register: int) -> str:
    """The whole register that a register is a part of: eax, ax, al -> rax; ymm0 -> xmm0."""
    name = str(instruction.reg_name(register))
    if name[0] == "r" and name[1].isdigit():
        return name.rstrip("dwb")
    if name[0] in "yz":
        return "x" + name[1:]
    return "r" + name[1:] if name[0] == "e" else _PARTS.get(name, name)
