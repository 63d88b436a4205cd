#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes a man page of one of the Markdown pages here: markdown-to-man.py VERSION PAGE.md > PAGE.1

Knows what these pages use and refuses the rest: "# name(section)", "##" and "###" headings, paragraphs, indented code, tables of two
columns, **bold**, *italic* and `literal`."""
import re
import sys


def inline(text):
    text = text.replace("\\", "\\e")
    out = []
    for part in re.split(r"(\*\*[^*]+\*\*|`[^`]+`|\*[^*]+\*)", text):
        if part.startswith("**") or part.startswith("`"):
            out.append("\\fB" + part.strip("*`").replace("-", "\\-") + "\\fR")
        elif part.startswith("*") and len(part) > 1:
            out.append("\\fI" + part.strip("*") + "\\fR")
        else:
            out.append(part)
    line = "".join(out)
    return "\\&" + line if line[:1] in (".", "'") else line


def table(lines):
    for line in lines[2:]:
        left, right = [cell.strip() for cell in line.strip().strip("|").split("|", 1)]
        yield f".TP\n{inline(left)}\n{inline(right)}"


def convert(version, text):
    blocks = re.split(r"\n{2,}", text.strip())
    title = re.fullmatch(r"# ([\w.-]+)\((\d)\)", blocks[0])
    if not title:
        sys.exit(f'the first line is "{blocks[0]}", expected "# name(section)"')
    yield f'.TH {title[1].upper()} {title[2]} "" "plugind {version}"'
    for block in blocks[1:]:
        lines = block.split("\n")
        if block.startswith("## "):
            yield f".SH {block[3:]}"
        elif block.startswith("### "):
            yield f".SS {inline(block[4:])}"
        elif block.startswith("    "):
            code = "\n".join(line[4:] for line in lines).replace("\\", "\\e").replace("-", "\\-")
            yield ".PP\n.RS 4\n.nf\n" + re.sub(r"(?m)^([.'])", r"\\&\1", code) + "\n.fi\n.RE"
        elif block.startswith("|"):
            yield from table(lines)
        elif re.match(r"[#>]|\d+\. |- ", block):
            sys.exit(f'"{lines[0]}": this kind of Markdown is not known here')
        else:
            yield ".PP\n" + inline(" ".join(lines))


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as page:
        print("\n".join(convert(sys.argv[1], page.read())))
