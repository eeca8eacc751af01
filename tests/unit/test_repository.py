# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of the repository itself, whatever the code does.

Each check is a function that takes the root of a checkout and returns what is wrong, one line each. It is tried twice:
on this checkout, where it must find nothing, and on a small wrong one (``WRONG``), where it must find the fault.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.case_traits import CASES
from tests.conftest import COLLECTION, ROOT
from tools import role_specs

Check = Callable[[Path], list[str]]

MODULE_UTILS = f"{COLLECTION}.plugins.module_utils"
MAX_LINES = 400

#: The layers of plugins/module_utils in the order of the data flow, and what each may import besides itself.
#: Every layer may raise the errors of errors.py and use the paths of paths.py. Action plugins and modules may import any.
COMMON = {"errors", "paths", "supported"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "paths": set(),
    "supported": set(),
    "retry": set(),
    "short_log": set(),
    "installed": {"paths", "supported"},
    "state": COMMON,
    "declaration": {*COMMON, "state"},
    "cases": {*COMMON, "declaration", "state"},
    "planning": {*COMMON, "state"},
    "kernel": {*COMMON, "state"},
    "diagnosis": {*COMMON, "state", "kernel"},
    "verification": {*COMMON, "state", "kernel", "diagnosis"},
    "transaction": {*COMMON, "state", "planning", "kernel"},
    "pending": COMMON,
    "rollback": {*COMMON, "retry", "transaction", "pending"},
    "persistence": {*COMMON, "state", "kernel"},
    "agent": {
        *COMMON,
        "installed",
        "retry",
        "state",
        "planning",
        "kernel",
        "diagnosis",
        "transaction",
        "pending",
        "rollback",
        "persistence",
    },
    "engine": {
        *COMMON,
        "declaration",
        "cases",
        "state",
        "planning",
        "kernel",
        "transaction",
        "diagnosis",
        "verification",
        "pending",
        "rollback",
        "persistence",
        "agent.bundle",
    },
    "object_modules": {*COMMON, "declaration", "state", "planning", "kernel", "engine"},
    "running": {*COMMON, "engine"},
    "info": {*COMMON, "state", "kernel", "engine"},
}

#: Folders of plugins/ whose strings are documentation: options name paths in their defaults and descriptions.
DOCUMENTED = ("modules", "doc_fragments")
NODE_PATH = re.compile(r"(?<![\w/.])/(run|var|etc|usr|opt)/\w|^(run|var|etc|usr|opt)/\w")

INTERNAL_MODULES = {"pool_routing_installed"}

#: The cases are named in their table and by their compilers; everything else in plugins/ reads the traits.
CASE_NAMES = re.compile("|".join(CASES), re.IGNORECASE)
NAME_CASES = {"plugins/module_utils/declaration/case_traits.py", "plugins/module_utils/cases/compilers.py"}

#: Words for which the glossary in CONTRIBUTING.md has another one.
WORDS_TO_AVOID = re.compile(
    r"\b(ours|somebody|mend(s|ed)?|heal(s|er|ing)?|(put|puts|take|takes|taken|took) back)\b", re.IGNORECASE
)
#: Folders whose texts people read; files at the top are read, too.
READ_FOLDERS = ("changelogs/fragments", "docs", "playbooks", "plugins", "roles")

#: Written in halves, so that this file does not hold what it looks for.
MACHINE_PATHS = ["/wor" + "k/", "/far" + "m/", "/roo" + "t/"]
REGISTRIES = ["pypi" + ".org", "pythonhosted" + ".org", "deb.debian" + ".org", "registry.npmjs" + ".org"]


def tracked_files(root: Path) -> list[Path]:
    """Return what git tracks; all files where the folder is no checkout."""
    if not (root / ".git").exists():
        return sorted(path for path in root.rglob("*") if path.is_file())
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
    paths = (root / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file()]


def plugin_files(root: Path) -> list[Path]:
    """Return the Python files below plugins/, tracked or not."""
    return sorted((root / "plugins").rglob("*.py"))


def module_names(root: Path) -> set[str]:
    """Return the names of the modules for users: without private files, and without modules that only action plugins run."""
    names = {path.stem for path in (root / "plugins/modules").glob("*.py") if not path.name.startswith("_")}
    return names - INTERNAL_MODULES


