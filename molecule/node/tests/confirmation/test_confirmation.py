# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that cuts the SSH connection is rolled back by systemd, and the play says so; over a real sshd.

The module runs by ``systemd-run``, which ends its control group with it, as ``run0`` and ``machinectl`` do.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from containers.assertions import SERVICE, status
from containers.lab import ContainerLab

from tests.lab import Host
from tests.lab.snapshot import Snapshot
from tests.lab.waiting import wait_until
from tests.support.playbooks import Played, play
from tests.support.pools import CLUSTER, EXTERNAL, NODE_ADDRESSES
from tests.support.snapshots import restorable

SECONDS = 5  # to confirm the change
ROLLBACK = "homeward-metallb-routing-rollback-"
FOLDER = "/run/homeward-test"
PYTHON = f"{FOLDER}/python"
_PYTHON = '#!/bin/sh\nexec systemd-run --quiet --pipe --wait --collect /usr/bin/python3 "$@"\n'
#: Cuts SSH off while a change is pending, as a harmful change would; nothing that a pool can declare does.
_CUT = """\
#!/bin/sh
# Rules of iptables as arguments, with commas in place of spaces
while :; do
  pending=$(ls /run/homeward.metallb_routing 2>/dev/null | grep -E '^(unconfirmed|rolling-back)')
  for rule in "$@"; do
    rule=$(echo "$rule" | tr , ' ')
    if [ -z "$pending" ]; then iptables -w -D $rule 2>/dev/null
    else iptables -w -C $rule 2>/dev/null || iptables -w -I $rule; fi
  done
  sleep 0.05
done
"""
_INPUT, _OUTPUT = "INPUT,-p,tcp,--dport,22,-j,DROP", "OUTPUT,-p,tcp,--sport,22,-j,DROP"


@dataclass(frozen=True)
class Controller:
    """A controller on the host lan: its ssh, and how it reaches a node."""

    lab: ContainerLab
    folder: Path

    def hosts(self, node: Host) -> str:
        """Return an inventory with this node."""
        ssh = self.folder / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec nsenter --net=/run/netns/{self.lab.namespace("lan")} ssh "$@"\n')
        ssh.chmod(0o755)
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "ControlMaster": "auto",
            "ControlPersist": "30s",
        }
        told = {
            "ansible_host": self.lab.node_addresses[node.name],
            "ansible_connection": "ssh",
            "ansible_user": "root",
            "ansible_ssh_executable": str(ssh),
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            "ansible_ssh_common_args": " ".join(
                ["-F none", *(f"-o {name}={value}" for name, value in options.items())]
            ),
            "ansible_control_path_dir": str(self.folder / "cp"),
            "ansible_timeout": 20,
            "ansible_python_interpreter": PYTHON,
        }
        return json.dumps({"nodes": {"hosts": {node.name: told}}})

    def play(self, node: Host, addresses: Sequence[str] = (), variant: str = "auto") -> Played:
        """Apply the pool with these addresses and this variant of iptables, and rescue a failure."""
        role = {"name": "apply", "ansible.builtin.include_role": {"name": "homeward.metallb_routing.node"}}
        seen = {"name": "see", "ansible.builtin.debug": {"msg": "rescued: {{ ansible_failed_result.msg }}"}}
        book = [{"hosts": "all", "gather_facts": False, "tasks": [{"block": [role], "rescue": [seen]}]}]
        (self.folder / "site.yml").write_text(json.dumps(book))
        values = {
            "metallb_routing_pools": [{**EXTERNAL, "addresses": list(addresses)}],
            "metallb_routing_cluster": {**CLUSTER, "node_addresses": list(NODE_ADDRESSES)},
            "metallb_routing_metrics_directory": "/srv",
            "metallb_routing_iptables_variant": variant,
            "metallb_routing_confirm_timeout": SECONDS,
        }
        return play(None, str(self.folder / "site.yml"), values, hosts=self.hosts(node))


@contextmanager
def unit(node: Host, name: str, *words: str) -> Iterator[None]:
    """Run a command as a service for the duration of the block."""
    node.run(["systemd-run", "--quiet", "--collect", f"--unit={name}", *words])
    try:
        yield
    finally:
        node.run(["systemctl", "stop", name])


