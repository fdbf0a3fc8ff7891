"""The mock service and llmcache-server, started for a test and ended with it."""
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request


class Programs:
    """Both on free ports; `settings` are flags of the server."""

    def __init__(self, server, mock, settings=()):
        self.folder = tempfile.TemporaryDirectory()
        self.started = []
        self.mock_port = self.start([mock, "--port", "0", "--port-file", self.path("mock")], "mock")
        environment = {"LLMCACHE_ENV_FILE": "/dev/null", "OPENAI_BASE_URL": f"{self.mock}/v1",
                       "ANTHROPIC_BASE_URL": self.mock, "PATH": os.environ["PATH"]}
        self.port = self.start([server, "--listen", "127.0.0.1:0", "--port-file", self.path("server"), "--store", "memory:",
                                "--embedder", "none", "--access-log", "", *settings], "server", environment)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.started:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def start(self, command, name, environment=None):
        self.started.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                return int(open(self.path(name), encoding="ascii").read())
            except (OSError, ValueError):
                time.sleep(0.02)
        self.__exit__()
        raise SystemExit(f"{command[0]} did not start")

    @property
    def mock(self):
        return f"http://127.0.0.1:{self.mock_port}"

    @property
    def server(self):
        return f"http://127.0.0.1:{self.port}"

    def control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.mock}/_mock/{path}", data), timeout=10) as reply:
            return json.load(reply)

    def reset(self, behaviour=None):
        """Forgets the calls so far; `behaviour`: a rule of the mock or a list of them (tests/mock/README.md)."""
        self.control("reset", {})
        if behaviour:
            self.control("behave", behaviour)

    def calls(self):
        """Since the last reset."""
        return sum(self.control("counts")["paths"].values())

    def log(self):
        return self.control("log")
