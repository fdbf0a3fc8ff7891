#!/usr/bin/env python3
"""Runs node/test_sdk_node.mjs, the SDKs for Node, between the mock service and llmcache-server.

test_sdk_node.py SERVER MOCK_MODEL [part of a case's name]

Needs Node 18 or newer and the packages of node/package.json, in LLMCACHE_SDK_NODE or in .node of the source
folder; without them it says so and counts as skipped.
"""
import os
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
from sdk_programs import Programs

SKIP = 77
ROOT = pathlib.Path(__file__).resolve().parents[2]


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def find_node():
    node = shutil.which("node")
    if not node:
        skip("no node")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < 18:
        skip(f"node {version} is older than 18")
    folder = pathlib.Path(os.environ.get("LLMCACHE_SDK_NODE") or ROOT / ".node")
    if not (folder / "node_modules/openai").is_dir():
        skip("no packages for node; get them with"
             " `mkdir -p .node && cp tests/sdk/node/package*.json .node && npm ci --prefix .node`")
    return node, folder


def main():
    node, folder = find_node()
    with Programs(*sys.argv[1:3]) as programs:
        script = ROOT / "tests/sdk/node/test_sdk_node.mjs"
        done = subprocess.run([node, script, programs.mock, programs.server, *sys.argv[3:]],
                              env=dict(os.environ, LLMCACHE_SDK_NODE=str(folder)))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
