#!/usr/bin/env python3
"""Writes fold_han.inc: traditional characters and their simplified forms, one character each.

The pairs are OpenCC's TSCharacters.txt (Apache-2.0, see LICENSE.opencc here), as in the PyPI package
opencc-python-reimplemented 0.1.7, which gives what OpenCC 1.1.6's t2s does to single characters:

    pip download --no-deps opencc-python-reimplemented==0.1.7
    python3 -m zipfile -e opencc_python_reimplemented-0.1.7-*.whl opencc
    python3 make_fold_han.py opencc/opencc/dictionary/TSCharacters.txt > fold_han.inc

Where a character has more than one simplified form the first, most frequent one counts. Only
sources in U+4E00-9FFF are taken: others are too rare to be in any vocabulary.
"""

import sys


def pairs(path):
    for line in open(path, encoding="utf-8"):
        source, targets = line.rstrip("\n").split("\t")
        target = targets.split(" ")[0]
        if len(source) == len(target) == 1 and source != target and "一" <= source <= "\u9fff":
            yield ord(source), ord(target)


def main():
    rows = sorted(pairs(sys.argv[1]))
    print("/* Made by make_fold_han.py from OpenCC's TSCharacters.txt (Apache-2.0, LICENSE.opencc). */")
    for i in range(0, len(rows), 4):
        print(" ".join("{0x%04x, 0x%04x}," % row for row in rows[i : i + 4]))


main()
