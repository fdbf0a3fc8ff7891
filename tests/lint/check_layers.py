#!/usr/bin/env python3
"""Which file may include what: the rooms of docs/architecture.md, read from the include lines.

check_layers.py SOURCE_ROOT
"""
import fnmatch
import os
import re
import sys

# A room may include itself and these. Rooms not named together do not know of each other.
ROOMS = {
    "base": [],
    "net": ["base"],
    "protocol": ["base"],
    "decide": ["base"],
    "learn": ["decide", "base"],
    "embed": ["net", "base"],
    "index": ["net", "base"],
    "store": ["net", "base"],
    "provider": ["net", "base"],
    "ask": ["protocol", "learn", "decide", "embed", "index", "store", "provider", "net", "base"],
    "api": ["ask", "protocol", "learn", "decide", "embed", "index", "store", "provider", "net", "base"],
}

# No input or output, no clock, no locks: every rule in them is a table-driven test.
PURE = ["protocol", "decide", "learn"]
IMPURE_HEADERS = ["pthread.h", "threads.h", "unistd.h", "fcntl.h", "time.h", "signal.h", "poll.h",
                  "dirent.h", "sys/*", "netinet/*", "arpa/*", "base/clock.h", "base/settings.h"]

# Libraries of others stay in the files that wrap them.
THIRD_PARTY = {
    "curl/*": ["lib/net/*"],
    "hiredis/*": ["lib/net/*", "lib/store/*", "lib/index/redis*"],
    "sqlite3.h": ["lib/store/sqlite*"],
    "libpq-fe.h": ["lib/net/postgres*", "lib/store/postgres*", "lib/index/postgres*"],
    "jansson.h": ["lib/base/json.c", "cli/*", "server/*"],
    "openssl/*": ["lib/base/sha256.c", "lib/net/curl_start.c"],
    "utf8proc.h": ["lib/base/*", "lib/protocol/*", "lib/decide/*", "lib/embed/*", "cli/*"],
    "civetweb.h": ["server/*"],
    "faiss/*": ["lib/index/faiss_shim.cpp"],
    "omp.h": ["lib/index/faiss_shim.cpp"],
    "zlib.h": ["lib/net/*", "server/*"],
}

# What one program lends another.
LENT = {"server": ["shown_json.h", "shown_judgement.h", "shown_observation.h"]}

PUBLIC = ["llmcache/llmcache.h", "llmcache/backend.h", "llmcache/model.h", "llmcache/observe.h",
          "llmcache/tune.h"]

# The system's headers that any file may have; what is missing here is somebody's library.
SYSTEM = """alloca.h assert.h cpuid.h ctype.h dirent.h errno.h fcntl.h float.h ftw.h getopt.h immintrin.h
inttypes.h langinfo.h limits.h locale.h malloc.h math.h poll.h pthread.h pwd.h sched.h signal.h spawn.h stdalign.h stdarg.h
stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h stdnoreturn.h string.h strings.h termios.h time.h
unistd.h wchar.h arm_neon.h netdb.h pwd.h""".split()
# The C++ library's, for the shims around libraries in C++.
CXX_SYSTEM = "algorithm exception memory new vector".split()
SYSTEM_FOLDERS = ["sys/*", "netinet/*", "arpa/*", "asm/*", "linux/*"]


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def check_library_include(room, header):
    """What a file of lib/<room> may have from the library itself."""
    target = header.split("/")[0] if "/" in header else None
    if target is None:
        return f'"{header}" lacks its room: write "{room}/{header}"'
    if target not in ROOMS:
        return f'"{header}" is in no room'
    if target != room and target not in ROOMS[room]:
        return f"{room} may not include {target}"
    return None


def check_system_include(path, header):
    if header.startswith("llmcache/"):
        return None if header in PUBLIC else "no such public header"
    for pattern, places in THIRD_PARTY.items():
        if fnmatch.fnmatch(header, pattern):
            return None if matches(path, places) else f"<{header}> belongs to {', '.join(places)}"
    if header in SYSTEM or matches(header, SYSTEM_FOLDERS) or (path.endswith(".cpp") and header in CXX_SYSTEM):
        return None
    return f"<{header}> is no header this check knows; add it to its table"


def check_include(path, kind, header):
    parts = path.split("/")
    if kind == "<":
        wrong = check_system_include(path, header)
    elif parts[0] == "lib":
        wrong = check_library_include(parts[1], header)
    else:
        wrong = f'"{header}" is not in {parts[0]}/: programs see <llmcache/...> only'
        here = os.path.join(os.path.dirname(path), header)
        if os.path.exists(here) or header in LENT.get(parts[0], []):
            wrong = None
    if not wrong and parts[0] == "lib" and parts[1] in PURE and matches(header, IMPURE_HEADERS):
        wrong = f"{parts[1]} is pure, <{header}> is not"
    return wrong


def files_below(*folders):
    for folder in folders:
        for where, _, names in os.walk(folder):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".def", ".cpp")):
                    yield os.path.join(where, name)


def main(root):
    os.chdir(root)
    wrong, seen = [], 0
    for path in files_below("lib", "cli", "server", "include"):
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not found:
                continue
            seen += 1
            why = check_include(path, found[1], found[2])
            if why:
                wrong.append(f"{path}:{number}: {why}")
    print("\n".join(wrong) or f"{seen} includes are as the rooms allow")
    return 1 if wrong or not seen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
