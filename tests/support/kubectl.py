#!/usr/bin/python3
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A substitute for kubectl and the API server: objects in a file, changed and printed as kubectl does.

    kubectl.py FILE get ipaddresspools.metallb.io,nodes --all-namespaces --output=json

Output, messages and exit status are those of kubectl 1.32 for the commands that this collection uses; README.md says what is
missing. Each call is appended to FILE.calls. Needs only the standard library, as it runs on nodes.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Object = dict[str, Any]
Objects = list[Object]
Command = Callable[[Objects, Mapping[str, str], Sequence[str]], str]

PLURALS = {"node": "Node", "nodes": "Node", "service": "Service", "services": "Service", "pods": "Pod", "pod": "Pod"}
CLUSTER_WIDE = ("Node",)
REFUSED = "The connection to the server localhost:8080 was refused - did you specify the right host or port?"


class Failure(Exception):
    """kubectl ends with an error."""


def kind_of(objects: Objects, resource: str) -> str:
    """Return the kind of a resource; a kind without its definition is not known to the server."""
    name = resource.partition(".")[0]
    if name in PLURALS:
        return PLURALS[name]
    for definition in objects:
        if definition["kind"] == "CustomResourceDefinition" and definition["spec"]["names"]["plural"] == name:
            return str(definition["spec"]["names"]["kind"])
    raise Failure(f'error: the server doesn\'t have a resource type "{name}"')


