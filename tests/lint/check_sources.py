#!/usr/bin/env python3
"""How the sources look from outside: unique file names, files and functions of a size one can read,
one place for memory and time, nothing half done.

check_sources.py SOURCE_ROOT

What is larger for a good reason stands in size_exceptions.txt with that reason.
"""
import collections
import os
import re
import subprocess
import sys

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_TEST_FILE = 700  # cases one after the other; nobody reads them from the start
MOST_LINES_OF_A_FUNCTION = 60
SAME_NAME_IS_FINE = {"meson.build", "README.md", ".gitignore"}
CODE = (".c", ".h", ".cc", ".cpp", ".py", ".def")

# Only these files may call these functions.
ONLY_HERE = {
    r"\b(malloc|calloc|realloc|free|strdup|strndup|asprintf|vasprintf)\(": ("lib/base/memory.c", "memory goes through base/memory.h"),
    r"\b(clock_gettime|gettimeofday|time|nanosleep|usleep|sleep)\(": ("lib/base/clock.c", "time comes from base/clock.h or as an argument"),
    r"\b(exit|abort|setlocale|signal|sigaction|printf|puts|perror)\(": (None, "the library never prints, exits or touches the process"),
}


def tracked_files():
    try:
        out = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True, text=True).stdout
        names = [name for name in out.split("\0") if name and os.path.exists(name)]
    except (OSError, subprocess.CalledProcessError):
        names = []
    if names:
        return names
    return [os.path.join(where, name)[2:] for where, _, found in os.walk(".")
            if not where.startswith(("./build", "./.git", "./.venv", "./.node", "./data")) for name in found]


def read(path):
    return open(path, encoding="utf-8", errors="replace").read()


def without_comments(text):
    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def functions(text):
    """(name, lines) of each function: from its name's line to the brace that closes it at the margin."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line != "{":
            continue
        first = number
        while first and lines[first - 1].strip() and not lines[first - 1].startswith(("}", "#", "/*", " */", "{")):
            first -= 1
        head = " ".join(lines[first:number])
        name = re.search(r"\bTest\((\w+, \w+)", head) or re.search(r"(\w+)\s*\(", head)
        last = next((i for i in range(number, len(lines)) if lines[i].startswith("}")), None)
        if name and last:
            yield name[1].replace(", ", "::"), last - first + 1


def check_names(names):
    places = collections.defaultdict(list)
    for name in names:
        if not name.startswith("examples/"):  # each stands alone, under the name the manual gives it
            places[os.path.basename(name)].append(name)
    for base, paths in sorted(places.items()):
        if len(paths) > 1 and base not in SAME_NAME_IS_FINE:
            yield f"{base} is the name of more than one file: {', '.join(paths)}"


def check_sizes(names, exceptions):
    used = set()
    for path in names:
        if not path.endswith(CODE) or path.endswith(".def"):
            continue
        text = read(path)
        count = text.count("\n")
        most = MOST_LINES_OF_A_TEST_FILE if path.startswith("tests/") else MOST_LINES_OF_A_FILE
        found = [(path, count, most)]
        if path.endswith(".c"):
            found += [(f"{path}:{name}", size, MOST_LINES_OF_A_FUNCTION) for name, size in functions(text)]
        for what, size, limit in found:
            if size > limit and what in exceptions:
                used.add(what)
            elif size > limit:
                yield f"{what} has {size} lines, more than {limit}"
    for what in sorted(set(exceptions) - used):
        print(f"size_exceptions.txt: {what} is no longer too large, or gone")


def check_calls(names):
    for path in names:
        if not path.startswith("lib/") or not path.endswith((".c", ".h")):
            continue
        for number, line in enumerate(without_comments(read(path)).split("\n"), 1):
            for pattern, (home, why) in ONLY_HERE.items():
                found = re.search(r"(?<![\w.>])" + pattern[2:], line)
                if found and path != home:
                    yield f"{path}:{number}: {found[1]}: {why}"


def check_words(names):
    for path in names:
        if path.endswith(CODE) and not path.endswith("check_sources.py"):
            for number, line in enumerate(read(path).split("\n"), 1):
                if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                    yield f"{path}:{number}: something is left to do here"
                if line != line.rstrip() or "\t" in line:
                    yield f"{path}:{number}: tab or blank at the end"


def main(root):
    os.chdir(root)
    names = tracked_files()
    exceptions = {}
    for line in read("tests/lint/size_exceptions.txt").split("\n"):
        if line and not line.startswith("#"):
            what, _, reason = line.partition("  ")
            exceptions[what] = reason.strip()
    wrong = [f"size_exceptions.txt: {what} has no reason" for what, reason in exceptions.items() if not reason]
    wrong += [*check_names(names), *check_sizes(names, exceptions), *check_calls(names), *check_words(names)]
    print("\n".join(wrong) or f"{len(names)} files are fine")
    return 1 if wrong or not names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
