"""Network namespaces: enter and list them, find and end the processes in them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

NAMESPACE_FOLDER = Path("/run/netns")
CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
_SIOCGIFFLAGS, _IFF_RUNNING = 0x8913, 0x40
_libc = ctypes.CDLL(None, use_errno=True)
Result = TypeVar("Result")


class LabError(Exception):
    """An operation of the lab failed; the text says what and where."""


def set_namespace(file: Path, kind: int) -> None:
    """Move the calling thread into the namespace of this kind (CLONE_NEW...) that the file stands for."""
    with file.open("rb") as handle:
        if _libc.setns(handle.fileno(), kind) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(file))


def protect(folder: str) -> None:
    """Make a folder of the machine read-only for the calling process, in a mount namespace of its own."""
    bind, remount, read_only, private, recursive = 4096, 32, 1, 1 << 18, 16384  # MS_... of linux/mount.h
    steps = (
        lambda: _libc.unshare(CLONE_NEWNS),
        lambda: _libc.mount(None, b"/", None, private | recursive, None),
        lambda: _libc.mount(folder.encode(), folder.encode(), None, bind, None),
        lambda: _libc.mount(None, folder.encode(), None, bind | remount | read_only, None),
    )
    if any(step() != 0 for step in steps):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), folder)


def in_namespace(namespace: str, function: Callable[[], Result]) -> Result:
    """Call a function in a thread that has entered the namespace, and return its result.

    Only that thread enters; the caller stays in its own namespace. Sockets that the function creates belong to the
    namespace and can be used from anywhere.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def enter_and_call() -> None:
        try:
            set_namespace(NAMESPACE_FOLDER / namespace, CLONE_NEWNET)
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=enter_and_call)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def enter(process: int) -> list[str]:
    """Return the command line prefix that enters the namespaces of a process: network and mount, and PID, UTS and IPC
    if they differ from this process's.
    """
    own = [kind for kind in ("pid", "uts", "ipc") if _inode(process, kind) != _inode("self", kind)]
    return ["nsenter", f"--target={process}", "--net", "--mount", *(f"--{kind}" for kind in own), "--"]


def _inode(process: int | str, kind: str) -> int:
    return Path(f"/proc/{process}/ns/{kind}").stat().st_ino


def existing(prefix: str) -> list[str]:
    """Return the existing namespaces of a lab. Names of hosts have no dash, so `x-2-node1` does not belong to lab `x`."""
    if not NAMESPACE_FOLDER.is_dir():
        return []
    pattern = re.compile(re.escape(prefix) + r"-[a-z]+\d*")
    return sorted(entry.name for entry in NAMESPACE_FOLDER.iterdir() if pattern.fullmatch(entry.name))


def processes_in(namespaces: Iterable[str]) -> list[int]:
    """Return the ids of the processes in these network namespaces."""
    identifiers: set[tuple[int, int]] = set()
    for name in namespaces:
        status = (NAMESPACE_FOLDER / name).stat()
        identifiers.add((status.st_dev, status.st_ino))
    own = Path("/proc/self/ns/net").stat()
    identifiers.discard((own.st_dev, own.st_ino))
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _namespace_of(entry) in identifiers:
            found.append(int(entry.name))
    return found


def _namespace_of(process: Path) -> tuple[int, int] | None:
    try:
        status = (process / "ns/net").stat()
    except OSError:  # the process has ended
        return None
    return status.st_dev, status.st_ino


def end_processes(namespaces: Iterable[str], timeout: float = 5.0) -> None:
    """Kill all processes in these namespaces and wait for their end. timeout: in seconds."""
    names = list(namespaces)
    deadline = time.monotonic() + timeout
    while pids := [pid for pid in processes_in(names) if not has_ended(pid)]:
        if time.monotonic() > deadline:
            raise LabError(f"processes {pids} in the lab's namespaces do not end; inspect them with ps")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def has_ended(pid: int) -> bool:
    """Whether a process is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def delete(namespaces: Iterable[str]) -> None:
    """Kill the processes in these namespaces and delete the namespaces."""
    names = [name for name in namespaces if (NAMESPACE_FOLDER / name).exists()]
    mounted = [name for name in names if os.path.ismount(NAMESPACE_FOLDER / name)]
    end_processes(mounted)
    for name in names:
        done = subprocess.run(["ip", "netns", "del", name], capture_output=True, text=True, check=False)
        if done.returncode != 0 and (NAMESPACE_FOLDER / name).exists():
            raise LabError(f"ip netns del {name}: {done.stderr.strip()}")


def ip_batch(lines: Iterable[str], namespace: str | None = None) -> None:
    """Run `ip` commands as one batch. Raises LabError with the first command that fails."""
    text = "\n".join(lines) + "\n"
    where = ["-n", namespace] if namespace else []
    done = subprocess.run(["ip", *where, "-batch", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        match = re.search(r"Command failed -:(\d+)", done.stderr)
        line = text.splitlines()[int(match.group(1)) - 1] if match else "?"
        raise LabError(f"{namespace or 'host namespace'}: ip {line}: {done.stderr.strip()}")


def links_not_running() -> list[str]:
    """Return the links in the calling thread's namespace that are not in state running."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        found = []
        for _, name in socket.if_nameindex():
            answer = fcntl.ioctl(handle, _SIOCGIFFLAGS, struct.pack("16s240x", name.encode()))
            if not struct.unpack_from("=H", answer, 16)[0] & _IFF_RUNNING:
                found.append(name)
    return found


def write_sysctls(namespace: str, values: dict[str, str | int]) -> None:
    """Set sysctls (keys with slashes) in a namespace and verify each, as some silently stay read-only there."""

    def write() -> None:
        for key, value in values.items():
            path = Path("/proc/sys") / key
            path.write_text(f"{value}\n")
            if path.read_text().split() != str(value).split():
                raise LabError(f"{namespace}: sysctl {key} is {path.read_text().strip()!r} after {value!r} was written")

    in_namespace(namespace, write)
