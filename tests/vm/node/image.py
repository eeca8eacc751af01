# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk image of the node: a small Debian with systemd, sshd and the requirements of the collection."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.vm import initramfs
from tests.vm.cache import BuildError, cached, key_of, run
from tests.vm.kernels import Kernel

#: Another release of Debian: HOMEWARD_VM_SUITE=trixie tests/vm/run node
DEFAULT_SUITE = "bookworm"
PACKAGES = (
    *("systemd-sysv", "dbus", "udev", "kmod", "openssh-server", "python3", "iproute2", "iptables", "nftables"),
    *("ipvsadm", "conntrack", "procps"),
)
DISK_SIZE = "2G"
MANAGEMENT_MAC, TRUNK_MAC = "52:54:00:00:00:01", "02:00:00:00:01:0b"
#: Modules on the disk, in addition to all netfilter modules.
MODULES = (*initramfs.LINKS, *initramfs.HELPERS, "virtio_net", "virtio_rng", "autofs4")
DISK_MODULES = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")

#: Units that only cost time or fail on this node.
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("man-db.timer", "systemd-timesyncd.service", "e2scrub_reap.service", "getty@tty1.service", "ipvsadm.service"),
    *(
        "systemd-networkd-wait-online.service",
        "NetworkManager-wait-online.service",
        "systemd-update-utmp.service",
        "systemd-pstore.service",
    ),
)
#: Suffixes of files with mode 0600, which NetworkManager requires and netplan recommends.
SECRET = (".nmconnection", ".yaml")
NETWORKS = {
    # By MAC: a pattern of names would also match VLAN links and alternative names
    "etc/systemd/network/10-management.network": (
        f"[Match]\nMACAddress={MANAGEMENT_MAC}\nType=ether\n\n[Network]\nAddress=10.0.2.15/24\n"
    ),
    "etc/systemd/network/20-trunk.network": (
        f"[Match]\nMACAddress={TRUNK_MAC}\nType=ether\nKind=!vlan\n\n[Network]\nAddress=192.168.1.11/24\n"
        "Address=fd00:192:168:1::11/64\nGateway=192.168.1.1\nGateway=fd00:192:168:1::1\nIPv6AcceptRA=no\n"
    ),
}
#: As cloud images and netplan have it: any new link is configured.
CATCH_ALL = {"etc/systemd/network/90-all.network": "[Match]\nName=eth*\n\n[Network]\nDHCP=yes\n"}
_INIT = """#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in virtio_pci virtio_blk crc32c_generic ext4; do modprobe "$module" 2>/dev/null; done
tries=0
until mount -t ext4 /dev/vda /new; do
  tries=$((tries + 1))
  [ $tries -lt 20 ] || { echo "homeward-vm: no disk"; poweroff -f; sleep 60; }
  sleep 0.2
done
setup=$(sed -n 's/.*homeward.setup=\\([a-z]*\\).*/\\1/p' /proc/cmdline)
if [ -n "$setup" ] && [ -d "/new/setups/$setup" ]; then
  cp -af "/new/setups/$setup/." /new/ && rm -r /new/setups
fi
umount /proc /sys
mount --move /dev /new/dev
exec switch_root /new /sbin/init
"""


@dataclass(frozen=True)
class Contents:
    """What the disk contains in addition to the base system.

    :param packages: of Debian.
    :param setups: names of setups, of which a machine can be started with one: files by path; the target
        of a symbolic link begins with ``->``.
    """

    packages: tuple[str, ...] = ()
    setups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


PLAIN = Contents()


@dataclass(frozen=True)
class Image:
    """Everything from which a node boots.

    :param disk: a qcow2 image, used as a read-only backing file.
    :param key: private ssh key for root.
    """

    kernel: Kernel
    initramfs: Path
    disk: Path
    key: Path


def node_image(kernel: Kernel, contents: Contents = PLAIN, suite: str = "") -> Image:
    """Return the image of a node with this kernel; the first build takes minutes.

    :param suite: release of Debian; by default the one in HOMEWARD_VM_SUITE.
    :raises BuildError: a package is not available.
    """
    suite = suite or os.environ.get("HOMEWARD_VM_SUITE", DEFAULT_SUITE)
    if not re.fullmatch(r"[a-z]+", suite):
        raise BuildError(f"HOMEWARD_VM_SUITE={suite} is not the name of a Debian release")
    name = key_of(suite, kernel.version, repr(contents), Path(__file__).read_bytes())
    folder = cached(f"node-{suite}-{name}", lambda path: _build(path, suite, kernel, contents))
    start = initramfs.make_initramfs(kernel, _INIT, DISK_MODULES)
    return Image(kernel, start, folder / "disk.qcow2", folder / "key")


def _build(folder: Path, suite: str, kernel: Kernel, contents: Contents) -> None:
    print(f"Building a node with {suite} (a few minutes, once)", flush=True)
    folder.mkdir(parents=True)
    tree = folder / "root"
    options = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "locale", "doc", "info")]
    run(
        [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--skip=check/empty,cleanup/reproducible", "--quiet"),
            *(
                '--aptopt=Acquire::Languages "none"',
                *options,
                f"--include={','.join((*PACKAGES, *contents.packages))}",
                suite,
                tree,
            ),
        ]
    )
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "homeward-vm", "-f", folder / "key"])
    _configure(tree, (folder / "key.pub").read_text(), contents)
    _add_modules(tree, kernel)
    run(["mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", tree, folder / "disk.raw", DISK_SIZE])
    shutil.rmtree(tree)
    run(["qemu-img", "convert", "-O", "qcow2", folder / "disk.raw", folder / "disk.qcow2"])
    (folder / "disk.raw").unlink()


def _configure(tree: Path, public_key: str, contents: Contents) -> None:
    """Configure name, links, ssh, sysctls and a persistent journal, and enable and mask units."""
    files = {
        "etc/hostname": "node1\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 node1\n",
        "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
        "etc/machine-id": "uninitialized\n",
        "root/.ssh/authorized_keys": public_key,
        "etc/ssh/sshd_config.d/test.conf": "PermitRootLogin prohibit-password\nUseDNS no\n",
        "etc/sysctl.d/node.conf": "net.ipv4.ip_forward=1\nnet.ipv6.conf.all.forwarding=1\nnet.ipv4.conf.all.rp_filter=1\n",
        **({} if contents.setups else {**NETWORKS, **CATCH_ALL}),
    }
    _write(tree, files)
    for name, setup in contents.setups.items():
        _write(tree / "setups" / name, setup)
    (tree / "root" / ".ssh").chmod(0o700)
    (tree / "root" / ".ssh" / "authorized_keys").chmod(0o600)
    (tree / "var" / "log" / "journal").mkdir(exist_ok=True)
    systemctl = ["systemctl", f"--root={tree}", "--quiet"]
    run([*systemctl, "enable", "systemd-networkd.service", "ssh.service"])
    run([*systemctl, "mask", *MASKED])


def _write(tree: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_text(text)
            path.chmod(0o600 if path.suffix in SECRET else 0o644)


def _add_modules(tree: Path, kernel: Kernel) -> None:
    target = tree / "usr" / "lib" / "modules" / kernel.version
    initramfs.copy_modules(kernel, target, MODULES, initramfs.NETFILTER_FOLDERS)
    run(["depmod", "-b", tree / "usr" if not (tree / "lib").is_symlink() else tree, kernel.version])
