# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pyroute2 is chosen, and that loading its message classes leaves no trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.pyroute2_loader import (
    Pyroute2,
    find_pyroute2,
    load_message_classes,
)

ROOT = Path(__file__).resolve().parents[3]


def _package(directory: Path, version: str, way: str = "file") -> Path:
    """Create what looks like an installed pyroute2 and cannot be imported."""
    package = directory / "pyroute2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')\n")
    if way == "file":
        (package / "config").mkdir()
        (package / "config" / "version.py").write_text(f'__version__ = "{version}"\n')
    elif way == "pr2modules":  # as 0.6.x is laid out
        (directory / "pr2modules" / "config").mkdir(parents=True)
        (directory / "pr2modules" / "config" / "version.py").write_text(f"__version__ = '{version}'\n")
    elif way == "metadata":  # as Debian 12 packages it
        (directory / f"pyroute2-{version}.dist-info").mkdir()
        (directory / f"pyroute2-{version}.dist-info" / "METADATA").write_text(f"Name: pyroute2\nVersion: {version}\n")
    return directory


@pytest.mark.parametrize("way", ["file", "pr2modules", "metadata"])
@pytest.mark.parametrize("version", ["0.7.2", "0.7.12", "0.8.1", "0.9.7", "0.10.0", "1.0", "0.7.2.post1", "0.9.1rc1"])
def test_a_recent_pyroute2_of_the_system_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, way: str
) -> None:
    system = _package(tmp_path / "system", version, way)
    extra = _package(tmp_path / "extra", "0.9.7")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "absent"), str(system)])
    assert find_pyroute2(str(extra)) == Pyroute2(version, str(system))
    assert find_pyroute2(str(tmp_path / "absent")) == Pyroute2(version, str(system))


@pytest.mark.parametrize("way", ["file", "pr2modules", "metadata", "unknown"])
@pytest.mark.parametrize("version", ["0.5.14", "0.6.4", "0.7.1"])
def test_an_old_pyroute2_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, way: str) -> None:
    system = _package(tmp_path / "system", version, way)
    extra = _package(tmp_path / "extra", "0.9.7")
    monkeypatch.setattr(sys, "path", [str(system)])
    assert find_pyroute2(str(extra)) == Pyroute2("0.9.7", str(extra))


def test_the_error_names_what_was_found_and_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = _package(tmp_path / "system", "0.5.14")
    extra = _package(tmp_path / "extra", "", "unknown")
    monkeypatch.setattr(sys, "path", [str(system)])
    with pytest.raises(NodeError) as refused:
        find_pyroute2(str(extra))
    text = str(refused.value)
    assert f"only pyroute2 0.5.14 in {system}, of unknown version in {extra}" in text
    assert "pyroute2 >= 0.7.2 is needed" in text
    assert f"pip install --target {extra} 'pyroute2>=0.7.2'" in text


def test_the_error_says_if_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyroute2").mkdir()  # what an uninstalled package may leave: no code
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(NodeError, match="This node has no pyroute2 for "):
        find_pyroute2(str(tmp_path / "absent"))


def test_loading_leaves_no_trace() -> None:
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "pyroute2"}
    path = list(sys.path)
    classes = load_message_classes(find_pyroute2())
    assert classes.route.__name__ == "rtmsg"
    assert {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "pyroute2"} == before
    assert sys.path == path


def _python(program: str) -> str:
    """Run a program in a process of its own, with the collection importable."""
    lines = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.conftest import register_collection\n{program}"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


LOAD = """
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.formats import load_formats
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.pyroute2_loader import find_pyroute2
load_formats(find_pyroute2())
"""


def test_pyroute2_can_be_imported_as_usual_afterwards() -> None:
    program = f"{LOAD}\nimport pyroute2, pyroute2.netlink.rtnl.rtmsg\nprint(pyroute2.netlink.rtnl.rtmsg.rtmsg, pyroute2.IPRoute)"
    assert "rtmsg" in _python(program)


def test_a_pyroute2_that_is_loaded_already_stays_loaded() -> None:
    program = f"import pyroute2\nmodules = dict(sys.modules)\n{LOAD}\nprint(all(sys.modules[n] is m for n, m in modules.items()))"
    assert _python(program) == "True\n"


def test_most_of_pyroute2_is_not_loaded() -> None:
    program = f"""
import importlib
loaded = []
original = importlib.import_module
class Recorder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        loaded.append(name)
sys.meta_path.insert(0, Recorder)
{LOAD}
print([name for name in loaded if name.startswith("pyroute2.") and name.split(".")[1] not in ("netlink", "config", "common")])
print("pyroute2.netlink.rtnl.rtmsg" in loaded, "pyroute2" in loaded)
"""
    assert _python(program) == "[]\nTrue False\n"


def _broken(directory: Path, init: str) -> Pyroute2:
    package = directory / "pyroute2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(init)
    return Pyroute2("0.99.0", str(directory))


def test_a_version_that_needs_its_whole_package_is_imported_as_usual(tmp_path: Path) -> None:
    """A future pyroute2 whose modules import something from the package itself."""
    package = tmp_path / "pyroute2" / "netlink" / "rtnl"
    package.mkdir(parents=True)
    (tmp_path / "pyroute2" / "__init__.py").write_text("setting = 5\n")
    (tmp_path / "pyroute2" / "netlink" / "__init__.py").write_text("from pyroute2 import setting\n")
    (package / "__init__.py").write_text("")
    (package / "rtmsg.py").write_text("class rtmsg: pass\nclass nh: pass\n")
    (package / "fibmsg.py").write_text("class fibmsg: pass\n")
    (package / "ifaddrmsg.py").write_text("class ifaddrmsg: pass\n")
    (package / "ifinfmsg.py").write_text(
        "class ifinfmsg:\n  class ifinfo: pass\nclass macvx_data: pass\ndata_plugins = {'vlan': 'vlan'}\n"
    )
    program = f"""
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import pyroute2_loader
path = list(sys.path)
classes = pyroute2_loader.load_message_classes(pyroute2_loader.Pyroute2("0.99.0", {str(tmp_path)!r}))
print(classes.route.__name__, sys.modules["pyroute2"].setting, sys.path == path)
"""
    assert _python(program) == "rtmsg 5 True\n"


def test_a_pyroute2_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    found = _broken(tmp_path, "import no_such_module\n")
    program = f"""
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import pyroute2_loader
try:
    pyroute2_loader.load_message_classes(pyroute2_loader.Pyroute2({found.version!r}, {found.directory!r}))
except NodeError as error:
    print(error)
"""
    text = _python(program)
    assert f"pyroute2 0.99.0 in {tmp_path} cannot be loaded by {sys.executable}" in text
    assert "No module named 'no_such_module'" in text
