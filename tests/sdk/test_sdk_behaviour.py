#!/usr/bin/env python3
"""How the SDKs behave through llmcache-server, beside what they hand out: calls made, retries, headers, leaving early.

test_sdk_behaviour.py SERVER MOCK_MODEL

Each check gets the two programs and a key of its own; where it compares, it does the same directly and through the
server.
"""
import asyncio
import io
import json
import sys
import traceback

import sdk_python  # first: it may start another Python
import anthropic
import openai

from sdk_programs import Programs
from sdk_views import chat_chunks, difference, plain, unnumbered

USER = [{"role": "user", "content": "什麼是快取？"}]
CHAT = {"model": "m", "messages": USER}
MESSAGE = {"model": "c", "max_tokens": 99, "messages": USER}
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def of_openai(url, key, **options):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, timeout=20, **{"max_retries": 0, **options})


def of_anthropic(url, key, **options):
    return anthropic.Anthropic(base_url=url, api_key=key, timeout=20, **{"max_retries": 0, **options})


def same(expected, got, what):
    assert unnumbered(expected) == unnumbered(got), f"{what}\n{difference(expected, got)}"


def outcome(call):
    try:
        return plain(call())
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return {"error": type(error).__name__, "status": error.status_code, "body": plain(error.body)}


# ---- Retries ---------------------------------------------------------------------------------------------------------

FAILURES = [{"status": status, "headers": headers} for status, headers in [
    (408, {"retry-after-ms": "1"}), (409, {"retry-after-ms": "1"}), (429, {"Retry-After": "0", "retry-after-ms": "1"}),
    (500, {"retry-after-ms": "1"}), (503, {"retry-after-ms": "1"}), (529, {"retry-after-ms": "1"}),
    (400, {}), (401, {}), (403, {}), (404, {}), (422, {}),
    (500, {"x-should-retry": "false"}), (400, {"x-should-retry": "true", "retry-after-ms": "1"})]]


@check
def failures_are_tried_again_as_often_as_directly(programs, key):
    calls = {"openai": lambda url: of_openai(url, key, max_retries=2).chat.completions.create(**CHAT),
             "anthropic": lambda url: of_anthropic(url, key, max_retries=2).messages.create(**MESSAGE)}
    for rule in FAILURES:
        for name, call in calls.items():
            seen = []
            for url in programs.mock, programs.server:
                programs.reset(rule)
                seen.append((outcome(lambda: call(url)), programs.calls()))
            assert seen[0][1] == seen[1][1], f"{name} {rule}: {seen[0][1]} calls directly, {seen[1][1]} through the server"
            same(seen[0][0], seen[1][0], f"{name} {rule}")


@check
def a_retry_that_works_is_kept(programs, key):
    programs.reset({"status": 429, "headers": {"retry-after-ms": "1"}, "next": 2})
    client = of_openai(programs.server, key, max_retries=2)
    first = plain(client.chat.completions.create(**CHAT))
    assert programs.calls() == 3, programs.calls()
    assert plain(client.chat.completions.create(**CHAT)) == first and programs.calls() == 3


# ---- Many at once ----------------------------------------------------------------------------------------------------

async def many(url, key, count, stream):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, timeout=30, max_retries=0) as client:
        async def one(number):
            if stream(number):
                chunks = [chunk async for chunk in await client.chat.completions.create(
                    **CHAT, stream=True, stream_options={"include_usage": True})]
                return chat_chunks(chunks)["choices"][0]["delta"]["content"]
            return (await client.chat.completions.create(**CHAT)).choices[0].message.content
        return await asyncio.gather(*map(one, range(count)))


@check
def a_hundred_at_once_make_one_call(programs, key):
    for stream in (lambda n: False), (lambda n: True):
        programs.reset({"first_byte_delay_ms": 300})
        texts = asyncio.run(many(programs.server, f"{key}-{stream(0)}", 100, stream))
        assert len(set(texts)) == 1 and texts[0].startswith("You asked"), set(texts)
        assert programs.calls() == 1, programs.calls()


@check
def streamed_and_whole_at_once_agree(programs, key):
    programs.reset({"first_byte_delay_ms": 300})
    texts = asyncio.run(many(programs.server, key, 40, lambda n: n % 2))
    assert len(set(texts)) == 1, set(texts)
    assert programs.calls() <= 2, programs.calls()


@check
def an_error_reaches_all_who_wait(programs, key):
    async def run():
        async with anthropic.AsyncAnthropic(base_url=programs.server, api_key=key, max_retries=0) as client:
            return await asyncio.gather(*(client.messages.create(**MESSAGE) for _ in range(20)), return_exceptions=True)
    programs.reset({"status": 529, "delay_ms": 300})
    errors = asyncio.run(run())
    assert {type(error).__name__ for error in errors} == {"OverloadedError"}, errors
    assert programs.calls() < 20, programs.calls()


# ---- Leaving ---------------------------------------------------------------------------------------------------------

