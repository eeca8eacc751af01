# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine, podman or docker: the few commands of it that are needed here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.lab import LabError

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
CACHE = ROOT / ".build" / "molecule"
ENGINES = ("podman", "docker")

# Each node has a network namespace without links, an empty /run at every start, and systemd as its first process.
_RUN = ("--privileged", "--cgroupns=private", "--network=none", "--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp")
_OF_ENGINE = {
    "podman": ("--systemd=false", "--env=container=podman"),
    "docker": ("--env=container=docker",),
}

# What an engine without a pids controller, and without the right to raise limits, needs to be told.
_PODMAN_SETTINGS = """\
[containers]
pids_limit = 0
default_ulimits = ["nofile=4096:4096", "nproc=32768:32768"]
[engine]
runtime = "{runtime}"
"""


class Engine:
    """One of ENGINES; by default what the variable ENGINE says, else podman."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or os.environ.get("ENGINE") or "podman"
        if self.name not in ENGINES:
            raise LabError(f"ENGINE={self.name}: it must be one of {', '.join(ENGINES)}")
        self.environment = dict(os.environ)
        if self.name == "podman":
            self.environment["CONTAINERS_CONF"] = str(_podman_settings())

    def call(self, words: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the engine.

        :raises LabError: it failed; the text has what it said.
        """
        done = subprocess.run(
            [self.name, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            raise LabError(f"{self.name} {' '.join(words)}: exit {done.returncode}: {said}")
        return done

    def has_image(self, image: str) -> bool:
        """Tell whether the image is on this machine."""
        return self.call(["image", "inspect", image], check=False).returncode == 0

    def run(self, container: str, image: str, hostname: str, *, read_only_usr: bool = False) -> None:
        """Create and start a container.

        :param read_only_usr: nothing can be written below its /usr, as on systems that are replaced as a whole.
        """
        names = [f"--name={container}", f"--hostname={hostname}", f"--env=READ_ONLY_USR={int(read_only_usr)}"]
        self.call(["run", "--detach", *names, *_RUN, *_OF_ENGINE[self.name], image])

    def restart(self, container: str) -> None:
        """Stop a container as one shuts a machine down, and start it again."""
        self.call(["stop", "-t", "30", container])
        self.call(["start", container])

    def process(self, container: str) -> int:
        """Return the id that the container's first process has on this machine."""
        return int(self.call(["inspect", "--format={{.State.Pid}}", container]).stdout)

    def remove(self, containers: Iterable[str]) -> None:
        """Remove containers, running or not; those that do not exist are left out."""
        for container in containers:
            if self.call(["container", "inspect", container], check=False).returncode == 0:
                self.call(["rm", "--force", "--volumes", container])


def _podman_settings() -> Path:
    path = CACHE / "containers.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_PODMAN_SETTINGS.format(runtime=FOLDER / "crun-cgroup2"))
    return path
