# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine, podman or docker."""

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

# A node starts with a network namespace without links and an empty /run; its first process becomes systemd.
_RUN = ("--privileged", "--cgroupns=private", "--network=none", "--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp")
_OF_ENGINE = {
    "podman": ("--systemd=false", "--env=container=podman"),
    "docker": ("--env=container=docker",),
}

# For machines without a pids controller or without permission to raise limits.
_PODMAN_SETTINGS = """\
[containers]
pids_limit = 0
default_ulimits = ["nofile=4096:4096", "nproc=32768:32768"]
[engine]
runtime = "{runtime}"
"""


class Engine:
    """One of ENGINES; by default that of the environment variable ENGINE, else podman."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or os.environ.get("ENGINE") or "podman"
        if self.name not in ENGINES:
            raise LabError(f"ENGINE={self.name}: must be one of {', '.join(ENGINES)}")
        self.environment = dict(os.environ)
        if self.name == "podman":
            self.environment["CONTAINERS_CONF"] = str(_podman_settings())

    def call(self, words: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the engine.

        :raises LabError: the command failed; the text has its error output.
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
            output = done.stderr.strip() or done.stdout.strip()
            raise LabError(f"{self.name} {' '.join(words)}: exit {done.returncode}: {output}")
        return done

    def has_image(self, image: str) -> bool:
        """Whether the image exists on this machine."""
        return self.call(["image", "inspect", image], check=False).returncode == 0

    def run(self, container: str, image: str, hostname: str, *, read_only_usr: bool = False) -> None:
        """Create and start a container.

        :param read_only_usr: mount /usr read-only, as image-based systems do.
        """
        names = [f"--name={container}", f"--hostname={hostname}", f"--env=READ_ONLY_USR={int(read_only_usr)}"]
        self.call(["run", "--detach", *names, *_RUN, *_OF_ENGINE[self.name], image])

    def restart(self, container: str) -> None:
        """Shut a container down and start it again."""
        self.call(["stop", "-t", "30", container])
        self.call(["start", container])

    def process(self, container: str) -> int:
        """Return the process id of the container's first process."""
        return int(self.call(["inspect", "--format={{.State.Pid}}", container]).stdout)

    def remove(self, containers: Iterable[str]) -> None:
        """Remove containers, if they exist."""
        for container in containers:
            if self.call(["container", "inspect", container], check=False).returncode == 0:
                self.call(["rm", "--force", "--volumes", container])


def _podman_settings() -> Path:
    path = CACHE / "containers.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_PODMAN_SETTINGS.format(runtime=FOLDER / "crun-cgroup2"))
    return path
