"""Switch off offloads of links, so that sniffers see packets as on a cable: valid checksums, no oversized segments."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
# ETHTOOL_STSO, SGSO, SGRO, STXCSUM (linux/ethtool.h); segmentation before the checksums that it depends on
_COMMANDS = (0x1F, 0x24, 0x2C, 0x17)


def switch_off(links: list[str]) -> None:
    """Switch off the offloads of links in the calling thread's namespace, as far as the links support that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for link in links:
            for command in _COMMANDS:
                value = array.array("B", struct.pack("=II", command, 0))
                request = struct.pack("@16sP16x", link.encode(), value.buffer_info()[0])
                try:
                    fcntl.ioctl(handle, _SIOCETHTOOL, request)
                except OSError:
                    continue
