"""The processes that hold the nodes' mount namespaces open.

A node writes /etc, /var/lib and /run (route protocol names, the xtables lock, what keeps the routing over a reboot);
none of that may reach the machine, nor one node's files the other's. Each starts with the machine's content of /etc
and /var/lib and an empty /run.
"""

from __future__ import annotations

import subprocess

from .namespaces import LabError

# Without an overlay file system /etc is copied, and /var/lib, which is large, starts empty.
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
    """Start a node's holder. `ip netns exec` gives it a mount namespace in which /sys is the network namespace's."""
    return subprocess.Popen(
        ["ip", "netns", "exec", namespace, "sh", "-ec", _SCRIPT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def wait_for_holder(node: str, holder: subprocess.Popen[str]) -> int:
    """Wait until the holder has made its mounts; its process id (`ip netns exec` becomes the command itself)."""
    if holder.stdout is None or holder.stderr is None or holder.stdout.readline() != "ready\n":
        raise LabError(f"{node}: no private mounts: {holder.stderr.read() if holder.stderr else ''}")
    holder.stdout.close()
    holder.stderr.close()
    return holder.pid
