"""Two Kubernetes nodes, their routers and clients in network namespaces, for tests with real packets. See README.md."""

from __future__ import annotations

from .delivery import Cell, Delivery
from .host import Host
from .lab import Lab
from .namespaces import LabError
from .options import LabOptions
from .snapshot import Snapshot

__all__ = ["Cell", "Delivery", "Host", "Lab", "LabError", "LabOptions", "Snapshot"]
