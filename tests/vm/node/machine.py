# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running node: started, accessed over ssh, rebooted, stopped."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.playbooks import environment
from tests.vm import qemu
from tests.vm.cache import run

from .image import MANAGEMENT_MAC, TRUNK_MAC, Image

_BOOT_SECONDS = 400.0
_POLL_SECONDS = 0.5


class NodeError(Exception):
    """An operation on the node failed; the text says which and why."""


@dataclass(frozen=True)
class Machine:
    """A running node.

    :param port: loopback port of this machine that is forwarded to the node's sshd.
    """

    image: Image
    folder: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def ssh_options(self) -> list[str]:
        """Options of ssh that neither read nor write the user's files."""
        words = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "BatchMode": "yes",
            "AddressFamily": "inet",  # only IPv4 is forwarded
            "ConnectTimeout": "20",
            "ServerAliveInterval": "30",  # so that a lost connection is an error
            "ServerAliveCountMax": "4",
            "IdentitiesOnly": "yes",
        }
        return ["-F", "none", "-i", str(self.image.key), *(f"-o{name}={value}" for name, value in words.items())]

    def command(self, text: str) -> list[str]:
        """Return the command line that runs a shell command on the node."""
        return self.command_to("127.0.0.1", self.port, text)

    def command_to(self, address: str, port: int, text: str) -> list[str]:
        """Return the same for another address and port of the node's sshd."""
        return ["ssh", *self.ssh_options, "-p", str(port), f"root@{address}", text]

    def run(self, text: str, *, check: bool = True, stdin: bytes | None = None) -> str:
        """Run a shell command on the node and return its standard output.

        :raises NodeError: it failed and ``check`` is set; the text has its output.
        """
        done = subprocess.run(self.command(text), input=stdin, capture_output=True, timeout=_BOOT_SECONDS, check=False)
        if check and done.returncode:
            raise NodeError(f"{text}: exit {done.returncode}: {done.stderr.decode()}{done.stdout.decode()}")
        return done.stdout.decode().strip()

    def boot_id(self) -> str:
        """Return the id of the current boot; ``""`` if sshd does not respond."""
        done = subprocess.run(
            self.command("cat /proc/sys/kernel/random/boot_id"), capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    def await_boot(self, other_than: str = "") -> float:
        """Wait until sshd of a new boot responds, and return the seconds it took. An open port is not enough: qemu accepts
        connections before the node does.
        """
        began = time.monotonic()
        while time.monotonic() < began + _BOOT_SECONDS:
            if self.process.poll() is not None:
                raise NodeError(f"the node stopped; its console:\n{self.console()[-3000:]}")
            if self.boot_id() not in ("", other_than):
                return time.monotonic() - began
            time.sleep(_POLL_SECONDS)
        raise NodeError(f"sshd did not respond in {_BOOT_SECONDS:.0f} s; the node's console:\n{self.console()[-3000:]}")

    def console(self) -> str:
        """Return the output of the node's console."""
        return (self.folder / "console").read_text(errors="replace")

    def reboot(self) -> float:
        """Reboot the node, wait until ssh responds, and return the seconds it took."""
        before = self.boot_id()
        self.run("systemctl reboot", check=False)  # the connection may be cut before the command ends
        return self.await_boot(other_than=before)

    def play(self, playbook: str, values: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the collection on the node over ssh."""
        host = {
            "ansible_host": "localhost",
            "ansible_port": self.port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.image.key),
            "ansible_ssh_common_args": " ".join(self.ssh_options),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        inventory = self.folder / "inventory.yml"
        inventory.write_text(json.dumps({"nodes": {"hosts": {"node1": host}}}))
        variables = self.folder / "variables.json"
        variables.write_text(json.dumps(dict(values)))
        words = ["ansible-playbook", "--diff", "-i", str(inventory), "-e", f"@{variables}"]
        return subprocess.run(
            [*words, f"homeward.metallb_routing.{playbook}"],
            env=environment() | {"ANSIBLE_TIMEOUT": "120"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def started(image: Image, folder: Path, trunk: tuple[Path, Path], setup: str = "") -> Iterator[Machine]:
    """Run a node on a fresh disk until the block ends.

    :param trunk: sockets of the data link: the node's and the switch's.
    :param setup: one of the image's setups.
    """
    disk = folder / "disk.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image.disk, disk])
    port = _free_port()
    own, switch = trunk
    words = [
        "root=/dev/vda",
        "console=ttyS0",
        "loglevel=4",
        "systemd.show_status=false",
        *qemu.QUICK_KERNEL,
        f"homeward.setup={setup}",
    ]
    arguments = [
        *qemu.accelerator(image.kernel).arguments,
        *("-machine", "pc", "-m", "512", "-smp", "1", "-display", "none"),
        *("-kernel", str(image.kernel.image), "-initrd", str(image.initramfs), "-append", " ".join(words)),
        *("-drive", f"file={disk},if=virtio,cache=unsafe,format=qcow2", "-device", "virtio-rng-pci"),
        *("-serial", f"file:{folder / 'console'}"),
        *("-netdev", f"user,id=management,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", f"virtio-net-pci,netdev=management,mac={MANAGEMENT_MAC}"),
        *("-netdev", f"dgram,id=trunk,local.type=unix,local.path={own},remote.type=unix,remote.path={switch}"),
        *("-device", f"virtio-net-pci,netdev=trunk,mac={TRUNK_MAC}"),
    ]
    with qemu.running(arguments) as process:
        yield Machine(image, folder, port, process)


def _free_port() -> int:
    with socket.socket() as handle:
        handle.bind(("127.0.0.1", 0))
        port: int = handle.getsockname()[1]
        return port


def tar(*names: str, folder: Path) -> bytes:
    """Return an archive of these files and folders below ``folder``, without compiled Python files."""
    words: Sequence[str] = ["tar", "--create", "--exclude=__pycache__", "-C", os.fspath(folder), *names]
    return subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
