"""Machine code on disk, shared by processes, in a folder that no other user can write to.

Files in the folder are executed. So the folder is opened once, from the root down, without
following links that others may have made. The open handle is checked, not the path, which may lead
elsewhere a moment later, and all files are used through that handle. If the folder cannot be used,
each process compiles again, and nothing else changes.

A file is named by the key of its content, and begins with a digest of both, so a damaged or renamed
file is not loaded. Each write removes old files: those unused for :data:`MOST_DAYS` days, all but
the :data:`MOST_FILES` used last, and the leftovers of killed writers.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

#: An unused file is removed after this many days.
MOST_DAYS = 90
#: The number of files that are kept, of some 10 kB each.
MOST_FILES = 1000
_DAY = 24 * 3600
#: In seconds: longer than any process takes to write a file.
_WRITING = 3600
_DIGEST = hashlib.sha256().digest_size
_OURS = re.compile(r"[0-9a-f]{64}\.(o|[0-9a-f]{16}\.tmp)")
#: The most links on the way to a folder; Linux has the same limit.
_MOST_LINKS = 40
_UNSAFE_REMEDY = (
    "chmod go-w that folder and those above it, or set ACCELSCHED_CACHE_DIR; until then each "
    "process compiles its machine code anew"
)
# A platform without file owners has no other users to guard against.
_HAS_OWNERS = hasattr(os, "geteuid")
_BY_HANDLE = {os.open, os.mkdir, os.stat, os.unlink, os.rename, os.readlink} <= os.supports_dir_fd
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
# O_PATH needs no permission to list a folder on the way.
_ON_THE_WAY = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
# Without O_NONBLOCK, opening a pipe in place of a file would block.
_READ = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)


def read(key: str) -> bytes | None:
    """Return the content that was written under a key; None if it is missing or damaged.

    Args:
        key: 64 hexadecimal digits.
    """
    with contextlib.suppress(OSError, RuntimeError, UnsafeFolder), _opened() as folder:
        digest_and_content = folder.read(f"{key}.o")
        content = digest_and_content[_DIGEST:]
        if digest_and_content[:_DIGEST] == _digest(key, content):
            return content
    return None


def write(key: str, content: bytes) -> None:
    """Write content under a key atomically, even if other processes write the same key.

    Warns:
        UserWarning: others can write to the folder, so nothing is kept in it.
    """
    try:
        with contextlib.suppress(OSError, RuntimeError), _opened() as folder:
            folder.write(f"{key}.o", _digest(key, content) + content)
            folder.remove_old()
    except UnsafeFolder as error:
        warnings.warn(f"{error}: {_UNSAFE_REMEDY}", UserWarning, stacklevel=2)


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + content).digest()


class UnsafeFolder(Exception):
    """Other users can change the contents of the folder for machine code."""


class _Folder:
    """An open folder, and the files in it.

    Args:
        path: the path of the folder; used only on platforms without folder handles.
        handle: the open folder; None on platforms without folder handles.
    """

    def __init__(self, path: Path, handle: int | None) -> None:
        self._path, self._handle = path, handle

    def _at(self, name: str) -> str:
        return name if self._handle is not None else str(self._path / name)

    def read(self, name: str) -> bytes:
        with os.fdopen(os.open(self._at(name), _READ, dir_fd=self._handle), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or not _is_ours_alone(about):
                raise PermissionError(f"others own or can write to {name}, or it is no file")
            if about.st_mtime < time.time() - _DAY:
                self._mark_as_used(name)
            return file.read()

    def _mark_as_used(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.utime(self._at(name), dir_fd=self._handle)

    def write(self, name: str, content: bytes) -> None:
        unfinished = f"{name.removesuffix('.o')}.{os.urandom(8).hex()}.tmp"
        handle = os.open(self._at(unfinished), _CREATE, 0o600, dir_fd=self._handle)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(
                self._at(unfinished), self._at(name),
                src_dir_fd=self._handle, dst_dir_fd=self._handle,
            )  # fmt: skip
        except BaseException:
            self._remove(unfinished)
            raise

    def remove_old(self) -> None:
        """Remove old files; files that this module did not write stay."""
        now, used = time.time(), {}
        for name in filter(_OURS.fullmatch, self._names()):
            with contextlib.suppress(OSError):
                about = os.stat(self._at(name), dir_fd=self._handle, follow_symlinks=False)
                used[name] = about.st_mtime
        whole = sorted((n for n in used if n.endswith(".o")), key=used.__getitem__, reverse=True)
        old = {name for name in whole if used[name] < now - MOST_DAYS * _DAY}
        old |= {name for name in used.keys() - whole if used[name] < now - _WRITING}
        for name in old.union(whole[MOST_FILES:]):
            self._remove(name)

    def _names(self) -> list[str]:
        if self._handle is None:
            return [path.name for path in self._path.iterdir()]
        # A handle that was opened with O_PATH cannot be listed.
        handle = os.open(".", os.O_RDONLY, dir_fd=self._handle)
        try:
            return os.listdir(handle)  # noqa: PTH208 (a Path is no handle)
        finally:
            os.close(handle)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._at(name), dir_fd=self._handle)


@contextlib.contextmanager
def _opened() -> Iterator[_Folder]:
    """Open the folder for machine code; create it if there is none.

    Raises:
        UnsafeFolder: others own or can write to the folder, or can replace it.
        OSError: the folder cannot be created or opened.
        RuntimeError: the user has no home folder.
    """
    path = _path()
    if not _BY_HANDLE:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield _Folder(path, None)
        return
    handle = _open_from_root(path)
    try:
        if not _is_ours_alone(os.fstat(handle)):
            raise UnsafeFolder(f"others own or can write to {path}")
        yield _Folder(path, handle)
    finally:
        os.close(handle)


def _open_from_root(path: Path) -> int:
    """Return a handle of a folder: open each folder on the way in its parent, and check it."""
    handle = os.open(path.anchor, _ON_THE_WAY)
    names, links = [*reversed(path.parts[1:])], 0
    try:
        while names:
            _require_safe(os.fstat(handle), path)
            name = names.pop()
            target = _target(name, handle)
            if target is None:
                handle = _replaced(handle, _open_or_make(name, handle))
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(f"too many links lead to {path}")
            if target.is_absolute():
                handle = _replaced(handle, os.open(target.anchor, _ON_THE_WAY))
            names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _target(name: str, parent: int) -> Path | None:
    """Return the target of a link; None if it is no link. Raise if another user made the link."""
    try:
        about = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(about.st_mode):
        return None
    if not _is_trusted(about.st_uid):
        raise UnsafeFolder(f"the link {name} belongs to another user")
    return Path(os.readlink(name, dir_fd=parent))


def _open_or_make(name: str, parent: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.open(name, _ON_THE_WAY, dir_fd=parent)
    with contextlib.suppress(FileExistsError):  # another process was faster
        os.mkdir(name, 0o700, dir_fd=parent)
    return os.open(name, _ON_THE_WAY, dir_fd=parent)


def _replaced(handle: int, by: int) -> int:
    os.close(handle)
    return by


def _require_safe(about: os.stat_result, path: Path) -> None:
    """Raise if other users can replace the entries of a folder."""
    keeps = not about.st_mode & 0o022 or about.st_mode & stat.S_ISVTX
    if not (keeps and _is_trusted(about.st_uid)):
        raise UnsafeFolder(f"others can replace {path}")


def _is_trusted(owner: int) -> bool:
    return owner in (0, os.geteuid())


def _is_ours_alone(about: os.stat_result) -> bool:
    """Return whether only this user can write to a file or folder, and owns it."""
    return not _HAS_OWNERS or (about.st_uid == os.geteuid() and not about.st_mode & 0o022)


def _path() -> Path:
    given = os.environ.get("ACCELSCHED_CACHE_DIR")
    return (Path(given) if given else _user_cache() / "accelsched").absolute()


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    # The XDG specification says to ignore a path that is not absolute.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".cache"
