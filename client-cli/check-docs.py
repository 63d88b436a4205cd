#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-docs.py PLUGINCTL PAGE.md COMPLETION: each verb and option of --help stands in the page and in the completion, and the page has no other."""
import re
import subprocess
import sys

program, page_path, completion_path = sys.argv[1:]
help_text = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
page = open(page_path, encoding="utf-8").read()
completion = open(completion_path, encoding="utf-8").read()

help_verbs = set(re.findall(r"^  ([a-z-]+) ", help_text.split("\nVerbs:\n")[1].split("\nOptions:\n")[0], re.M))
help_options = set(re.findall(r"^  (?:-\w| {2}) (--[a-z-]+=?)", help_text, re.M))
short_options = set(re.findall(r"^  (-\w) ", help_text, re.M))


def section(name):
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.M | re.S)[1]


page_verbs = {name for line in re.findall(r"^### (.*)", section("VERBS"), re.M) for name in re.findall(r"(?:^|, )([a-z-]+)", line)}
page_options = set(re.findall(r"(--[a-z-]+=?)", "\n".join(re.findall(r"^### (.*)", section("OPTIONS"), re.M))))
completion_verbs = set(re.search(r'local verbs="([^"]*)"', completion)[1].split())
completion_options = set(re.findall(r"(?<![\w-])(--[a-z-]+=?)", " ".join(re.findall(r'(?:common|options)="([^"]*)"', completion))))
completion_short = set(re.findall(r"(?<![\w-])(-\w)\b", " ".join(re.findall(r'(?:common|options)="([^"]*)"', completion))))

failed = False
for what, expected, found in [
    ("verbs in the page", help_verbs, page_verbs),
    ("options in the page", help_options, page_options),
    ("verbs in the completion", help_verbs, completion_verbs),
    ("options in the completion", help_options, completion_options),
    ("short options in the completion", short_options, completion_short),
]:
    if len(expected) < 10 or expected != found:
        failed = True
        print(f"{what}: missing {sorted(expected - found)}, not in --help {sorted(found - expected)}")
sys.exit(failed)
