"""Holder processes: each keeps the mount namespace of one node.

Nodes write to /etc, /var/lib and /run (names of route protocols, the xtables lock, persistent state). Every node has
private copies: /etc and /var/lib start with the machine's content, /run is empty.
"""

from __future__ import annotations

import subprocess

from .namespaces import LabError

# Without overlayfs, /etc is copied; /var/lib, which is large, starts empty.
_SCRIPT = """
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/.lab
for folder in etc var/lib; do
  layers=/run/.lab/$folder
  mkdir -p $layers/upper $layers/work
  if mount -t overlay -o lowerdir=/$folder,upperdir=$layers/upper,workdir=$layers/work lab /$folder 2>/dev/null; then
    continue
  fi
  if [ $folder = etc ]; then cp -a /etc/. $layers/upper/; fi
  mount --bind $layers/upper /$folder
done
echo ready
exec sleep infinity
"""


def start_holder(namespace: str) -> subprocess.Popen[str]:
    """Start a node's holder. `ip netns exec` creates a mount namespace with the /sys of the network namespace."""
    return subprocess.Popen(
        ["ip", "netns", "exec", namespace, "sh", "-ec", _SCRIPT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def wait_for_holder(node: str, holder: subprocess.Popen[str]) -> int:
    """Wait until the holder has mounted everything; return its process id (`ip netns exec` replaces itself)."""
    if holder.stdout is None or holder.stderr is None or holder.stdout.readline() != "ready\n":
        raise LabError(f"{node}: private mounts failed: {holder.stderr.read() if holder.stderr else ''}")
    holder.stdout.close()
    holder.stderr.close()
    return holder.pid