def options(words: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options by name, and the other words."""
    found: dict[str, str] = {}
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        short = {"-n": "--namespace", "-o": "--output", "-f": "--filename"}.get(word, word)
        if short in ("--all-namespaces", "--overwrite"):
            found[short[2:]] = "true"
        elif short.startswith("--"):
            name, equals, value = short[2:].partition("=")
            found[name] = value if equals else left.pop(0)
        else:
            rest.append(word)
    return found, rest


def get(objects: Objects, given: Mapping[str, str], words: Sequence[str]) -> str:
    """Print objects."""
    kinds = [kind_of(objects, resource) for resource in words[0].split(",")]
    namespace = given.get("namespace", "default")
    items = [
        one
        for kind in kinds
        for one in objects
        if one["kind"] == kind
        and (kind in CLUSTER_WIDE or "all-namespaces" in given or one["metadata"].get("namespace") == namespace)
        and (len(words) < 2 or one["metadata"]["name"] in words[1:])
    ]
    result = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
    output = given.get("output", "")
    if output == "json":
        return json.dumps(result, indent=4) + "\n"
    if output.startswith("jsonpath="):
        return template(output.partition("=")[2], result)
    return "".join(f"{one['metadata']['name']}\n" for one in items)


def template(text: str, value: Any) -> str:
    """Evaluate a template of JSONPath with ranges, fields and texts in quotes."""
    parts = re.findall(r"\{[^}]*\}|[^{]+", text)
    result, rest = evaluate(parts, value)
    if rest:
        raise Failure("error: error parsing jsonpath, unmatched end")
    return result


def evaluate(parts: Sequence[str], value: Any) -> tuple[str, Sequence[str]]:
    """Return the text of the parts up to the end of their range, and what follows it."""
    result = ""
    while parts:
        part, parts = parts[0], parts[1:]
        if part == "{end}":
            return result, parts
        if part.startswith("{range "):
            items = values(part[7:-1].strip(), value)
            texts = [evaluate(parts, item) for item in items]
            _skipped, after = evaluate(parts, {})
            result, parts = result + "".join(text for text, _rest in texts), after
        elif part.startswith('{"'):
            result += json.loads(part[1:-1])
        elif part.startswith("{"):
            result += " ".join(printed(item) for item in values(part[1:-1].strip(), value))
        else:
            result += part
    return result, parts


def values(path: str, value: Any) -> list[Any]:
    """Return what a path selects; what is missing selects nothing."""
    found = [value]
    for field, every in re.findall(r"\.((?:[\w/-]|\\\.)+)|(\[\*\])", path):
        if every:
            found = [item for one in found if isinstance(one, list) for item in one]
        else:
            key = field.replace("\\.", ".")
            found = [one[key] for one in found if isinstance(one, dict) and key in one]
    return found


def printed(value: Any) -> str:
    """Return a value as kubectl prints it: maps and lists as JSON."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return str(value)


def set_metadata(field: str, verb: str) -> Command:
    """Return the command that sets labels or annotations."""

    def run(objects: Objects, given: Mapping[str, str], words: Sequence[str]) -> str:
        resource = words[0]
        names: list[str] = []
        changes: list[str] = []
        kind = kind_of(objects, resource)
        for word in words[1:]:
            (changes if "=" in word or word.endswith("-") else names).append(word)
        said = ""
        for name in names:
            one = find(objects, kind, resource, name, given.get("namespace", "default"))
            said += change(one, field, verb, changes, overwrite="overwrite" in given, label=f"{kind.lower()}/{name}")
        return said

    return run


def change(one: Object, field: str, verb: str, changes: Iterable[str], overwrite: bool, label: str) -> str:
    """Change the labels or annotations of an object; return what kubectl says."""
    current = one["metadata"].setdefault(field, {})
    before, removed, printed = dict(current), False, ""
    for word in changes:
        if word.endswith("-") and "=" not in word:
            if current.pop(word[:-1], None) is None and field == "labels":
                printed += f'label "{word[:-1]}" not found.\n'
            removed = True
        else:
            key, _equals, value = word.partition("=")
            if current.get(key, value) != value and not overwrite:
                raise Failure(f"error: '{key}' already has a value ({current[key]}), and --overwrite is false")
            current[key] = value
    if current == before and field == "labels":
        return f"{printed}{label} not {verb}\n"
    return f"{printed}{label} {'un' if removed and field == 'labels' else ''}{verb}\n"


def find(objects: Objects, kind: str, resource: str, name: str, namespace: str) -> Object:
    """Return an object."""
    for one in objects:
        where = namespace if kind not in CLUSTER_WIDE else one["metadata"].get("namespace")
        if (one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) == (kind, name, where):
            return one
    plural = f"{kind.lower()}s" if resource.rstrip("s") == kind.lower() else resource
    raise Failure(f'Error from server (NotFound): {plural} "{name}" not found')


def apply(objects: Objects, given: Mapping[str, str], _words: Sequence[str]) -> str:
    """Create or replace the objects in a list of JSON on the standard input."""
    if given.get("filename") != "-":
        raise Failure("error: only the standard input is supported")
    applied = json.load(sys.stdin)
    printed = ""
    for item in applied["items"] if applied["kind"] == "List" else [applied]:
        kind_of(objects, f"{item['kind'].lower()}s")
        same = [
            one
            for one in objects
            if one["kind"] == item["kind"]
            and [one["metadata"].get(key) for key in ("name", "namespace")]
            == [item["metadata"].get(key) for key in ("name", "namespace")]
        ]
        what = "created"
        if same:
            what = "unchanged" if same[0]["spec"] == item["spec"] else "configured"
            same[0].update(item)
        else:
            objects.append(item)
        group = item["apiVersion"].partition("/")[0]
        printed += f"{item['kind'].lower()}.{group}/{item['metadata']['name']} {what}\n"
    return printed


COMMANDS = {
    "get": get,
    "apply": apply,
    "label": set_metadata("labels", "labeled"),
    "annotate": set_metadata("annotations", "annotated"),
}


def main() -> int:
    """Run one command; return the exit status."""
    file = Path(sys.argv[1])
    given, words = options(sys.argv[2:])
    with file.with_suffix(".calls").open("a") as calls:
        fcntl.flock(calls, fcntl.LOCK_EX)
        calls.write(json.dumps(sys.argv[2:]) + "\n")
        if "KUBECONFIG" not in os.environ and not Path(os.environ.get("HOME", "/"), ".kube/config").exists():
            print(REFUSED, file=sys.stderr)
            return 1
        objects = json.loads(file.read_text())
        before = json.dumps(objects)
        try:
            text = COMMANDS[words[0]](objects, given, words[1:])
        except Failure as failure:
            print(failure, file=sys.stderr)
            return 1
        if json.dumps(objects) != before:
            file.write_text(json.dumps(objects))
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