@check
def an_answer_that_was_left_midway_is_kept(programs, key):
    for number, leave in enumerate(("chat", "message", "response")):
        programs.reset({"chunk_delay_ms": 20})
        o, a = of_openai(programs.server, f"{key}-{number}"), of_anthropic(programs.server, f"{key}-{number}")
        whole = {"chat": lambda: o.chat.completions.create(**CHAT, stream_options={"include_usage": True}, stream=True),
                 "message": lambda: a.messages.create(**MESSAGE, stream=True),
                 "response": lambda: o.responses.create(model="m", input="什麼是快取？", stream=True)}[leave]
        with whole() as stream:
            for count, _ in enumerate(stream):
                if count == 3:
                    break
        again = list(whole())  # shares what is under way, or finds it kept
        assert len(again) > 3 and programs.calls() == 1, (leave, len(again), programs.calls())


# ---- Embeddings ------------------------------------------------------------------------------------------------------

@check
def batches_in_both_encodings_from_what_is_cached(programs, key):
    batches = [["a", "b c"], ["b c", "d", "a"], ["e", "e"], ["e"], "a", ["d", "f g h", "e", "f g h"]]
    for encoding in {}, {"encoding_format": "float"}, {"encoding_format": "base64"}, {"dimensions": 16}:
        programs.reset()
        through = of_openai(programs.server, f"{key}-{len(str(encoding))}")
        for batch in batches:
            ask = {"model": "e", "input": batch, **encoding}
            direct = plain(of_openai(programs.mock, key).embeddings.create(**ask))
            for _ in range(2):
                got = plain(through.embeddings.create(**ask))
                assert got["data"] == direct["data"], f"{batch} {encoding}"
            if batch == batches[0] or batch == batches[2]:
                assert got["usage"] == direct["usage"], f"{batch} {encoding}: {got['usage']}"
        asked = [json.loads(call["body"])["input"] for call in programs.log()["calls"]
                 if "authorization" in str(call["headers"]).lower() and key + "-" in str(call["headers"])]
        assert asked == [["a", "b c"], ["d"], ["e", "e"], ["f g h", "f g h"]], asked


# ---- What goes up and comes down -----------------------------------------------------------------------------------------

@check
def our_own_controls_stay_here(programs, key):
    programs.reset()
    client = of_openai(programs.server, key)
    client.chat.completions.create(**CHAT, extra_body={"cache": {"ttl": 60}, "mood": {"a": 1.50}},
                                   extra_headers={"X-LLMCache-TTL": "60", "X-LLMCache-Tags": "t", "X-LLMCache-Mode": "exact",
                                                  "X-LLMCache-Namespace": "n", "X-LLMCache-Threshold": "0.99",
                                                  "Cache-Control": "max-age=60", "X-Mine": "stays"})
    call = programs.log()["calls"][0]
    names = {name.lower() for name in call["headers"]}
    assert not any(name.startswith("x-llmcache") or name == "cache-control" for name in names), names
    assert "x-mine" in names
    assert "cache" not in json.loads(call["body"]) and '{"a":1.5}' in call["body"].replace(" ", ""), call["body"]


@check
def what_is_unknown_splits_and_what_is_written_otherwise_does_not(programs, key):
    programs.reset()
    client = of_openai(programs.server, key)

    def calls_after(**more):
        client.chat.completions.create(**CHAT, **more)
        return programs.calls()

    assert calls_after(temperature=0) == 1
    assert calls_after(temperature=0.0) == 1
    assert calls_after(temperature=0, extra_body={"unheard_of": 1}) == 2
    assert calls_after(temperature=0, extra_body={"unheard_of": 2}) == 3
    assert calls_after(temperature=0, extra_query={"api-version": "2"}) == 4
    assert calls_after(temperature=0, extra_headers={"OpenAI-Beta": "x"}) == 5
    assert calls_after(temperature=0, extra_headers={"OpenAI-Project": "x"}) == 6
    assert calls_after(temperature=0, extra_headers={"User-Agent": "x", "traceparent": "y"}) == 6
    body = b'{"messages": [{"content": "\\u4ec0\\u9ebc\\u662f\\u5feb\\u53d6\\uff1f", "role": "user"}], "temperature": 0e3, "model": "m"}'
    client.post("/chat/completions", cast_to=object, content=body, options={"headers": {"Content-Type": "application/json"}})
    assert programs.calls() == 6


@check
def usage_comes_only_to_who_asks(programs, key):
    programs.reset()
    client = of_openai(programs.server, key)
    asks = {"stream_options": {"include_usage": True}}

    def usages(**more):
        return chat_chunks(client.chat.completions.create(**CHAT, stream=True, **more))["usages"]

    assert usages() == 0 and programs.calls() == 1
    assert usages() == 0 and programs.calls() == 1
    assert usages(**asks) == 1 and programs.calls() == 2, "a stream without its usage cannot tell it"
    assert usages(**asks) == 1 and usages() == 0 and programs.calls() == 2
    assert client.chat.completions.create(**CHAT).usage.total_tokens > 0 and programs.calls() == 2


