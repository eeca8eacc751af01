# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx configuration for the pages that antsibull-docs generates; used by tools/build_docs.py."""

project = "homeward.metallb_routing"
author = "the homeward.metallb_routing authors"
extensions = ["sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
default_role = "any"
nitpicky = True
highlight_language = "YAML+Jinja"
html_theme = "alabaster"
html_use_smartypants = True
html_copy_source = False
# build_docs.py writes ansible.inv, so that the build needs no network.
intersphinx_mapping = {"ansible": ("https://docs.ansible.com/projects/ansible/latest/", "ansible.inv")}
