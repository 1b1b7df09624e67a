"""Machine code on disk: which files are trusted and loaded, and which are removed."""

import os
import stat
import sys
import time

import pytest

from accelsched.kernels import disk_cache, jit

KEY, OTHER = "a" * 64, "b" * 64
DAY = 24 * 3600

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has neither links nor owners")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the folder of machine code, two levels below a folder that only this user can use."""
    tmp_path.chmod(0o700)
    path = tmp_path / "parent" / "cache"
    path.mkdir(parents=True, mode=0o700)
    path.parent.chmod(0o700)
    monkeypatch.setenv("ACCELSCHED_CACHE_DIR", str(path))
    return path


def another(folder, content):
    """Make a folder with other content under the same key, as another user might."""
    path = folder.parent.parent / "another"
    path.mkdir(mode=0o700)
    (path / f"{KEY}.o").write_bytes(disk_cache._digest(KEY, content) + content)
    return path


def test_what_is_written_is_read(folder):
    assert disk_cache.read(KEY) is None
    disk_cache.write(KEY, b"one")
    disk_cache.write(OTHER, b"other")
    disk_cache.write(KEY, b"two")
    assert (disk_cache.read(KEY), disk_cache.read(OTHER)) == (b"two", b"other")
    assert sorted(path.name for path in folder.iterdir()) == [f"{KEY}.o", f"{OTHER}.o"]


def test_a_folder_is_made_with_those_above_it_for_this_user_alone(folder, monkeypatch):
    deep = folder / "x" / "y"
    monkeypatch.setenv("ACCELSCHED_CACHE_DIR", str(deep))
    disk_cache.write(KEY, b"content")
    assert disk_cache.read(KEY) == b"content"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (deep, deep.parent)} == {0o700}


def test_a_platform_without_handles_of_folders_uses_paths(folder, monkeypatch):
    monkeypatch.setattr(disk_cache, "_BY_HANDLE", False)
    test_what_is_written_is_read(folder)
    os.utime(folder / f"{OTHER}.o", (0, 0))
    disk_cache.write(KEY, b"three")
    assert disk_cache.read(OTHER) is None


# Something else at the path of a file.


def test_a_file_under_another_key_is_not_loaded(folder):
    disk_cache.write(KEY, b"content")
    (folder / f"{KEY}.o").rename(folder / f"{OTHER}.o")
    assert disk_cache.read(OTHER) is None


def a_pipe(path):
    os.mkfifo(path, 0o600)


def a_link_to_a_file(path):
    path.with_suffix(".real").write_bytes(disk_cache._digest(KEY, b"linked") + b"linked")
    path.symlink_to(path.with_suffix(".real"))


def a_file_that_others_may_write_to(path):
    path.write_bytes(disk_cache._digest(KEY, b"theirs") + b"theirs")
    path.chmod(0o666)


@pytest.mark.parametrize("make", [a_pipe, a_link_to_a_file, a_file_that_others_may_write_to])
def test_what_is_no_file_of_this_user_alone_is_not_read_and_is_replaced(folder, make):
    make(folder / f"{KEY}.o")
    assert disk_cache.read(KEY) is None
    disk_cache.write(KEY, b"content")
    assert disk_cache.read(KEY) == b"content"


def test_a_folder_in_the_place_of_a_file_costs_time_only(folder):
    (folder / f"{KEY}.o").mkdir()
    disk_cache.write(KEY, b"content")
    assert disk_cache.read(KEY) is None
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.o"]


# Folders that another user made or may replace.


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(folder, mode):
    disk_cache.write(KEY, b"content")
    folder.chmod(mode)
    assert disk_cache.read(KEY) is None
    with pytest.warns(UserWarning, match="chmod go-w that folder"):
        disk_cache.write(OTHER, b"content")
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.o"]


@pytest.mark.parametrize(("mode", "used"), [(0o777, False), (0o770, False), (0o1777, True)])
def test_nor_is_one_that_others_may_exchange(folder, mode, used):
    disk_cache.write(KEY, b"content")
    folder.parent.chmod(mode)
    assert disk_cache.read(KEY) == (b"content" if used else None)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give")
@pytest.mark.parametrize("which", ["folder", "parent", "link", "file"])
def test_what_is_another_users_is_not_used(folder, monkeypatch, which):
    disk_cache.write(KEY, b"content")
    link = folder.parent / "link"
    link.symlink_to(folder)
    folder.parent.chmod(0o1777)
    monkeypatch.setenv("ACCELSCHED_CACHE_DIR", str(link))
    assert disk_cache.read(KEY) == b"content"
    given = {"folder": folder, "parent": folder.parent, "link": link, "file": folder / f"{KEY}.o"}
    os.chown(given[which], 12345, 12345, follow_symlinks=False)
    assert disk_cache.read(KEY) is None


@pytest.mark.parametrize("target", ["{absolute}", "parent/../parent/cache", "second"])
def test_links_of_this_user_are_followed(folder, monkeypatch, target):
    disk_cache.write(KEY, b"content")
    (folder.parent.parent / "second").symlink_to("parent/cache")
    link = folder.parent.parent / "link"
    link.symlink_to(target.format(absolute=folder))
    monkeypatch.setenv("ACCELSCHED_CACHE_DIR", str(link))
    assert disk_cache.read(KEY) == b"content"