def load(path: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def strings_of_elsewhere(root: Path) -> list[str]:
    """Find paths of one machine and hosts of registries, which hold nowhere else."""
    found = []
    for path in tracked_files(root):
        text = path.read_text(encoding="utf-8", errors="replace")
        for needle in MACHINE_PATHS + REGISTRIES:
            found += [
                f"{path.relative_to(root)}:{number}: names {needle}"
                for number, line in enumerate(text.splitlines(), start=1)
                if needle in line
            ]
    return found


def words_to_avoid(root: Path) -> list[str]:
    """Find words in texts and code that are not those of the glossary."""
    found = []
    for path in tracked_files(root):
        where = path.relative_to(root)
        if path.suffix in (".md", ".py", ".yml") and (
            len(where.parts) == 1 or where.as_posix().startswith(READ_FOLDERS)
        ):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                match = WORDS_TO_AVOID.search(line)
                if match:
                    found.append(f"{where}:{number}: {match.group()}; see the glossary in CONTRIBUTING.md")
    return found


def long_files(root: Path) -> list[str]:
    """Find files of plugins/ that do more than one thing, judged by their length."""
    lengths = {
        path.relative_to(root): len(path.read_text(encoding="utf-8").splitlines()) for path in plugin_files(root)
    }
    return [f"{path}: {lines} lines, more than {MAX_LINES}" for path, lines in lengths.items() if lines > MAX_LINES]


def missing_headers(root: Path) -> list[str]:
    """Find plugins without the licence's header."""
    lines = ("GNU General Public License v3.0+", "SPDX-License-Identifier: GPL-3.0-or-later")
    found = []
    for path in plugin_files(root):
        text = path.read_text(encoding="utf-8")
        head = "\n".join(text.splitlines()[:6])
        found += [f"{path.relative_to(root)}: lacks '{line}' at its top" for line in lines if text and line not in head]
    return found


def imported_names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every import of a file; a relative import as its dots and name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (f"{node.module}." if node.module else "")
            yield from ((node.lineno, f"{base}{alias.name}") for alias in node.names)


def absolute_name(inside: Path, name: str) -> str:
    """Return an imported name in full; a relative one counts from the file that imports it, below module_utils."""
    dots = len(name) - len(name.lstrip("."))
    if not dots:
        return name
    package = inside.parts[: len(inside.parts) - dots]
    return ".".join((MODULE_UTILS, *package, name.lstrip(".")))


def upward_imports(root: Path) -> list[str]:
    """Find imports against the data flow (``MAY_IMPORT``), and layers that are missing there."""
    found = []
    for path in sorted((root / "plugins/module_utils").rglob("*.py")):
        inside = path.relative_to(root / "plugins/module_utils")
        layer = inside.parts[0].removesuffix(".py")
        where = path.relative_to(root)
        if layer == "__init__":
            continue
        if layer not in MAY_IMPORT:
            found.append(f"{where}: {layer} is not a layer; add it to MAY_IMPORT")
            continue
        for line, name in imported_names(path):
            if name.startswith(MODULE_UTILS):
                found.append(f"{where}:{line}: an absolute import; write it relative to this file")
            full = absolute_name(inside, name)
            if full.startswith(COLLECTION):
                inner = full.removeprefix(f"{MODULE_UTILS}.")
                if not any(f"{inner}.".startswith(f"{allowed}.") for allowed in {layer} | MAY_IMPORT[layer]):
                    found.append(f"{where}:{line}: {layer} may not import {full}")
    return found


def unlike_the_map(root: Path) -> list[str]:
    """Find differences between the map in CONTRIBUTING.md and ``MAY_IMPORT``, and files of plugin_utils that are not on it."""
    page = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*`) \| [^|]* \| (-|`[^|]*`) \|$", page, re.MULTILINE)
    mapped = {
        layer: set(re.findall(r"`([\w.]+)`", allowed))
        for layers, allowed in rows
        for layer in re.findall(r"`(\w+)(?:\.py|/)`", layers)
    }
    found = [f"CONTRIBUTING.md: {layer} is not a layer of MAY_IMPORT" for layer in mapped if layer not in MAY_IMPORT]
    for layer, allowed in MAY_IMPORT.items():
        if mapped.get(layer) != allowed - COMMON:
            found.append(f"CONTRIBUTING.md: {layer} may import {', '.join(sorted(allowed - COMMON)) or 'nothing more'}")
    names = (path.name for path in sorted((root / "plugins/plugin_utils").glob("*.py")))
    return found + [f"CONTRIBUTING.md: plugin_utils/{name} is not on the map" for name in names if name not in page]


def stray_paths(root: Path) -> list[str]:
    """Find literal paths of the node outside paths.py; those in /proc and /sys are the kernel's, documentation may quote any."""
    found = []
    for path in plugin_files(root):
        inside = path.relative_to(root / "plugins")
        if inside.parts[0] in DOCUMENTED or inside == Path("module_utils/paths.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            f"{path.relative_to(root)}:{node.lineno}: the path {node.value!r} belongs in module_utils/paths.py"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
            if NODE_PATH.search(node.value)
        ]
    return found


def documentation_lines(path: Path) -> set[int]:
    """Return the numbers of the lines of a module that are its documentation."""
    names = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    return {
        number
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in names
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def stray_case_names(root: Path) -> list[str]:
    """Find names of cases outside their table, their compilers and the documentation of modules."""
    found = []
    for path in plugin_files(root):
        where = path.relative_to(root)
        if where.as_posix() in NAME_CASES:
            continue
        documentation = documentation_lines(path) if where.parts[1] == "modules" else set()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            match = CASE_NAMES.search(line)
            if match and number not in documentation:
                found.append(f"{where}:{number}: names {match.group()}; read declaration/case_traits.py instead")
    return found


def lists_of_kinds(root: Path) -> list[str]:
    """Find lists and dictionaries that name three or more kinds of objects; the registry of kinds is the only list."""
    registry = root / "plugins/module_utils/state/kinds.py"
    if not registry.is_file():
        return []
    names = {
        name for pair in re.findall(r'Kind\("(\w+)", "(\w+)"', registry.read_text(encoding="utf-8")) for name in pair
    }
    found = []
    for path in sorted((root / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            members = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
            named = [member.value for member in members if isinstance(member, ast.Constant) and member.value in names]
            if len(named) > 2:
                found.append(
                    f"{path.relative_to(root)}:{node.lineno}: lists kinds ({', '.join(named)}); read {registry.name}"
                )
    return found


def incomplete_roles(root: Path) -> list[str]:
    """Find roles that lack a file that users, ansible-doc or a Galaxy server read."""
    files = ("README.md", "defaults/main.yml", "meta/main.yml", "meta/argument_specs.yml")
    roles = [path for path in sorted(root.glob("roles/*")) if path.is_dir()]
    return [f"roles/{role.name}: lacks {name}" for role in roles for name in files if not (role / name).is_file()]


def defaults_unlike_specs(root: Path) -> list[str]:
    """Find variables whose default in defaults/main.yml is not the one that argument_specs.yml documents.

    An option that is required, or whose default depends on the inventory, stands in the specification alone.
    """
    found = []
    for specs in sorted(root.glob("roles/*/meta/argument_specs.yml")):
        role = specs.parent.parent
        defaults = load(role / "defaults/main.yml") or {}
        options: dict[str, Any] = {}
        for entry_point in load(specs)["argument_specs"].values():
            options |= entry_point.get("options", {})
        where = f"roles/{role.name}"
        found += [f"{where}: {name} has a default but no specification" for name in sorted(defaults.keys() - options)]
        for name, option in sorted(options.items()):
            if name not in defaults:
                if "default" in option:
                    found.append(f"{where}: {name} has a default by specification and none in defaults/main.yml")
            elif option.get("default", defaults[name]) != defaults[name]:
                found.append(
                    f"{where}: {name} is {defaults[name]!r} by defaults, {option['default']!r} by specification"
                )
    return found


def outdated_role_specs(root: Path) -> list[str]:
    """Find argument specs of roles that differ from what their source and the module's documentation say."""
    return role_specs.outdated(root)


def modules_out_of_group(root: Path) -> list[str]:
    """Find modules that ``module_defaults`` of the action group would not reach."""
    group = set(load(root / "meta/runtime.yml")["action_groups"]["all"])
    return [
        f"plugins/modules/{name}.py: not in the action group of meta/runtime.yml" for name in module_names(root) - group
    ]


def group_without_modules(root: Path) -> list[str]:
    """Find names in the action group that are no modules."""
    group = set(load(root / "meta/runtime.yml")["action_groups"]["all"])
    return [f"meta/runtime.yml: {name} is not in plugins/modules" for name in sorted(group - module_names(root))]


def unannounced_modules(root: Path) -> list[str]:
    """Find modules that the changelog does not list as new."""
    listed = {
        plugin["name"]
        for release in load(root / "changelogs/changelog.yaml")["releases"].values()
        for plugin in release.get("modules", [])
    }
    return [
        f"changelogs/changelog.yaml: no word of {name}: make changelog" for name in sorted(module_names(root) - listed)
    ]


def loose_pins(root: Path) -> list[str]:
    """Find development requirements without an exact version."""
    lines = (
        (path, line)
        for path in root.glob("requirements/*.txt")
        for line in path.read_text(encoding="utf-8").splitlines()
    )
    return [
        f"{path.relative_to(root)}: {line}: not pinned with =="
        for path, line in lines
        if not path.name.startswith("debian") and line and not line.startswith("#") and "==" not in line
    ]


def unknown_commands(root: Path) -> list[str]:
    """Find ``make`` commands in the documentation that the Makefile does not have."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    found = []
    for path in sorted(
        [
            *root.glob("*.md"),
            *root.glob("docs/**/*.md"),
            *(page for folder in ("bench", "demo", "tests") for page in root.glob(f"{folder}/**/*.md")),
        ]
    ):
        used = set(re.findall(r"(?:^|`|&& )make ([a-z][a-z-]*)", path.read_text(encoding="utf-8"), re.MULTILINE))
        found += [
            f"{path.relative_to(root)}: make {name} is no target of the Makefile" for name in sorted(used - targets)
        ]
    return found


