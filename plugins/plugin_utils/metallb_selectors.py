# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label selectors as Kubernetes evaluates them, also where not all labels of a node are known.

The rules are those of ``LabelSelectorAsSelector`` in k8s.io/apimachinery: the requirements of one selector must all be met,
``NotIn`` also matches an object without the label, and an empty selector matches everything. Of several selectors one
must match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.option_reader import ErrorCollector
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import printable

#: What precedes the pool's name in the label that tells that a node is ready for it.
READY_PREFIX = "metallb-routing.homeward/"

_WITH_VALUES = ("In", "NotIn")
_WITHOUT_VALUES = ("Exists", "DoesNotExist")
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")

#: True, False, or None if it is not known.
Answer = Optional[bool]


@dataclass(frozen=True)
class Labels:
    """The labels of an object.

    :param known: the keys of which is known whether the object has them; None if all labels are known.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    known: frozenset[str] | None = None

    def knows(self, key: str) -> bool:
        """Whether it is known if the object has this label."""
        return self.known is None or key in self.known or key in self.values


@dataclass(frozen=True)
class Requirement:
    """One requirement of a selector; ``matchLabels`` is ``In`` with one value.

    :param operator: ``In``, ``NotIn``, ``Exists`` or ``DoesNotExist``.
    """

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Labels) -> Answer:
        """Whether an object with these labels meets the requirement."""
        if self.key.startswith(READY_PREFIX) and self.operator in ("In", "Exists"):
            return True  # apply sets this label, so it cannot decide which nodes apply configures
        if not labels.knows(self.key):
            return None
        value = labels.values.get(self.key)
        if self.operator == "In":
            return value is not None and value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        return (value is not None) == (self.operator == "Exists")


@dataclass(frozen=True)
class Selector:
    """A ``LabelSelector``."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> Answer:
        """Whether all requirements are met; an unknown one leaves it open unless another is not met."""
        answers = {requirement.matches(labels) for requirement in self.requirements}
        if False in answers:
            return False
        return None if None in answers else True


def any_matches(selectors: Iterable[Selector], labels: Labels) -> Answer:
    """Whether one of the selectors matches; False if there is none."""
    answers = {selector.matches(labels) for selector in selectors}
    if True in answers:
        return True
    return None if None in answers else False


def unknown_keys(selectors: Iterable[Selector], labels: Labels) -> set[str]:
    """Return the keys of labels that leave it open whether the selectors match."""
    return {
        requirement.key
        for selector in selectors
        for requirement in selector.requirements
        if selector.matches(labels) is None and requirement.matches(labels) is None
    }


def read_labels(errors: ErrorCollector, path: str, value: Any) -> dict[str, str]:
    """Return a mapping of labels; what Kubernetes would refuse is an error."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        errors.add(path, f"{printable(value)} is not a mapping", "Give labels as KEY: VALUE.")
        return {}
    labels = {}
    for key, text in value.items():
        if _check_key(errors, path, key) and _check_value(errors, f"{path}.{key}", text):
            labels[key] = text
    return labels


def read_selectors(errors: ErrorCollector, path: str, value: Any) -> tuple[Selector, ...]:
    """Return a list of selectors; what Kubernetes would refuse is an error."""
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        errors.add(path, f"{printable(value)} is not a list", "Put a dash before each selector.")
        return ()
    return tuple(_read_selector(errors, f"{path}[{index}]", item) for index, item in enumerate(value))


def _read_selector(errors: ErrorCollector, path: str, value: Any) -> Selector:
    if not isinstance(value, (Mapping, type(None))):
        errors.add(path, f"{printable(value)} is not a selector", "Give matchLabels or matchExpressions.")
        return Selector()
    given = value or {}
    for name in given:
        if name not in ("matchLabels", "matchExpressions"):
            remedy = "Labels belong below matchLabels, expressions below matchExpressions."
            errors.add(f"{path}.{printable(name)}", "a selector has no such field", remedy)
    labels = read_labels(errors, f"{path}.matchLabels", given.get("matchLabels"))
    requirements = [Requirement(key, "In", frozenset({text})) for key, text in sorted(labels.items())]
    expressions = given.get("matchExpressions") or ()
    if not isinstance(expressions, (list, tuple)):
        problem = f"{printable(expressions)} is not a list"
        errors.add(f"{path}.matchExpressions", problem, "Put a dash before each expression.")
        expressions = ()
    for index, item in enumerate(expressions):
        requirement = _read_requirement(errors, f"{path}.matchExpressions[{index}]", item)
        requirements += [requirement] if requirement else []
    return Selector(tuple(requirements))


def _read_requirement(errors: ErrorCollector, path: str, value: Any) -> Requirement | None:
    if not isinstance(value, Mapping):
        errors.add(path, f"{printable(value)} is not a mapping", "Give key, operator and, for In and NotIn, values.")
        return None
    before = len(errors)
    key, operator, values = value.get("key"), value.get("operator"), value.get("values")
    _check_key(errors, f"{path}.key", key)
    if operator not in (*_WITH_VALUES, *_WITHOUT_VALUES):
        remedy = f"Kubernetes has {', '.join((*_WITH_VALUES, *_WITHOUT_VALUES))}."
        errors.add(f"{path}.operator", f"{printable(operator)} is not an operator", remedy)
        return None
    items = [] if values is None else values
    if not isinstance(items, (list, tuple)):
        errors.add(f"{path}.values", f"{printable(values)} is not a list", "Put the values in brackets.")
        return None
    if bool(items) != (operator in _WITH_VALUES):
        problem = f"{operator} needs values" if operator in _WITH_VALUES else f"{operator} allows no values"
        errors.add(f"{path}.values", problem, "Correct the operator or the values; Kubernetes refuses this selector.")
    for index, item in enumerate(items):
        _check_value(errors, f"{path}.values[{index}]", item)
    return Requirement(str(key), str(operator), frozenset(items)) if len(errors) == before else None


def _check_key(errors: ErrorCollector, path: str, key: Any) -> bool:
    valid = isinstance(key, str) and bool(_KEY.fullmatch(key))
    if not valid:
        remedy = "Give a name as in app or kubernetes.io/hostname: letters, digits, dashes, underscores and dots."
        errors.add(path, f"{printable(key)} is not the key of a label", remedy)
    return valid


def _check_value(errors: ErrorCollector, path: str, value: Any) -> bool:
    if isinstance(value, str):
        valid = bool(_VALUE.fullmatch(value))
        remedy = (
            "A value has up to 63 letters, digits, dashes, underscores and dots, with a letter or digit at both ends."
        )
    else:
        valid, remedy = False, "Put it in quotes; Kubernetes accepts only strings."
    if not valid:
        errors.add(path, f"{printable(value)} is not the value of a label", remedy)
    return valid
