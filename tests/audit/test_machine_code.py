"""The reader of machine code, on shared objects compiled here: every way a compiler hands a literal over."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from opscan.audit import AuditError, read_signs

COMPILER = shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here")

# `View` is how torch handed the literal over: by hidden reference while c10::string_view had a copy constructor of
# its own, later in registers, pointer first (c10) or length first (std); and a plain pointer.
SOURCE = """
#include <cstddef>
#ifdef STD
#include <string_view>
#endif
namespace c10 {
template <class C> struct basic_string_view {
  const C* pointer; std::size_t length;
#ifdef LOOP
  basic_string_view(const C* text) : pointer(text) {  // as GCC 9 compiled it for torch 2.4.1
    const C* end;
    asm("mov %1, %0\\n jmp 2f\\n 1: movzbl 1(%0), %%edx\\n 2: add $1, %0\\n test %%dl, %%dl\\n jne 1b\\n sub %1, %0"
        : "=&a"(end) : "r"(text), "d"(*text) : "cc");
    length = reinterpret_cast<std::size_t>(end);
  }
#else
  constexpr basic_string_view(const C* text) : pointer(text), length(__builtin_strlen(text)) {}
#endif
#if defined(BY_REFERENCE) || defined(LOOP)
  constexpr basic_string_view(const basic_string_view& o) : pointer(o.pointer), length(o.length) {}
#endif
};
}
#if defined(STD)
using View = std::string_view;
#elif defined(POINTER)
using View = const char*;
#else
using View = c10::basic_string_view<char>;
#endif
namespace at {
struct Context {
  static void alertNotDeterministic(View caller);
  bool deterministicAlgorithms() const;
  bool deterministicFillUninitializedMemory() const;
};
extern Context context;
}
extern "C" int rest(int);
#ifdef DEFINES
namespace at {
Context context;
__attribute__((noinline)) void Context::alertNotDeterministic(View) { asm volatile(""); }
__attribute__((noinline)) bool Context::deterministicAlgorithms() const { asm volatile(""); return true; }
__attribute__((noinline)) bool Context::deterministicFillUninitializedMemory() const { asm volatile(""); return true; }
}
extern "C" int rest(int x) { return x; }
#endif
namespace at::native {
namespace {
template <class T> int twice(T x) {
  if (context.deterministicAlgorithms()) return rest(1);
  at::Context::alertNotDeterministic("twice with a longer literal");
  return rest(x) * 2;
}
}
int plain(int x) { at::Context::alertNotDeterministic("plain_cuda"); return rest(x); }
int late(int x) {
  for (int i = 0; i < x; ++i) { if (rest(i) == 3) return i; }
  if (x > 7) { at::Context::alertNotDeterministic("late CUDA with indices output"); }
  else { at::Context::alertNotDeterministic("other_cpu"); }
  return rest(x) + 1;
}
#define SIX_TIMES(step) step step step step step step
int framed(int x) {  // an alert behind a return that pops rbp, far from the start of a function that needs rbp
  int a = rest(x), b = rest(a), c = rest(b), d = rest(c);
  SIX_TIMES(SIX_TIMES(SIX_TIMES(d = rest(d);)))
  char* area = static_cast<char*>(__builtin_alloca(x + 1));
  area[x] = rest(x);
  if (__builtin_expect(a == 3, 0)) {
    at::Context::alertNotDeterministic("framed_cuda");
    return rest(area[a] + b);
  }
  return rest(area[x] + a + b + c + d);
}
int other(int x) { return twice(x); }
int fills() { return [] { return context.deterministicFillUninitializedMemory() ? rest(0) : 4; }(); }
int forwards(const char* text) { at::Context::alertNotDeterministic(View(text)); return rest(5); }
int silent(int x) { return rest(x) + rest(2); }
}
"""

ALERTS = {"plain_cuda", "framed_cuda", "late CUDA with indices output", "other_cpu", "twice with a longer literal"}


def build(folder: Path, *flags: str, name: str = "libtorch_cpu.so") -> Path:
    """A folder that looks like an installed torch, with one compiled library; the folder's path."""
    library = folder / "torch" / "lib"
    library.mkdir(parents=True, exist_ok=True)
    (folder / "torch" / "version.py").write_text("__version__ = '2.9.1+cpu'\ncuda = None\n")
    source = folder / "source.cpp"
    source.write_text(SOURCE)
    assert COMPILER is not None
    command = [COMPILER, "-std=c++17", "-shared", "-fPIC", *flags, f"-Wl,-soname,{name}", str(source)]
    subprocess.run([*command, "-o", str(library / name)], check=True, capture_output=True)
    return folder / "torch"


