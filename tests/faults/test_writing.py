"""One function writes every file: whole, in place of the old one, or not at all, and it says what was in the way."""

from __future__ import annotations

import os
import resource
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from opscan import writing
from opscan.errors import OutputError
from opscan.writing import check_writable, make_folder, write_bytes, write_text
from tests.conftest import run_process

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the faults are those of POSIX")
OLD, NEW = b"what was there before\n", b"new " * 50_000
UNWRITABLE = Path("/sys/report.html")
"""sysfs makes no files, not even for root, whom the mode of a folder does not stop."""


@contextmanager
def little_room(size: int) -> Iterator[None]:
    """No file may become larger than this; Python ignores SIGXFSZ, so that writing fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def a_folder(place: Path) -> Path:
    (place / "there").mkdir()
    return place / "there"


def a_loop(place: Path) -> Path:
    (place / "one").symlink_to("two")
    (place / "two").symlink_to("one")
    return place / "one"


def a_closed_folder(place: Path) -> Path:
    if os.geteuid() == 0:
        return UNWRITABLE
    (place / "closed").mkdir(mode=0o500)
    return place / "closed" / "report.html"


IN_THE_WAY = [
    pytest.param(a_folder, "Is a directory\n  A folder has that name", id="a folder"),
    pytest.param(lambda place: place / "no" / "such" / "a.html", "/no/such: make it first", id="no parent"),
    pytest.param(lambda place: place / ("n" * 300), "File name too long\n  Give it a shorter", id="a long name"),
    pytest.param(lambda place: place / "old" / "a.html", "Not a directory\n  Name another file", id="a file's child"),
    pytest.param(a_loop, "Too many levels of symbolic links\n  Name another", id="links in a circle"),
    pytest.param(a_closed_folder, "Permission denied\n  Name a file in a folder", id="a folder that takes no files"),
    pytest.param(lambda place: Path("a\0b"), "embedded null byte\n  Name another file", id="no name at all"),
]


@pytest.mark.parametrize(("path_in", "words"), IN_THE_WAY)
@pytest.mark.parametrize("write", [lambda path: write_bytes(path, NEW), check_writable], ids=["write", "before"])
def test_what_is_in_the_way_is_said_with_what_to_do(
    tmp_path: Path, path_in: Callable[[Path], Path], words: str, write: Callable[[Path], None]
) -> None:
    (tmp_path / "old").write_bytes(OLD)
    path = path_in(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write(path)
    assert words in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "old").read_bytes() == OLD


@pytest.mark.parametrize("size", [0, 1, 4096, len(NEW) - 1])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, size: int) -> None:
    (tmp_path / "old").write_bytes(OLD)
    with little_room(size), pytest.raises(OutputError, match="What was there before is unchanged"):
        write_bytes(tmp_path / "old", NEW)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("old", OLD)]


def test_a_device_that_is_full_is_told() -> None:
    with pytest.raises(OutputError, match=r"/dev/full: cannot be written: No space left on device\n  Make room"):
        write_bytes(Path("/dev/full"), NEW)


def test_nothing_is_written_to_see_whether_it_could_be(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(OLD)
    for name in ("old", "new"):
        check_writable(tmp_path / name)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("old", OLD)]


def test_mode_owner_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    old = tmp_path / "inner" / "old"
    old.write_bytes(OLD)
    old.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(old, 12, 34)
    (tmp_path / "link").symlink_to("inner/old")
    (tmp_path / "dangling").symlink_to("inner/new")
    before = old.stat()
    for name in ("link", "dangling"):
        write_bytes(tmp_path / name, NEW)
        assert (tmp_path / name).is_symlink()
    assert old.read_bytes() == (tmp_path / "inner" / "new").read_bytes() == NEW
    assert (old.stat().st_mode, old.stat().st_uid, old.stat().st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert sorted(each.name for each in old.parent.iterdir()) == ["new", "old"]


def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert (tmp_path / "new").read_bytes() == b"text\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any file")
def test_a_file_that_is_write_protected_stays(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "old").chmod(0o400)
    with pytest.raises(OutputError, match="Permission denied"):
        write_bytes(tmp_path / "old", NEW)
    assert (tmp_path / "old").read_bytes() == OLD


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    write_bytes(fifo, NEW)
    reader.join(10)
    assert read == [NEW]
    assert fifo.is_fifo()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_stdout_by_its_name_is_where_the_rest_goes_too(tmp_path: Path, name: str) -> None:
    code = f"import sys; from opscan.writing import *; print('before'); write_text({name!r}, 'text'); print('after')"
    out = tmp_path / "out"
    run_process("sh", "-c", 'exec "$0" -c "$1" > "$2"', sys.executable, code, str(out), cwd=Path.cwd())
    assert out.read_text() == "before\ntext\nafter\n"


def test_two_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    texts = [bytes([letter]) * 100_000 for letter in b"abcd"]
    writers = [
        threading.Thread(target=lambda text=text: [write_bytes(tmp_path / "one", text) for _ in range(20)])
        for text in texts
    ]
    for each in writers:
        each.start()
    seen = set()
    while any(each.is_alive() for each in writers):
        if (tmp_path / "one").exists():
            seen.add((tmp_path / "one").read_bytes())
    assert seen <= set(texts)
    assert [each.name for each in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_line_leaves_the_old_file_or_the_new_one(tmp_path: Path, number: signal.Signals) -> None:
    class Asked(BaseException):
        pass

    def ask(*_: object) -> None:
        raise Asked

    path, seen, lines = tmp_path / "one", set(), 0
    before = signal.signal(number, ask)
    try:
        for at in range(1, 200):
            path.write_bytes(OLD)
            count = _with_signal_at(at, number, lambda: write_bytes(path, NEW), Asked)
            (left,) = tmp_path.iterdir()
            assert left.read_bytes() in (OLD, NEW)
            seen.add(left.read_bytes())
            assert signal.getsignal(number) is ask
            lines = max(lines, count)
            if count < at:
                break
    finally:
        signal.signal(number, before)
    assert seen == {OLD, NEW}
    assert lines > 20


def _with_signal_at(at: int, number: int, call: Callable[[], None], asked: type[BaseException]) -> int:
    """Call with a signal at the line of writing.py that comes at this number; how many lines came."""
    count = 0

    def traced(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != writing.__file__:
            return None
        if event == "line":
            count += 1
            if count == at:
                signal.raise_signal(number)
        return traced

    sys.settrace(traced)
    try:
        call()
    except asked:
        pass
    finally:
        sys.settrace(None)
    return count


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(OLD)
    with pytest.raises(OutputError, match="cannot be made: Not a directory"):
        make_folder(tmp_path / "old" / "inner")
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