@pytest.fixture
def controller(lab: ContainerLab, node: Host) -> Iterator[Controller]:
    with tempfile.TemporaryDirectory(prefix="homeward-") as temporary:
        folder = Path(temporary)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
        node.run(f"mkdir -p {FOLDER} /run/sshd")
        for name, text in {"keys": (folder / "key.pub").read_text(), "python": _PYTHON, "cut": _CUT}.items():
            node.run(f"cat > {FOLDER}/{name}; chmod 755 {FOLDER}/{name}", stdin=text)
        sshd = ("/usr/sbin/sshd", "-D", "-o", f"AuthorizedKeysFile={FOLDER}/keys", "-o", "StrictModes=no")
        with unit(node, "homeward-test-sshd", *sshd):
            yield Controller(lab, folder)
        node.run(f"rm -r {FOLDER}; rmdir /run/sshd")


@contextmanager
def cutting(node: Host) -> Iterator[None]:
    """Cut SSH off while a change is pending: on one node only what it receives, on the other what it sends, too."""
    rules = (_INPUT, _OUTPUT) if node.name == "node1" else (_INPUT,)
    with unit(node, "homeward-test-cut", "/bin/sh", f"{FOLDER}/cut", *rules):
        yield
    for rule in (_INPUT, _OUTPUT):
        node.run(["iptables", "-w", "-D", *rule.split(",")], check=False)


def state_of(node: Host) -> Snapshot:
    """Return the network state, with the state file and whatever is left of a change."""
    left = node.run(
        "ls -A /run/homeward.metallb_routing 2>/dev/null; cat /var/lib/homeward.metallb_routing/state.json"
    ).stdout
    return restorable(node).replaced(files=left)


def await_state(node: Host, state: Snapshot) -> None:
    """Wait until the node is as in this state."""
    wait_until(lambda: not state.difference(state_of(node)), lambda: state.difference(state_of(node)), seconds=60.0)


def test_systemd_rolls_back_and_the_play_says_so(node: Host, controller: Controller) -> None:
    wait_until(lambda: status(node)["right"], lambda: status(node))
    before = state_of(node)
    with cutting(node):
        played = controller.play(node, addresses=["1.2.3.201"])
    assert played.code == 0, played.text
    assert "rescued: The change was applied, but " in played.text, played.text
    assert "rolled it back" in played.text, played.text
    assert (played.counts[node.name]["rescued"], played.counts[node.name]["unreachable"]) == (1, 0), played.text
    await_state(node, before)
    wait_until(lambda: status(node)["right"], lambda: status(node))
    journal = node.output(["journalctl", "--no-pager", "-o", "json", "SYSLOG_IDENTIFIER=metallb-routing"]).splitlines()
    told = [json.loads(line) for line in journal if "was rolled back" in line]
    assert told, "nobody has rolled the change back"
    assert all(entry["_SYSTEMD_UNIT"].startswith(ROLLBACK) for entry in told), told
    assert ROLLBACK not in node.output(["systemctl", "list-units", "--all", "--no-legend"]), (
        "the transient units are gone"
    )


def test_the_same_play_is_confirmed_if_nothing_cuts_the_connection(node: Host, controller: Controller) -> None:
    """Until then the agent, in its sandbox, keeps what is new, too."""
    before = restorable(node)
    for addresses in (["1.2.3.201"], []):
        played = controller.play(node, addresses)
        assert (played.code, played.counts[node.name]["rescued"]) == (0, 0), played.text
        assert ("1.2.3.201" in node.output("ip address show dev eth0.100")) is bool(addresses)
        assert status(node)["right"]
        if addresses:
            made = state_of(node)
            node.run("ip address flush dev eth0.100 scope global; sysctl -qw net/ipv4/conf/eth0.100/src_valid_mark=0")
            await_state(node, made)
    assert not before.difference(restorable(node))


def test_the_agent_keeps_legacy_chains_in_its_sandbox(node: Host, controller: Controller) -> None:
    before = restorable(node)
    if node.run("iptables-legacy -w -t mangle -S", check=False).returncode:
        pytest.skip("this machine's kernel has no legacy iptables")
    played = controller.play(node, variant="legacy")
    assert (played.code, played.counts[node.name]["rescued"]) == (0, 0), played.text
    made = state_of(node)
    node.run("iptables-legacy -w -t mangle -F HOMEWARD-0x100; ip6tables-legacy -w -t mangle -F")
    assert made.difference(state_of(node))
    node.run(["systemctl", "kill", "--kill-who=main", "--signal=HUP", SERVICE])  # the kernel sends no event
    await_state(node, made)
    assert controller.play(node).code == 0
    assert not before.difference(restorable(node))
