"""Switch off a link's offloads, so that what a sniffer sees is what a cable would carry: real checksums, no giants."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
# ETHTOOL_STSO, SGSO, SGRO, STXCSUM of linux/ethtool.h; segmentation goes before the checksums it depends on
_COMMANDS = (0x1F, 0x24, 0x2C, 0x17)


def switch_off(links: list[str]) -> None:
    """Do it for these links of the namespace the calling thread is in. A link that cannot is left as it is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for link in links:
            for command in _COMMANDS:
                value = array.array("B", struct.pack("=II", command, 0))
                request = struct.pack("@16sP16x", link.encode(), value.buffer_info()[0])
                try:
                    fcntl.ioctl(handle, _SIOCETHTOOL, request)
                except OSError:
                    continue
