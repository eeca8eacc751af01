# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write roles/*/meta/argument_specs.yml from role_specs.yml and the documentation of the module pool_routing.

Ansible has no documentation fragments for role argument specs, and five roles document the same pools.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
HEADER = "---\n# Written by make role-specs from tools/role_specs.yml and the documentation of pool_routing.\n"
#: A reference to an option of the module in its documentation: the option's name, and what follows it.
REFERENCE = re.compile(r"\bO\((\w+)([^)#]*)\)")
NODE = "homeward.metallb_routing.node#role:main:"


class _Indented(yaml.SafeDumper):
    """Indents the items of lists, as ansible-lint requires."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001
        super().increase_indent(flow, indentless=False)


def module_options(root: Path) -> dict[str, Any]:
    """Return the options of pool_routing as its documentation and its fragments describe them."""
    options: dict[str, Any] = {}
    for path in ("plugins/doc_fragments/node.py", "plugins/modules/pool_routing.py"):
        for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8"))):
            text = node.value.value if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) else ""
            if isinstance(text, str) and "options:" in text:
                options |= yaml.safe_load(text).get("options", {})
    return options


def in_role(option: Any, names: dict[str, str]) -> Any:
    """Return a part of the module's documentation as a role's: suboptions and references renamed.

    :param names: what the role calls an option of the module.
    """
    if isinstance(option, dict):
        return {"options" if key == "suboptions" else key: in_role(value, names) for key, value in option.items()}
    if isinstance(option, list):
        return [in_role(item, names) for item in option]
    if isinstance(option, str):
        return REFERENCE.sub(lambda found: _reference(f"{names[found[1]]}{found[2]}"), option)
    return option


def _reference(name: str) -> str:
    """Return the markup of an option; ``O()`` may name an entry of a list only if Ansible checks that it is one."""
    return f"C({name})" if "[]" in name else f"O({name})"


def unchecked(option: dict[str, Any]) -> dict[str, Any]:
    """Return an option of a role that Ansible does not check, with its type and its choices in the description.

    Ansible's message about an invalid one contains the whole specification, but no remedy. The action plugin of the module
    reports it with path, reason and remedy.
    """
    facts = [f"Type C({option['type']})."] if option["type"] not in ("str", "raw") else []
    facts += [f"One of {', '.join(f'V({choice})' for choice in option['choices'])}."] if "choices" in option else []
    description = option.get("description", [])
    lines = [description] if isinstance(description, str) else list(description)
    changed = {"description": [*lines, " ".join(facts)], "type": "raw"} if facts else {}
    return {key: value for key, value in {**option, **changed}.items() if key not in ("choices", "elements")}


def names_in_role(spec: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the role's name of each option of the module that the role has."""
    return {given["from"]: f"{prefix}{name}" for name, given in spec["options"].items() if "from" in given}


def rendered(root: Path) -> dict[Path, str]:
    """Return the text of every role's argument_specs.yml, by path."""
    documented = module_options(root)
    specs = yaml.safe_load((root / "tools/role_specs.yml").read_text(encoding="utf-8"))
    texts = {}
    for role, spec in specs.items():
        names = names_in_role(specs["node"], prefix=NODE) | names_in_role(spec)
        options = {}
        for name, given in spec["options"].items():
            option = in_role(documented[given["from"]], names) if "from" in given else {}
            option |= {key: value for key, value in given.items() if key != "from"}
            option = unchecked(option)
            options[name] = {key: option[key] for key in sorted(option, key=lambda key: key == "options")}
        content = {"argument_specs": {"main": {"version_added": "0.1.0", **spec, "options": options}}}
        text = yaml.dump(content, Dumper=_Indented, sort_keys=False, width=100)
        texts[root / "roles" / role / "meta/argument_specs.yml"] = HEADER + text
    return texts


def outdated(root: Path) -> list[str]:
    """Return the files that differ from what would be written, one line each."""
    return [
        f"{path.relative_to(root)}: out of date, run make role-specs"
        for path, text in rendered(root).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Write the files; return the exit code."""
    for path, text in rendered(ROOT).items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