@check
def headers_of_the_service_pass_on_a_miss_and_not_on_a_hit(programs, key):
    programs.reset()
    o, a = of_openai(programs.server, key), of_anthropic(programs.server, key)
    calls = {("x-request-id", "x-ratelimit-limit-requests", "openai-processing-ms"):
             lambda: o.chat.completions.with_raw_response.create(**CHAT),
             ("request-id", "anthropic-ratelimit-requests-limit", "anthropic-organization-id"):
             lambda: a.messages.with_raw_response.create(**MESSAGE)}
    for (request_id, limit, other), call in calls.items():
        miss, hit = call(), call()
        assert miss.headers[request_id].startswith("req_mock") and miss.headers[limit] and miss.headers[other]
        assert hit.headers[request_id] and limit not in hit.headers, dict(hit.headers)
        assert "set-cookie" not in miss.headers and "set-cookie" not in hit.headers
        assert miss.headers["cache-status"].startswith("llmcache; fwd=uri-miss; stored"), miss.headers["cache-status"]
        assert hit.headers["cache-status"].startswith("llmcache; hit"), hit.headers["cache-status"]
        assert "age" in hit.headers and "age" not in miss.headers
        assert hit.headers["content-type"].split(";")[0] == miss.headers["content-type"].split(";")[0]
        assert plain(hit.parse()) == plain(miss.parse())


@check
def who_offers_no_compression_gets_none(programs, key):
    programs.reset({"content_encoding": "gzip"})
    for accept in "identity", "gzip, deflate", "br":
        for again in range(2):
            raw = of_openai(programs.server, key + accept[0]).chat.completions.with_raw_response.create(
                **CHAT, extra_headers={"Accept-Encoding": accept})
            assert raw.headers.get("content-encoding") in (None, "gzip" if "gzip" in accept else None), dict(raw.headers)
            assert raw.parse().choices[0].message.content.startswith("You asked")


@check
def streamed_raw_responses(programs, key):
    def lines(url):
        with of_openai(url, key).chat.completions.with_streaming_response.create(**CHAT, stream=True) as response:
            lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
            return [json.loads(line) for line in lines[:-1]] + lines[-1:]
    programs.reset()
    direct = lines(programs.mock)
    for _ in range(2):
        same(direct, lines(programs.server), "lines")


@check
def everything_else_passes(programs, key):
    """Other resources, by the SDK's own calls: uploads, downloads, deletions, lists, Anthropic's batches."""
    def run(url):
        o, a = of_openai(url, key), of_anthropic(url, key)
        answers = [outcome(call) for call in [
            lambda: o.get("/files", cast_to=object, options={"params": {"purpose": "x y", "limit": 2}}),
            lambda: o.delete("/files/file-1", cast_to=object),
            lambda: o.post("/moderations", cast_to=object, body={"input": "x"}),
            lambda: o.get("/responses/resp_1", cast_to=object),
            lambda: o.post("/responses/resp_1/cancel", cast_to=object),
            lambda: o.post("/images/generations", cast_to=object, body={"prompt": "x", "n": 2}),
            lambda: o.models.retrieve("gpt-mock"),
            lambda: a.messages.count_tokens(model="c", messages=USER),
            lambda: a.get("/v1/messages/batches?limit=2", cast_to=object),
            lambda: a.delete("/v1/messages/batches/b", cast_to=object),
            lambda: [model.id for model in a.models.list()],
        ]]
        for answer in answers:
            isinstance(answer, dict) and answer.pop("number", None)  # of the call
        return answers
    programs.reset()
    direct = run(programs.mock)
    made = programs.calls()
    for _ in range(2):
        same(direct, run(programs.server), "answers")
    assert programs.calls() == 3 * made, "none of it is cached"


@check
def an_upload_arrives_as_it_was_sent(programs, key):
    sound = bytes(range(256)) * 40
    for url in programs.mock, programs.server:
        programs.reset()
        of_openai(url, key).audio.transcriptions.with_raw_response.create(
            model="whisper-1", file=("a.wav", io.BytesIO(sound)), response_format="json")
        call = programs.log()["calls"][0]
        headers = {name.lower(): value for name, value in call["headers"].items()}
        assert call["target"] == "/v1/audio/transcriptions"
        assert headers["content-type"].startswith("multipart/form-data; boundary="), headers
        assert int(headers["content-length"]) > len(sound), headers


# ---- Running ---------------------------------------------------------------------------------------------------------

def main():
    failed = 0
    with Programs(*sys.argv[1:3]) as programs:
        for number, function in enumerate(CHECKS):
            if len(sys.argv) > 3 and sys.argv[3] not in function.__name__:
                continue
            try:
                function(programs, f"sk-behaviour-{number}")
            except Exception:  # any failure is one check's; the others still run
                failed += 1
                print(f"FAIL {function.__name__}\n{traceback.format_exc(limit=-2)}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
