#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes a Markdown page of each D-Bus interface description: reference.py [--check] FOLDER FILE...

Comments stand before what they describe, as gdbus-codegen wants them: "Name:" or "Name: summary", "@argument: text", then Markdown.
A member or argument without a comment, or a comment that names something else, is an error.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

EMITS_CHANGED = "org.freedesktop.DBus.Property.EmitsChangedSignal"
CHANGES = {
    "true": "changes are signalled",
    "invalidates": "changes are signalled without the value",
    "const": "never changes",
    "false": "changes are not signalled",
}


class Comment:
    """What a comment says: a summary, arguments, text."""

    def __init__(self, raw, name, where):
        lines = [line.rstrip() for line in raw.expandtabs().strip("\n").splitlines()]
        indent = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
        lines = "\n".join(line[indent:] for line in lines).strip().split("\n")
        title, colon, self.summary = lines.pop(0).partition(":")
        if title != name or not colon:
            raise SystemExit(f'{where}: the comment before it is titled "{title}", expected "{name}:"')
        self.summary = self.summary.strip()
        self.arguments = {}
        current = None
        while lines and (match := re.match(r"@([\w-]+): *(.*)", lines[0])) or (lines and current and lines[0].startswith(" ")):
            line = lines.pop(0)
            if match := re.match(r"@([\w-]+): *(.*)", line):
                current = match[1]
                self.arguments[current] = match[2]
            else:
                self.arguments[current] += " " + line.strip()
        self.text = "\n".join(lines).strip()


def commented(parent, where):
    """The elements of parent, each with the comment before it."""
    comment = None
    for child in parent:
        if child.tag is ElementTree.Comment:
            comment = child.text
        elif child.tag in ("interface", "method", "signal", "property"):
            place = f'{where}: {child.tag} {child.get("name")}'
            if comment is None:
                raise SystemExit(f"{place}: has no comment")
            yield child, Comment(comment, child.get("name"), place), place
            comment = None


def prose(comment):
    return "".join(part + "\n\n" for part in (comment.summary, comment.text) if part)


def arguments(element, direction=None):
    return [a for a in element.findall("arg") if direction is None or a.get("direction") == direction]


def signature(args):
    return ", ".join(f'{a.get("type")} {a.get("name")}' for a in args)


def callable_section(element, comment, where):
    name = element.get("name")
    if element.tag == "method":
        result = signature(arguments(element, "out"))
        head = f'{name}({signature(arguments(element, "in"))})' + (f" -> ({result})" if result else "")
    else:
        head = f"{name}({signature(arguments(element))})"
    page = f"### {name}\n\n    {head}\n\n"
    names = [a.get("name") for a in element.findall("arg")]
    if list(comment.arguments) != names:
        raise SystemExit(f"{where}: the comment describes {list(comment.arguments)}, expected {names}")
    page += "".join(f"- `{n}`: {comment.arguments[n]}\n" for n in names) + ("\n" if names else "")
    return page + prose(comment)


def property_section(element, comment, where):
    emits = next((a.get("value") for a in element.findall("annotation") if a.get("name") == EMITS_CHANGED), "true")
    head = f'`{element.get("type")}`, {element.get("access")}, {CHANGES[emits]}'
    return f'### {element.get("name")}\n\n{head}\n\n' + prose(comment)


def page_of(path):
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.parse(path, parser).getroot()
    page = ""
    for interface, comment, _ in commented(root, path.name):
        page += f"<!-- Made from dbus-interfaces/{path.name} by reference.py: edit that instead. -->\n"
        page += f'# {interface.get("name")}\n\n{comment.arguments.get("short_description", "")}.\n\n{comment.text}\n\n'
        sections = {"method": ("Methods", callable_section), "signal": ("Signals", callable_section), "property": ("Properties", property_section)}
        members = list(commented(interface, path.name))
        for tag, (title, section) in sections.items():
            page += f"## {title}\n\n"
            page += "".join(section(*member) for member in members if member[0].tag == tag)
    return page.rstrip() + "\n"


def main(arguments_given):
    check = arguments_given[:1] == ["--check"]
    folder, *files = map(Path, arguments_given[check:])
    old = []
    for path in files:
        target = folder / (path.stem + ".md")
        page = page_of(path)
        if not check:
            folder.mkdir(parents=True, exist_ok=True)
            target.write_text(page)
        elif not target.exists() or target.read_text() != page:
            old.append(f"{target} is not what {path.name} makes: run `ninja -C build reference` and commit")
    expected = {path.stem + ".md" for path in files}
    old += [f"{page} is made of no interface any more" for page in folder.glob("*.md") if check and page.name not in expected]
    sys.exit("\n".join(old) or 0)


if __name__ == "__main__":
    main(sys.argv[1:])
