# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a frame many times with very little overhead per frame."""

from __future__ import annotations

import mmap
import socket
import struct
import time

# include/uapi/linux/if_packet.h
_SOL_PACKET, _PACKET_VERSION, _PACKET_TX_RING = 263, 10, 13
_TPACKET_V2 = 1
_REQUEST = struct.Struct("=IIII")  # struct tpacket_req: size and number of blocks, size and number of frames
_STATUS_AND_LENGTH = struct.Struct("=II")  # the first fields of struct tpacket2_hdr
_SEND_REQUEST = b"\x01"  # TP_STATUS_SEND_REQUEST
_CONTENT = 32  # offset of the content of a frame, after struct tpacket2_hdr
FRAME_SIZE, FRAMES = 256, 2048


class Ring:
    """A ring of frames shared with the kernel (packet(7), PACKET_TX_RING): one system call sends all of them.

    A veth pair has no queue, so the receiving namespace handles all frames within that call, and the call's CPU time
    includes their handling.
    """

    def __init__(self, interface: str, frame: bytes) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        size = FRAME_SIZE * FRAMES
        request = _REQUEST.pack(mmap.PAGESIZE, size // mmap.PAGESIZE, FRAME_SIZE, FRAMES)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_TX_RING, request)
        self._memory = mmap.mmap(self._socket.fileno(), size)
        self._socket.bind((interface, 0x0800))
        for start in range(0, size, FRAME_SIZE):
            _STATUS_AND_LENGTH.pack_into(self._memory, start, 0, len(frame))
            self._memory[start + _CONTENT : start + _CONTENT + len(frame)] = frame

    def send(self, rounds: int) -> float:
        """Send all frames of the ring repeatedly; return the CPU time per frame in seconds."""
        start = time.process_time()
        for _round in range(rounds):
            self._memory[::FRAME_SIZE] = _SEND_REQUEST * FRAMES
            self._socket.send(b"")
        return (time.process_time() - start) / (rounds * FRAMES)


def udp_frame(ends: tuple[str, str], addresses: tuple[str, str], ports: tuple[int, int]) -> bytes:
    """Return an Ethernet frame with a small UDP datagram. Each pair is source and destination.

    :param ends: MAC addresses.
    """
    hardware = b"".join(bytes.fromhex(end.replace(":", "")) for end in reversed(ends))
    payload = bytes(18)
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    packed = b"".join(socket.inet_aton(address) for address in addresses)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + packed
    checksum = sum(struct.unpack("!10H", header))
    checksum = 0xFFFF - (checksum + (checksum >> 16) & 0xFFFF)
    return hardware + b"\x08\x00" + header[:10] + struct.pack("!H", checksum) + header[12:] + udp
