"""Network namespaces: enter them, name them, find and end what lives in them."""

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
CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _IFF_RUNNING = 0x8913, 0x40
_libc = ctypes.CDLL(None, use_errno=True)
Result = TypeVar("Result")


class LabError(Exception):
    """Something the lab was asked to do failed; the text says what and where."""


def in_namespace(namespace: str, function: Callable[[], Result]) -> Result:
    """Call the function in a thread that has entered the namespace, and give back its result.

    The namespace belongs to the thread alone, which ends with the call: the caller never moves. Sockets made by the
    function stay in the namespace and can be used from anywhere.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def enter_and_call() -> None:
        try:
            with (NAMESPACE_FOLDER / namespace).open("rb") as handle:
                if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code), namespace)
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=enter_and_call)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def existing(prefix: str) -> list[str]:
    """Names of the lab's namespaces that exist. A host's name has no dash, so `x-2-node1` is not one of lab `x`."""
    if not NAMESPACE_FOLDER.is_dir():
        return []
    pattern = re.compile(re.escape(prefix) + r"-[a-z]+\d*")
    return sorted(entry.name for entry in NAMESPACE_FOLDER.iterdir() if pattern.fullmatch(entry.name))


def processes_in(namespaces: Iterable[str]) -> list[int]:
    """The processes whose network namespace is one of these."""
    wanted: set[tuple[int, int]] = set()
    for name in namespaces:
        status = (NAMESPACE_FOLDER / name).stat()
        wanted.add((status.st_dev, status.st_ino))
    own = Path("/proc/self/ns/net").stat()
    wanted.discard((own.st_dev, own.st_ino))
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _namespace_of(entry) in wanted:
            found.append(int(entry.name))
    return found


def _namespace_of(process: Path) -> tuple[int, int] | None:
    try:
        status = (process / "ns/net").stat()
    except OSError:  # it has ended meanwhile
        return None
    return status.st_dev, status.st_ino


def end_processes(namespaces: Iterable[str], patience: float = 5.0) -> None:
    """Kill every process in these namespaces and wait until all are gone."""
    names = list(namespaces)
    deadline = time.monotonic() + patience
    while pids := [pid for pid in processes_in(names) if not _is_zombie(pid)]:
        if time.monotonic() > deadline:
            raise LabError(f"processes {pids} in the namespaces of the lab do not end; look at them with ps")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def delete(namespaces: Iterable[str]) -> None:
    """End what runs in these namespaces and remove them."""
    names = [name for name in namespaces if (NAMESPACE_FOLDER / name).exists()]
    mounted = [name for name in names if os.path.ismount(NAMESPACE_FOLDER / name)]
    end_processes(mounted)
    for name in names:
        done = subprocess.run(["ip", "netns", "del", name], capture_output=True, text=True, check=False)
        if done.returncode != 0 and (NAMESPACE_FOLDER / name).exists():
            raise LabError(f"ip netns del {name}: {done.stderr.strip()}")


def ip_batch(lines: Iterable[str], namespace: str | None = None) -> None:
    """Run `ip` commands in one process; the first that fails stops the batch and is named in the error."""
    text = "\n".join(lines) + "\n"
    where = ["-n", namespace] if namespace else []
    done = subprocess.run(["ip", *where, "-batch", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        match = re.search(r"Command failed -:(\d+)", done.stderr)
        line = text.splitlines()[int(match.group(1)) - 1] if match else "?"
        raise LabError(f"in {namespace or 'the host'}: ip {line}: {done.stderr.strip()}")


def links_not_running() -> list[str]:
    """The links of the namespace the calling thread is in that the kernel does not call running."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        found = []
        for _, name in socket.if_nameindex():
            answer = fcntl.ioctl(handle, _SIOCGIFFLAGS, struct.pack("16s240x", name.encode()))
            if not struct.unpack_from("=H", answer, 16)[0] & _IFF_RUNNING:
                found.append(name)
    return found


def write_sysctls(namespace: str, values: dict[str, str | int]) -> None:
    """Set sysctls (keys with slashes) in a namespace and read each back: some are silently read-only there."""

    def write() -> None:
        for key, value in values.items():
            path = Path("/proc/sys") / key
            path.write_text(f"{value}\n")
            if path.read_text().split() != str(value).split():
                raise LabError(f"{namespace}: sysctl {key} stays {path.read_text().strip()!r}, wanted {value!r}")

    in_namespace(namespace, write)
