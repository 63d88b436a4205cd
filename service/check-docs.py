#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-docs.py PLUGIND PAGE.md: each option of --help stands in the page, and the page has no other."""
import re
import subprocess
import sys

program, page_path = sys.argv[1:]
help_text = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
with open(page_path, encoding="utf-8") as page:
    options = re.search(r"^## OPTIONS\n(.*?)(?=^## )", page.read(), re.M | re.S)[1]

expected = set(re.findall(r"^  (?:-\w| {2}) (--[a-z-]+=?)", help_text, re.M))
found = set(re.findall(r"(--[a-z-]+=?)", "\n".join(re.findall(r"^### (.*)", options, re.M))))
if len(expected) < 5 or expected != found:
    sys.exit(f"options in {page_path}: missing {sorted(expected - found)}, not in --help {sorted(found - expected)}")