def decoded(torch: Path) -> frozenset[str]:
    """The alerts; one of the calls hands on what it was given, and is shown as not decoded."""
    alerts = read_signs(torch).names("alert")
    unknown = {name for name in alerts if name.startswith("(not decoded: call at 0x")}
    assert len(unknown) == 1
    assert "forwards" in next(iter(unknown))
    return alerts - unknown


@needs_compiler
@pytest.mark.parametrize("defined", ["-DDEFINES", "-UDEFINES"], ids=["called inside", "imported"])
@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3"])
@pytest.mark.parametrize(
    "flavour",
    ["-DBY_REFERENCE", "-DLOOP", "-DREGISTERS", "-DSTD", "-DPOINTER"],
    ids=[
        "c10 by reference",
        "c10 by reference, length by a loop",
        "c10 in registers",
        "std::string_view",
        "const char*",
    ],
)
def test_literals_are_decoded(flavour: str, level: str, defined: str, tmp_path: Path) -> None:
    assert decoded(build(tmp_path, flavour, level, defined)) == ALERTS


@needs_compiler
@pytest.mark.parametrize("flags", [("-fno-plt",), ("-fcf-protection=full", "-Wl,-z,ibtplt"), ("-Wl,-z,now",)], ids=str)
def test_every_way_to_call_is_seen(flags: tuple[str, ...], tmp_path: Path) -> None:
    assert decoded(build(tmp_path, "-O2", "-DREGISTERS", *flags)) == ALERTS


@needs_compiler
@pytest.mark.parametrize("level", ["-O1", "-O2"])
def test_readers_of_a_flag_go_by_their_qualified_names(level: str, tmp_path: Path) -> None:
    readers = read_signs(build(tmp_path, level, "-fno-inline")).names("branch")
    assert readers == {"at::native::twice", "at::native::fills"}


@needs_compiler
def test_a_stripped_library_still_shows_its_alerts(tmp_path: Path) -> None:
    torch = build(tmp_path, "-O2", "-DREGISTERS", "-fvisibility=hidden", "-s")
    assert {name for name in read_signs(torch).names("alert") if not name.startswith("(")} == ALERTS


@needs_compiler
def test_a_wheel_shows_what_its_folder_shows(tmp_path: Path) -> None:
    torch = build(tmp_path, "-O2")
    wheel = tmp_path / "torch-2.9.1-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in torch.rglob("*"):
            archive.write(path, path.relative_to(tmp_path).as_posix())
    packed, installed = read_signs(wheel), read_signs(torch)
    assert str(packed.torch) == "2.9.1"
    assert packed.found == installed.found
    assert packed.found[0].where == ("torch/lib/libtorch_cpu.so",)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: folder / "absent", "no such file or folder"),
        (lambda folder: folder, "no Python package"),
        (lambda folder: _write(folder / "x.whl", b"not a zip"), "not a wheel"),
        (lambda folder: _write(folder / "package" / "m.py", b"x = 1").parents[1], "which torch"),
    ],
    ids=["absent", "empty folder", "no archive", "no torch"],
)
def test_what_cannot_be_read_says_so(prepare, words: str, tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=words) as error:
        read_signs(prepare(tmp_path))
    assert error.value.hint


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_library_that_is_missing_is_named_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    with pytest.raises(AuditError, match="capstone") as error:
        read_signs(tmp_path)
    assert 'pip install "opscan[audit]"' in error.value.hint


@needs_compiler
def test_machine_code_of_another_processor_is_refused_not_skipped(tmp_path: Path) -> None:
    torch = build(tmp_path, "-O2")
    library = torch / "lib" / "libtorch_cpu.so"
    content = bytearray(library.read_bytes())
    content[18:20] = (183).to_bytes(2, "little")  # e_machine: EM_AARCH64
    library.write_bytes(content)
    with pytest.raises(AuditError, match="aarch64") as error:
        read_signs(torch)
    assert "x86_64" in error.value.hint


@needs_compiler
def test_files_that_only_look_like_libraries_are_passed_over(tmp_path: Path) -> None:
    torch = build(tmp_path, "-O2", "-DREGISTERS")
    (torch / "lib" / "libtorch_text.so").write_bytes(b"INPUT(libtorch_cpu.so libc10.so)\n")
    (torch / "lib" / "libtorch_empty.so").write_bytes(b"")
    assert decoded(torch) == ALERTS