def test_links_in_a_circle_are_followed_no_further(folder, monkeypatch):
    link = folder.parent / "link"
    link.symlink_to("link")
    monkeypatch.setenv("ACCELSCHED_CACHE_DIR", str(link))
    assert disk_cache.read(KEY) is None


def test_a_link_that_comes_after_the_look_for_one_is_not_followed(folder, monkeypatch):
    theirs, looked = another(folder, b"theirs"), disk_cache._target

    def exchanged(name, parent):
        target = looked(name, parent)
        if name == folder.name:
            folder.rename(folder.with_name("moved"))
            folder.symlink_to(theirs)
        return target

    monkeypatch.setattr(disk_cache, "_target", exchanged)
    assert disk_cache.read(KEY) is None
    assert folder.is_symlink()


def test_a_folder_that_is_exchanged_after_the_check_is_not_read(folder, monkeypatch):
    disk_cache.write(KEY, b"ours")
    theirs, checked = another(folder, b"theirs"), disk_cache._is_ours_alone

    def exchanged(about):
        if stat.S_ISDIR(about.st_mode) and theirs.exists():
            folder.rename(folder.with_name("moved"))
            theirs.rename(folder)
        return checked(about)

    monkeypatch.setattr(disk_cache, "_is_ours_alone", exchanged)
    assert disk_cache.read(KEY) == b"ours"
    assert (folder / f"{KEY}.o").read_bytes().endswith(b"theirs")


def test_nor_is_one_exchanged_in_a_folder_above_it(folder, monkeypatch):
    disk_cache.write(KEY, b"ours")
    theirs, opened = another(folder, b"theirs"), disk_cache._open_or_make

    def exchanged(name, parent):
        if name == folder.name and theirs.exists():  # its parent is already open
            folder.parent.rename(folder.parent.with_name("moved"))
            folder.parent.mkdir()
            theirs.rename(folder)
        return opened(name, parent)

    monkeypatch.setattr(disk_cache, "_open_or_make", exchanged)
    assert disk_cache.read(KEY) == b"ours"


# The location.


def test_a_relative_folder_of_the_xdg_specification_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("ACCELSCHED_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("cache", "./cache", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert disk_cache._path() == tmp_path / ".cache" / "accelsched"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "given"))
    assert disk_cache._path() == tmp_path / "given" / "accelsched"


# Removal of old files.


def test_what_killed_writers_left_behind_is_removed_when_it_is_old(folder):
    old, young = (folder / f"{KEY}.{digit * 16}.tmp" for digit in "01")
    for path, age in ((old, 2 * 3600), (young, 60)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    disk_cache.write(OTHER, b"content")
    assert {path.name for path in folder.iterdir()} == {young.name, f"{OTHER}.o"}


def test_what_is_not_used_for_long_is_removed_and_what_is_used_is_not(folder):
    stranger = folder / "notes.txt"
    stranger.write_text("")
    keys = [f"{i:064x}" for i in range(3)]
    ages = [disk_cache.MOST_DAYS + 1, disk_cache.MOST_DAYS - 1, disk_cache.MOST_DAYS + 1]
    for key in keys:
        disk_cache.write(key, b"content")
    for key, age in zip(keys, ages, strict=True):
        os.utime(folder / f"{key}.o", (time.time() - age * DAY,) * 2)
    os.utime(stranger, (0, 0))
    assert disk_cache.read(keys[0]) == b"content"  # used again
    disk_cache.write(OTHER, b"content")
    left = {path.name for path in folder.iterdir()}
    assert left == {f"{keys[0]}.o", f"{keys[1]}.o", f"{OTHER}.o", stranger.name}


def test_of_more_files_than_are_kept_those_used_last_stay(folder, monkeypatch):
    monkeypatch.setattr(disk_cache, "MOST_FILES", 3)
    keys = [f"{i:064x}" for i in range(5)]
    for key in keys:
        (folder / f"{key}.o").write_bytes(b"")
    for age, key in enumerate(keys):
        os.utime(folder / f"{key}.o", (time.time() - 100 + age,) * 2)
    disk_cache.write(OTHER, b"content")
    assert {path.stem for path in folder.iterdir()} == {*keys[3:], OTHER}


# Loading.

SOURCE = "def kernel(wholes, frame):\n    return wholes[0] + 1\n"


def test_what_does_not_load_is_compiled_again(folder, monkeypatch):
    """The files have the right digest but no valid machine code; LLVM crashes on some."""
    monkeypatch.setattr(jit, "CODES", {})
    jit.compiled(SOURCE)
    key = jit._key(SOURCE)
    whole = disk_cache.read(key)
    assert jit._loaded(whole) is not None
    no_kernel = whole.replace(b"kernel", b"column")
    for content in (
        b"", b"\n", b"sin\n", b"\xff\n", b"garbage" * 99, b"\n" + b"garbage" * 99, whole[:-100],
        b"system" + whole, whole[:200], b"\n\x7fELF" + bytes(999), no_kernel,
    ):  # fmt: skip
        assert jit._loaded(content) is None, content[:20]
    disk_cache.write(key, b"\ngarbage")
    monkeypatch.setattr(jit, "CODES", {})
    assert jit.compiled(SOURCE) is jit.compiled(SOURCE)
    assert jit._loaded(disk_cache.read(key)) is not None