#: Each check with the files of a wrong checkout and a part of what the check has to say about it.
WRONG: dict[Check, list[tuple[dict[str, str], str]]] = {
    strings_of_elsewhere: [
        ({"docs/a.md": "first\nsee /wor" + "k/main"}, "docs/a.md:2"),
        ({"a.txt": "https://pypi" + ".org/simple"}, "a.txt:1"),
    ],
    words_to_avoid: [
        ({"docs/a.md": "Fine.\nA route of ours."}, "docs/a.md:2: ours"),
        ({"plugins/module_utils/a.py": "# it was put back"}, "a.py:1: put back"),
        ({"README.md": "The agent heals it."}, "README.md:1: heals"),
    ],
    long_files: [({"plugins/modules/m.py": "\n" * (MAX_LINES + 1)}, "401 lines")],
    missing_headers: [({"plugins/modules/m.py": "# GNU General Public License v3.0+\n"}, "SPDX")],
    upward_imports: [
        ({"plugins/module_utils/kernel/k.py": "from ..cases import compile"}, "kernel may not import"),
        ({"plugins/module_utils/kernel/iptables/k.py": "from ...planning.plan import Plan"}, "kernel may not import"),
        ({"plugins/module_utils/kernel/k.py": f"import {MODULE_UTILS}.declaration.pools"}, "kernel may not import"),
        ({"plugins/module_utils/cases/c.py": "from .. import kernel"}, "cases may not import"),
        ({"plugins/module_utils/engine.py": "from .agent import cli"}, "engine may not import"),
        ({"plugins/module_utils/state/s.py": "def f():\n    from ..planning import x"}, "s.py:2: state may not"),
        ({"plugins/module_utils/planning/p.py": f"import {COLLECTION}.plugins.modules.ip_rules"}, "planning may not"),
        ({"plugins/module_utils/planning/p.py": f"from {MODULE_UTILS}.state import Step"}, "an absolute import"),
        ({"plugins/module_utils/helpers.py": ""}, "helpers is not a layer"),
    ],
    unlike_the_map: [
        ({"CONTRIBUTING.md": "| `state/` | values | `kernel` |"}, "state may import nothing more"),
        ({"CONTRIBUTING.md": "| `cases/` | cases | `state` |"}, "cases may import declaration, state"),
        ({"CONTRIBUTING.md": "| `other.py` | more | - |"}, "other is not a layer"),
        ({"CONTRIBUTING.md": "", "plugins/plugin_utils/p.py": ""}, "plugin_utils/p.py is not on the map"),
    ],
    stray_paths: [
        ({"plugins/module_utils/kernel/k.py": 'LOCK = "/run/homeward.lock"'}, "k.py:1: the path '/run/homeward.lock'"),
        (
            {"plugins/module_utils/k.py": 'def f(n):\n    """See /etc/x."""\n    return f"/var/lib/{n}"'},
            "k.py:3: the path",
        ),
        ({"plugins/action/a.py": 'NAMES = ("etc/kubernetes/kubelet.conf",)'}, "a.py:1: the path"),
    ],
    stray_case_names: [
        ({"plugins/module_utils/engine.py": "\nif case == 'policy_routing':"}, "engine.py:2: names policy_routing"),
        ({"plugins/module_utils/cases/groups.py": "cases = (SOURCE_ROUTING,)"}, "groups.py:1: names SOURCE_ROUTING"),
        (
            {"plugins/modules/m.py": "RETURN = r'''onlink_route'''\ndefault = 'onlink_route'"},
            "m.py:2: names onlink_route",
        ),
    ],
    lists_of_kinds: [
        (
            {
                "plugins/module_utils/state/kinds.py": "".join(f'Kind("{name}", "{name}s")\n' for name in "abc"),
                f"plugins/module_utils/agent/{name}.py": text,
            },
            f"{name}.py:1: lists kinds",
        )
        for name, text in (
            ("d", 'ORDER = {"a": 1, "bs": 2, "c": 3}'),
            ("l", 'ALL = frozenset({"as", "bs", "cs", "x"})'),
        )
    ]
    + [
        (
            {
                "plugins/module_utils/state/kinds.py": "".join(f'Kind("{name}", "{name}s")\n' for name in "abc"),
                "plugins/plugin_utils/d.py": 'ORDER = ("as", "bs", "cs")',
            },
            "plugin_utils/d.py:1: lists kinds",
        )
    ],
    incomplete_roles: [({"roles/r/README.md": ""}, "roles/r: lacks meta/argument_specs.yml")],
    defaults_unlike_specs: [
        (
            {"roles/r/defaults/main.yml": "a: 1", "roles/r/meta/argument_specs.yml": "argument_specs: {main: {}}"},
            "a has a default but no specification",
        ),
        (
            {
                "roles/r/defaults/main.yml": "",
                "roles/r/meta/argument_specs.yml": "argument_specs: {main: {options: {a: {default: 1}}}}",
            },
            "a has a default by specification and none",
        ),
        (
            {
                "roles/r/defaults/main.yml": "a: 2",
                "roles/r/meta/argument_specs.yml": "argument_specs: {main: {options: {a: {default: 1}}}}",
            },
            "a is 2 by defaults, 1 by specification",
        ),
    ],
    outdated_role_specs: [
        (
            {
                "tools/role_specs.yml": "node: {options: {my_pools: {from: pools, default: []}}}",
                "plugins/doc_fragments/node.py": "",
                "plugins/modules/pool_routing.py": 'DOCUMENTATION = "options: {pools: {type: list}}"',
                "roles/node/meta/argument_specs.yml": "argument_specs: {main: {options: {my_pools: {type: str}}}}",
            },
            "roles/node/meta/argument_specs.yml: out of date",
        ),
    ],
    modules_out_of_group: [
        ({"plugins/modules/m.py": "", "meta/runtime.yml": "action_groups: {all: [other]}"}, "m.py: not in"),
    ],
    group_without_modules: [
        ({"plugins/modules/m.py": "", "meta/runtime.yml": "action_groups: {all: [m, gone]}"}, "gone is not in"),
    ],
    unannounced_modules: [
        ({"plugins/modules/m.py": "", "changelogs/changelog.yaml": "releases: {0.1.0: {}}"}, "no word of m"),
    ],
    loose_pins: [({"requirements/controller.txt": "ruff>=1"}, "ruff>=1: not pinned")],
    unknown_commands: [({"Makefile": "help:\n", "README.md": "Run `make coffee`."}, "make coffee")],
}


@pytest.mark.parametrize("check", WRONG, ids=lambda check: check.__name__)
def test_this_checkout_is_right(check: Check) -> None:
    found = check(ROOT)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("check", "files", "expected"),
    [(check, files, expected) for check, trees in WRONG.items() for files, expected in trees],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_checkout_is_noticed(check: Check, files: dict[str, str], expected: str, tmp_path: Path) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = check(tmp_path)
    assert any(expected in line for line in found), f"nothing like '{expected}' in {found}"


def test_no_test_imports_what_is_the_controllers() -> None:
    """Modules that are tested in the same process think that they run on the controller, and do not return their warnings."""
    assert "ansible.errors" not in sys.modules
