#!/usr/bin/env python3
"""The real SDKs through llmcache-server against the same SDKs talking to the service directly.

test_sdk_server.py SERVER MOCK_MODEL

Every case is run three times: against the mock service, through the server as a miss, and again as a hit. What the SDK
hands to its caller must be equal each time, errors included; a hit must not reach the service. Needs the packages of
requirements.txt (see test_sdk_protocol.py); without them it says so and counts as skipped.
"""
import asyncio
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings

SKIP = 77


def find_python():
    """Runs this file again under the Python that has the SDKs, if another one has."""
    root = pathlib.Path(__file__).resolve().parents[2]
    for python in os.environ.get("LLMCACHE_SDK_PYTHON"), str(root / ".venv/bin/python"):
        if python and os.path.exists(python) and os.environ.get("SDK_PYTHON_FOUND") is None:
            os.execve(python, [python, *sys.argv], dict(os.environ, SDK_PYTHON_FOUND="1"))
    print("skipped: no openai and anthropic packages; make them with"
          " `python3 -m venv .venv && .venv/bin/pip install -r tests/sdk/requirements.txt`")
    sys.exit(SKIP)


try:
    import anthropic
    import openai
    import pydantic
except ImportError:
    find_python()

USER = [{"role": "user", "content": "什麼是快取？"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells the weather",
          "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
CLAUDE_TOOLS = [{"name": "weather", "description": "Tells the weather",
                 "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]


def plain(value):
    if hasattr(value, "model_dump"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return plain(value.model_dump())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def unnumbered(value):
    """Without what counts the service's calls: two direct calls differ in it too."""
    text = json.dumps(value, sort_keys=True, default=str)
    text = re.sub(r"mock\d{6}", "mock", text)
    return re.sub(r'("created(_at)?"|"completed_at"): \d+(\.\d+)?', r"\1: 0", text)


# ---- Cases: each takes an OpenAI and an Anthropic client and returns what its caller would see ----------------------

def chat(**options):
    return lambda o, a: o.chat.completions.create(model="m", messages=USER, **options)


def merged(chunks):
    """A chat stream as its consumer adds it up: how the text is cut into events is nobody's promise."""
    seen, choices = {}, {}
    for chunk in chunks:
        data = plain(chunk)
        for choice in data.pop("choices"):
            into = choices.setdefault(choice["index"], {"delta": {}, "tool_calls": {}})
            delta = choice.pop("delta") or {}
            for call in delta.pop("tool_calls", None) or []:
                kept = into["tool_calls"].setdefault(call["index"], {"arguments": "", "name": "", "id": None})
                kept["id"] = call.get("id") or kept["id"]
                kept["name"] += (call.get("function") or {}).get("name") or ""
                kept["arguments"] += (call.get("function") or {}).get("arguments") or ""
            for key, item in delta.items():
                if isinstance(item, str) and key != "role":
                    into["delta"][key] = into["delta"].get(key, "") + item
                elif item is not None:
                    into["delta"][key] = item
            logprobs = choice.pop("logprobs", None)
            if logprobs:
                into.setdefault("logprobs", []).extend(logprobs.get("content") or [])
            into.update({key: item for key, item in choice.items() if item is not None})
        seen.update({key: item for key, item in data.items() if item is not None})
    return {"choices": choices, **seen}


def chat_stream(**options):
    return lambda o, a: merged(o.chat.completions.create(model="m", messages=USER, stream=True, **options))


def chat_helper(o, a):
    with o.chat.completions.stream(model="m", messages=USER) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion()


class City(pydantic.BaseModel):
    name: str
    people: int


def chat_parse(o, a):
    return o.chat.completions.parse(model="m", messages=USER, response_format=City)


def chat_raw(o, a):
    raw = o.chat.completions.with_raw_response.create(model="m", messages=USER)
    return {"type": raw.headers["content-type"].split(";")[0], "has_id": bool(raw.headers["x-request-id"]),
            "object": raw.parse()}


def message(**options):
    options = {"model": "c", "max_tokens": 512, "messages": USER, **options}
    return lambda o, a: a.messages.create(**options)


def message_stream(**options):
    options = {"model": "c", "max_tokens": 512, "messages": USER, **options}

    def run(o, a):
        with a.messages.stream(**options) as stream:
            kinds = []
            for event in stream:
                if not kinds or kinds[-1] != event.type:
                    kinds.append(event.type)
            once = [kind for kind in kinds if not kind.endswith("delta") and kind != "ping" and "_json" not in kind]
            return {"message": stream.get_final_message(), "text": stream.get_final_text() if not options.get("tools") else "",
                    "kinds": [k for k in once if k not in ("text", "thinking", "signature", "citation", "input_json")]}
    return run


def response_stream(o, a):
    kinds, final, last = [], None, -1
    for event in o.responses.create(model="m", input="什麼是快取？", stream=True):
        assert event.sequence_number > last, "sequence numbers rise"
        last = event.sequence_number
        if not kinds or kinds[-1] != event.type:
            kinds.append(event.type)
        if event.type == "response.completed":
            final = event.response
    return {"kinds": kinds, "final": final}


def async_chat(o, a):
    async def run():
        async with openai.AsyncOpenAI(base_url=str(o.base_url), api_key=o.api_key, max_retries=0) as client:
            return await client.chat.completions.create(model="async", messages=USER)
    return asyncio.run(run())


def async_message(o, a):
    async def run():
        async with anthropic.AsyncAnthropic(base_url=str(a.base_url), api_key=a.api_key, max_retries=0) as client:
            async with client.messages.stream(model="async", max_tokens=99, messages=USER) as stream:
                return await stream.get_final_message()
    return asyncio.run(run())


# name, case, behaviour of the service, is the answer kept
CASES = [
    ("chat", chat(), None, True),
    ("chat, sampling", chat(temperature=0.3, top_p=0.9, seed=7, stop=["zzz"]), None, True),
    ("chat, two choices", chat(n=2), None, True),
    ("chat, logprobs", chat(logprobs=True, top_logprobs=2), None, True),
    ("chat, tools", chat(tools=TOOLS), None, True),
    ("chat, reasoning", chat(), {"reasoning": "first, second"}, True),
    ("chat, JSON schema", chat_parse, None, True),
    ("chat, raw response", chat_raw, None, True),
    ("chat, stream", chat_stream(), None, True),
    ("chat, stream with usage", chat_stream(stream_options={"include_usage": True}), None, True),
    ("chat, stream with tools", chat_stream(tools=TOOLS), None, True),
    ("chat, stream of two", chat_stream(n=2), None, True),
    ("chat, stream with logprobs", chat_stream(logprobs=True), None, True),
    ("chat, stream helper", chat_helper, None, True),
    ("chat, odd framing", chat_stream(), {"crlf": True, "comments": True, "no_space": True}, True),
    ("chat, dribbled", chat_stream(), {"dribble": 3}, True),
    ("chat, refusal", chat(), {"refusal": "No."}, False),
    ("chat, cut short", chat(), {"finish": "length"}, False),
    ("chat, filtered", chat(), {"finish": "content_filter"}, False),
    ("chat, asynchronous", async_chat, None, True),
    ("completion", lambda o, a: o.completions.create(model="m", prompt="Once"), None, True),
    ("responses", lambda o, a: o.responses.create(model="m", input="什麼是快取？"), None, True),
    ("responses, stream", response_stream, None, True),
    ("embeddings", lambda o, a: o.embeddings.create(model="e", input=["a", "b c", "d e f"]), None, True),
    ("embeddings, floats", lambda o, a: o.embeddings.create(model="e", input="a", encoding_format="float"), None, True),
    ("embeddings, short", lambda o, a: o.embeddings.create(model="e", input="a", dimensions=64), None, True),
    ("models", lambda o, a: list(o.models.list()), None, False),
    ("message", message(), None, True),
    ("message, system", message(system="Be terse.", temperature=0.2), None, True),
    ("message, tools", message(tools=CLAUDE_TOOLS), None, True),
    ("message, thinking", message(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2048), None, True),
    ("message, stream", message_stream(), None, True),
    ("message, stream with tools", message_stream(tools=CLAUDE_TOOLS), None, True),
    ("message, stream, thinking",
     message_stream(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2048), None, True),
    ("message, redacted thinking", message(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2048),
     {"redacted_thinking": True}, True),
    ("message, asynchronous stream", async_message, None, True),
    ("message, counted", lambda o, a: a.messages.count_tokens(model="c", messages=USER), None, False),
    ("chat, 400", chat(), {"status": 400}, False),
    ("chat, 401", chat(), {"status": 401}, False),
    ("chat, 404", chat(), {"status": 404}, False),
    ("chat, 429", chat(), {"status": 429, "headers": {"Retry-After": "3", "X-Case": "passed on"}}, False),
    ("chat, 500", chat(), {"status": 500}, False),
    ("chat, error in the stream", chat_stream(), {"error_after_events": 2}, False),
    ("chat, stream cut", chat_stream(), {"cut_after_events": 3}, False),
    ("message, 400", message(), {"status": 400}, False),
    ("message, 529", message(), {"status": 529}, False),
    ("message, error in the stream", message_stream(), {"error_after_events": 2}, False),
    ("embeddings, 429", lambda o, a: o.embeddings.create(model="e", input="a"), {"status": 429, "headers": {"X-Case": "passed on"}}, False),
]


def outcome(case, clients):
    """The object, or the error as its catcher sees it."""
    try:
        return plain(case(*clients))
    except (openai.APIError, anthropic.APIError) as error:
        told = {"error": type(error).__name__, "status": getattr(error, "status_code", None),
                "body": plain(getattr(error, "body", None))}
        response = getattr(error, "response", None)
        if response is not None:
            names = "retry-after", "x-ratelimit-limit-requests", "x-case"
            told["headers"] = {name: response.headers.get(name) for name in names}
        return told
    except Exception as error:  # the transport's own, where the SDK passes it through
        return {"error": type(error).__name__}


# ---- The three ways ----------------------------------------------------------------------------------------------------

class Programs:
    def __init__(self, server, mock):
        self.folder = tempfile.TemporaryDirectory()
        self.started = []
        self.mock_port = self.start([mock, "--port", "0", "--port-file", self.path("mock")], "mock")
        environment = {"LLMCACHE_ENV_FILE": "/dev/null", "OPENAI_BASE_URL": f"{self.mock}/v1",
                       "ANTHROPIC_BASE_URL": self.mock, "PATH": os.environ["PATH"]}
        self.port = self.start([server, "--listen", "127.0.0.1:0", "--port-file", self.path("server"), "--store", "memory:",
                                "--embedder", "none", "--access-log", ""], "server", environment)

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
        raise SystemExit(f"{command[0]} did not start")

    @property
    def mock(self):
        return f"http://127.0.0.1:{self.mock_port}"

    def control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.mock}/_mock/{path}", data), timeout=10) as reply:
            return json.load(reply)

    def reset(self, behaviour):
        self.control("reset", {})
        if behaviour:
            self.control("behave", behaviour)

    def calls(self):
        return self.control("counts")["calls"]

    def clients(self, through, key):
        url = f"http://127.0.0.1:{self.port}" if through else self.mock
        return (openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=20),
                anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=20))

    def end(self):
        for process in self.started:
            process.send_signal(signal.SIGKILL)
            process.wait()


def show(name, way, expected, got):
    left, right = (json.dumps(side, ensure_ascii=False, sort_keys=True, default=str) for side in (expected, got))
    at = next((i for i, pair in enumerate(zip(left, right)) if pair[0] != pair[1]), min(len(left), len(right)))
    print(f"FAIL {name}: {way}\n  expected ...{left[max(at - 60, 0):at + 120]}\n  got      ...{right[max(at - 60, 0):at + 120]}")


def check(programs, number, name, case, behaviour, kept):
    key = f"sk-case-{number}"
    programs.reset(behaviour)
    direct = outcome(case, programs.clients(False, key))
    programs.reset(behaviour)
    through = programs.clients(True, key)
    miss = outcome(case, through)
    calls = programs.calls()
    ok = unnumbered(miss) == unnumbered(direct)
    if not ok:
        show(name, "a miss differs from the direct call", direct, miss)
    again = outcome(case, through)
    if kept and again != miss:
        show(name, "a hit differs from the miss before it", miss, again)
        ok = False
    if kept != (programs.calls() == calls):
        print(f"FAIL {name}: {'the hit asked the service' if kept else 'was kept, and should not be'}")
        ok = False
    return ok


def main():
    programs = Programs(*sys.argv[1:3])
    try:
        failed = [case[0] for number, case in enumerate(CASES) if not check(programs, number, *case)]
    finally:
        programs.end()
    print(f"{len(CASES) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
