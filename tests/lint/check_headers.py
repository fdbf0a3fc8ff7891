#!/usr/bin/env python3
"""Each public header compiles alone, as C99 and as C++11, without a warning.

check_headers.py INCLUDE_FOLDER C_COMPILER CXX_COMPILER_OR_EMPTY
"""
import os
import shlex
import subprocess
import sys

FLAGS = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wstrict-prototypes", "-Werror"]


def main(include, cc, cxx):
    wrong, checked = [], 0
    for header in sorted(os.listdir(os.path.join(include, "llmcache"))):
        for compiler, language, standard in ((cc, "c", "c99"), (cc, "c", "c17"), (cxx, "c++", "c++11")):
            if not compiler:
                print("no C++ compiler: not checked as C++11")
                continue
            flags = [flag for flag in FLAGS if language == "c" or flag != "-Wstrict-prototypes"]
            command = [*shlex.split(compiler), *flags, f"-std={standard}", "-x", language, "-I", include, "-"]
            # Twice, so that the guard is seen to work.
            source = f"#include <llmcache/{header}>\n#include <llmcache/{header}>\nextern int x;\n"
            run = subprocess.run(command, input=source, text=True, capture_output=True)
            checked += 1
            if run.returncode:
                wrong.append(f"{header} as {standard}:\n{run.stderr}")
    print("\n".join(wrong) or f"{checked} compilations")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
