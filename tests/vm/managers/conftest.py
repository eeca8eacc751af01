# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node for each network manager, next to a DHCP server; the tests of a node run in order."""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.lab import namespaces
from tests.vm.kernels import stock_kernel
from tests.vm.node import machine, network
from tests.vm.node.image import node_image

from . import dhcp
from .setups import CONTENTS, NODES, SETUPS, Setup


@dataclass(frozen=True)
class Environment:
    """A node whose manager takes every link."""

    node: machine.Machine
    setup: Setup


@pytest.fixture(scope="module", params=NODES, ids="-".join)
def environment(request: pytest.FixtureRequest) -> Iterator[Environment]:
    """A node with a network manager, before apply."""
    suite, name = request.param
    image = node_image(stock_kernel(), CONTENTS, suite)
    with (
        tempfile.TemporaryDirectory(prefix="homeward-") as folder,
        network.created(Path(folder)) as around,
        _dhcp(),
        machine.started(image, Path(folder), around.sockets, name) as node,
    ):
        node.await_boot()
        node.run(SETUPS[name].prepare)
        yield Environment(node, SETUPS[name])


@contextmanager
def _dhcp() -> Iterator[None]:
    """Serve addresses on every VLAN, as 100.64.VLAN.7."""
    servers = {}
    for name, vlan in network.VLAN_OF.items():
        if vlan:
            namespace = f"{network.PREFIX}-{name}"
            namespaces.ip_batch([f"address add 100.64.{vlan}.1/24 dev {name}"], namespace)
            opened = partial(namespaces.in_namespace, namespace, partial(dhcp.open_socket, name))
            servers[name] = (opened, ipaddress.IPv4Interface(f"100.64.{vlan}.7/24"))
    with dhcp.serving(servers):
        yield
