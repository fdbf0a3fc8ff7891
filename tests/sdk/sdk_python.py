"""Finds the Python that has the SDKs: import this before openai and anthropic.

The packages of requirements.txt are looked for in the Python that runs, in LLMCACHE_SDK_PYTHON, and in .venv of the
source folder. Without them the program says so and counts as skipped.
"""
import os
import pathlib
import sys

SKIP = 77


def find_python():
    """Runs the program again under the Python that has the SDKs, if another one has."""
    root = pathlib.Path(__file__).resolve().parents[2]
    for python in os.environ.get("LLMCACHE_SDK_PYTHON"), str(root / ".venv/bin/python"):
        if python and os.path.exists(python) and os.environ.get("SDK_PYTHON_FOUND") is None:
            os.execve(python, [python, "-B", *sys.argv], dict(os.environ, SDK_PYTHON_FOUND="1"))
    print("skipped: no openai and anthropic packages; make them with"
          " `python3 -m venv .venv && .venv/bin/pip install -r tests/sdk/requirements.txt`")
    sys.exit(SKIP)


try:
    import anthropic
    import openai
except ImportError:
    find_python()
