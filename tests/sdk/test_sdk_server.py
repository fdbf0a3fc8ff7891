#!/usr/bin/env python3
"""The real SDKs through llmcache-server against the same SDKs talking to the service directly.

test_sdk_server.py SERVER MOCK_MODEL

Every case is run three times: against the mock service, through the server as a miss, and again as a hit. What the SDK
hands to its caller must be equal each time, errors included; a hit must not reach the service. Needs the packages of
requirements.txt (see sdk_python.py); without them it says so and counts as skipped.
"""
import asyncio
import sys

import sdk_python  # first: it may start another Python
import anthropic
import openai
import pydantic

from sdk_programs import Programs
from sdk_views import chat_chunks, difference, plain, unnumbered

USER = [{"role": "user", "content": "什麼是快取？"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells the weather",
          "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
CLAUDE_TOOLS = [{"name": "weather", "description": "Tells the weather",
                 "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]


# ---- Cases: each takes an OpenAI and an Anthropic client and returns what its caller would see ----------------------

def chat(**options):
    return lambda o, a: o.chat.completions.create(model="m", messages=USER, **options)


def chat_stream(**options):
    return lambda o, a: chat_chunks(o.chat.completions.create(model="m", messages=USER, stream=True, **options))


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


def response_events(o, a):
    return [event.type for event in o.responses.create(model="m", input="hi", stream=True)]


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
    ("chat, stream, refusal", chat_stream(), {"refusal": "No."}, False),
    ("chat, stream, cut short", chat_stream(), {"finish": "length"}, False),
    ("chat, stream, filtered", chat_stream(), {"finish": "content_filter"}, False),
    ("chat, empty", chat(), {"empty": True}, False),
    ("chat, without usage", chat(), {"usage": 0}, True),
    ("responses, refusal", lambda o, a: o.responses.create(model="m", input="hi"), {"refusal": "No."}, False),
    ("responses, incomplete", lambda o, a: o.responses.create(model="m", input="hi"), {"finish": "length"}, False),
    ("responses, failed", lambda o, a: o.responses.create(model="m", input="hi"), {"finish": "failed"}, False),
    ("responses, in the background", lambda o, a: o.responses.create(model="m", input="hi", background=True), None, False),
    ("responses, unknown previous", lambda o, a: o.responses.create(model="m", input="hi", previous_response_id="resp_no"),
     None, False),
    ("message, refusal", message(), {"finish": "refusal"}, False),
    ("message, cut short", message(), {"finish": "max_tokens"}, False),
    ("message, paused", message(), {"finish": "pause_turn"}, False),
    ("message, stream, refusal", message_stream(), {"finish": "refusal"}, False),
    ("message, stream, cut short", message_stream(), {"finish": "max_tokens"}, False),
    ("message, stream, cut", message_stream(), {"cut_after_events": 4}, False),
    ("message, stream, 529", message_stream(), {"status": 529}, False),
    ("responses, stream, error", response_events, {"error_after_events": 4}, False),
    ("responses, stream, cut", response_events, {"cut_after_events": 4}, False),
    ("responses, 429", lambda o, a: o.responses.create(model="m", input="hi"), {"status": 429}, False),
    ("completion", lambda o, a: o.completions.create(model="m", prompt="Once"), None, True),
    ("responses", lambda o, a: o.responses.create(model="m", input="什麼是快取？"), None, True),
    ("responses, stream", response_stream, None, True),
    ("embeddings", lambda o, a: o.embeddings.create(model="e", input=["a", "b c", "d e f"]), None, True),
    ("embeddings, floats", lambda o, a: o.embeddings.create(model="e", input="a", encoding_format="float"), None, True),
    ("embeddings, short", lambda o, a: o.embeddings.create(model="e", input="a", dimensions=64), None, True),
    ("models", lambda o, a: list(o.models.list()), None, False),
    ("message", message(), None, True),
    ("message, system", message(system="Be terse.", extra_body={"temperature": 0.2}), None, True),
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
    except Exception as error:
        if "RemoteProtocolError" not in type(error).__name__:
            raise  # the case is wrong; the transport's own errors pass through the SDK
        return {"error": type(error).__name__}


# ---- The three ways ----------------------------------------------------------------------------------------------------

def clients(url, key):
    return (openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=20),
            anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=20))


def show(name, way, expected, got):
    print(f"FAIL {name}: {way}\n{difference(expected, got)}")


def check(programs, number, name, case, behaviour, kept):
    key = f"sk-case-{number}"
    programs.reset(behaviour)
    direct = outcome(case, clients(programs.mock, key))
    programs.reset(behaviour)
    through = clients(programs.server, key)
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
    with Programs(*sys.argv[1:3]) as programs:
        failed = [case[0] for number, case in enumerate(CASES) if not check(programs, number, *case)]
    print(f"{len(CASES) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
