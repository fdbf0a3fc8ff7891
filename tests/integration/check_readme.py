#!/usr/bin/env python3
"""Runs every command of a README in the order a reader would, and checks what else it shows in code.

check_readme.py SOURCE_ROOT BUILD_ROOT README

Shell blocks become one script in an empty folder, with the built programs in PATH and a Redis of its own where
redis-cli looks. The two commands that are the set-up itself are only looked for. Exit code 77: something to
run it with is missing.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(sys.argv[1], "script"))
from fleet_engines import free_port

NOT_AGAIN = ("script/demo", "script/test")  # this runs inside of one of them

PREAMBLE = """set -euo pipefail
wait_for_server() {
    for _ in $(seq 200); do curl -s -o /dev/null "$SERVER_URL/livez" && return; sleep 0.05; done
    echo "the server does not answer"; return 1
}
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
"""


def blocks(text):
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)


def shell_script(text, server):
    """All shell blocks, each command shown before it runs; after `command &` comes a wait for the server."""
    script = PREAMBLE
    for language, code in blocks(text):
        if language != "sh":
            continue
        code = "\n".join(line for line in code.split("\n") if not line.startswith(NOT_AGAIN))
        code = code.replace("127.0.0.1:8000", server)
        code = re.sub(r"&\s*$", "&\nwait_for_server", code, flags=re.M)
        script += f"set -x\n{code}\n{{ set +x; }} 2>/dev/null\n"
    return script


def write_wrapper(folder, name, command):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {command} "$@"\n')
    os.chmod(path, 0o755)


def start_redis(folder, port):
    server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
                              stdout=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with socket.socket() as link:
            if link.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.02)
    sys.exit("redis-server does not answer")


def environment(folder, build, server, redis_port):
    """A reader's shell with nothing set."""
    wrappers = os.path.join(folder, "bin")
    os.makedirs(wrappers)
    write_wrapper(wrappers, "redis-cli", f"{shutil.which('redis-cli')} -p {redis_port}")
    return {
        "PATH": ":".join([wrappers, f"{build}/cli", f"{build}/server", os.environ["PATH"]]),
        "HOME": folder,
        "LC_ALL": "C.UTF-8",
        "LLMCACHE_LISTEN": server,
        "SERVER_URL": f"http://{server}",
        "NO_PROXY": "*",
        "PKG_CONFIG_PATH": f"{build}/meson-uninstalled",
        "LD_LIBRARY_PATH": f"{build}/lib",
        "LLMCACHE_PROVIDER": "demo:",
        "LLMCACHE_DEMO_LATENCY_MS": "1",
        "LLMCACHE_STORE_TIMEOUT_MS": "20000",  # what it kept it finds, on a busy machine too
        "LLMCACHE_EMBED_TIMEOUT_MS": "20000",
    }


def run_shell(text, root, build, folder):
    server, redis_port = f"127.0.0.1:{free_port()}", free_port()
    redis = start_redis(folder, redis_port)
    work = os.path.join(folder, "work")
    os.makedirs(work)
    for language, code in blocks(text) + blocks(read(os.path.join(root, "README.md"))):
        if language == "c":
            with open(os.path.join(work, "ask.c"), "w", encoding="utf-8") as file:
                file.write(code)
            break
    try:
        run = subprocess.run(["bash", "-c", shell_script(text, server)], cwd=work,
                             env=environment(folder, build, server, redis_port), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
    finally:
        redis.send_signal(signal.SIGTERM)
        redis.wait()
    print(run.stdout)
    return [] if run.returncode == 0 else [f"the commands ended with {run.returncode}, see above"]


def read(path):
    return open(path, encoding="utf-8").read()


def check_rest(text, root):
    """The C program is the example of that name; Python is Python; what is named or linked is there."""
    for language, code in blocks(text):
        example = os.path.join(root, "examples/ask.c")
        if language == "c" and os.path.exists(example) and read(example).split("*/\n", 1)[-1].strip() != code.strip():
            yield "the C program is not examples/ask.c"
        if language == "python":
            compile(code, "README", "exec")
    for name in NOT_AGAIN:
        if name in text and not os.access(os.path.join(root, name), os.X_OK):
            yield f"{name} cannot be run"
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        if not os.path.exists(os.path.join(root, link)):
            yield f"{link} is not there"


def main(root, build, name):
    for program in ("bash", "curl", "redis-server", "redis-cli"):
        if not shutil.which(program):
            print(f"{program} is not installed")
            return 77
    text = read(os.path.join(root, name))
    folder = tempfile.mkdtemp(prefix="llmcache-readme-")
    try:
        wrong = list(check_rest(text, root)) + run_shell(text, root, build, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(wrong) or "every command ran")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
