#!/usr/bin/env python3
"""The names the shared library exports are those of the reviewed list, and those the public headers declare.

check_exports.py LIBRARY SOURCE_ROOT
"""
import os
import re
import subprocess
import sys

# Put there by the linker or by sanitizers.
NOT_OURS = re.compile(r"^(_init|_fini|_edata|_end|__bss_start|__odr_asan.*|__asan.*|__lsan.*|__gcov.*|__llvm.*|mangle_path)$")


def declared(root):
    for header in sorted(os.listdir(os.path.join(root, "include/llmcache"))):
        text = open(os.path.join(root, "include/llmcache", header), encoding="utf-8").read()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        yield from re.findall(r"^LLMCACHE_EXPORT\b[^;()]*?(\w+)\s*\(", text, flags=re.M)


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, check=True, text=True)
    for line in out.stdout.split("\n"):
        name = line.split(" ")[-1].split("@")[0]
        if name and not NOT_OURS.match(name):
            yield name


def main(library, root):
    listed = set(open(os.path.join(root, "tests/lint/exports.txt"), encoding="utf-8").read().split())
    in_headers, in_library = set(declared(root)), set(exported(library))
    wrong = [f"{name} is exported but not in exports.txt" for name in sorted(in_library - listed)]
    wrong += [f"{name} is in exports.txt but not exported" for name in sorted(listed - in_library)]
    wrong += [f"{name} is declared but not in exports.txt" for name in sorted(in_headers - listed)]
    wrong += [f"{name} is in exports.txt but not declared" for name in sorted(listed - in_headers)]
    wrong += [f"{name} does not start with llmcache_" for name in sorted(listed) if not name.startswith("llmcache_")]
    print("\n".join(wrong) or f"{len(listed)} names")
    return 1 if wrong or not listed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
