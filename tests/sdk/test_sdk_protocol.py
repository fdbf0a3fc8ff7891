#!/usr/bin/env python3
"""What the real SDKs make of our streams and whole answers, against what they make of the recordings.

test_sdk_protocol.py PROTOCOL_PIPE STREAMS

For each recording in STREAMS: the SDK's object from the whole answer, from the service's own stream, from
our replay of the whole answer, and from the whole answer we put together out of the stream must be equal.
Needs the packages of requirements.txt (see sdk_python.py); without them it says so and counts as skipped.
"""
import http.server
import json
import pathlib
import struct
import subprocess
import sys
import threading
import warnings

import sdk_python  # first: it may start another Python
import anthropic
import openai


class Server(http.server.ThreadingHTTPServer):
    """Answers every POST with `reply`: (content type, bytes)."""
    daemon_threads = True
    reply = None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        kind, body = self.server.reply
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def plain(value):
    """The object as data, without what only the streaming helpers add to it."""
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if isinstance(value, dict):
        added = {"parsed", "parsed_arguments", "parsed_output"}
        tool_call = "function" in value and "id" in value
        # That nothing is cited is said by whole answers only.
        return {k: None if k == "annotations" and not v else plain(v) for k, v in value.items()
                if k not in added and not (tool_call and k == "index")}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


class Chat:
    def __init__(self, url):
        self.api = openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=0).chat.completions
        self.ask = {"model": "m", "messages": [{"role": "user", "content": "q"}]}

    def whole(self):
        return self.api.create(**self.ask)

    def streamed(self):
        with self.api.stream(**self.ask, stream_options={"include_usage": True}) as stream:
            for _ in stream:
                pass
            return stream.get_final_completion()


class Completion:
    def __init__(self, url):
        self.api = openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=0).completions

    def whole(self):
        return self.api.create(model="m", prompt="p")

    def streamed(self):
        """The SDK has no helper for these: texts and logprobs of a choice are joined."""
        answer, choices = None, {}
        for chunk in self.api.create(model="m", prompt="p", stream=True):
            data = plain(chunk)
            answer = dict(answer or data, usage=data.get("usage"))
            for piece in data["choices"]:
                choice = choices.setdefault(piece["index"], dict(piece, text="", logprobs={}))
                choice["text"] += piece["text"]
                choice["finish_reason"] = piece["finish_reason"]
                for name, values in (piece.get("logprobs") or {}).items():
                    choice["logprobs"].setdefault(name, []).extend(values)
        return dict(answer, choices=[choices[index] for index in sorted(choices)])


class Message:
    def __init__(self, url):
        self.api = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0).messages
        self.ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}

    def whole(self):
        return self.api.create(**self.ask)

    def streamed(self):
        with self.api.stream(**self.ask) as stream:
            return stream.get_final_message()


class Response:
    def __init__(self, url):
        self.api = openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=0).responses

    def whole(self):
        return self.api.create(model="m", input="q")

    def streamed(self):
        """Also follows the events: what the deltas add up to is what the items end with."""
        texts, numbers, ended = {}, [], {}
        with self.api.stream(model="m", input="q") as stream:
            for event in stream:
                numbers.append(event.sequence_number)
                where = (getattr(event, "output_index", None), getattr(event, "content_index", None),
                         getattr(event, "summary_index", None))
                if event.type.endswith(".delta"):
                    texts[where] = texts.get(where, "") + event.delta
                if event.type.endswith(".done") and where in texts:
                    for name in ("text", "refusal", "arguments", "input", "code"):
                        if isinstance(getattr(event, name, None), str):
                            assert texts[where] == getattr(event, name), (event.type, texts[where])
                if event.type in ("response.completed", "response.incomplete"):
                    ended = event.response
            assert numbers == sorted(set(numbers)), numbers
            return ended


KINDS = {"chat": ("chat", Chat), "completion": ("completions", Completion), "message": ("messages", Message),
         "response": ("responses", Response)}

# Streams of the services that the SDK cannot follow; ours of the same answer it can.
SDK_FAILS = {
    "chat_azure": "it takes the first chunk for the message's beginning",
    "chat_choices_together": "it wants the choices in the order of their indexes",
    "chat_tools_repeated": "it joins names and ids that are said again",
    "response_output_left_out": "it takes an empty output for what it says",
    "chat_unknown_fields": "it wants an index in every array that goes on",
}

# Members it drops from any stream.
SDK_DROPS = {
    "chat_unknown_fields": ("content_filter_results", "matched_stop"),  # of a choice, behind its first chunk
    "message_search": ("context_management",),  # beside the delta of message_delta
    "message_unknown": ("light",),  # deltas of kinds it does not know
}


class Test:
    def __init__(self, pipe, server):
        self.pipe, self.server = pipe, server
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.failed = self.checked = 0

    def through(self, data, *args):
        done = subprocess.run([self.pipe, *map(str, args)], input=data, capture_output=True)
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout

    def seen(self, call, kind, body):
        self.server.reply = kind, body
        return plain(call())

    def same(self, name, what, got, want, without=()):
        self.checked += 1
        got, want = (strip(value, without) for value in (got, want))
        if got != want:
            self.failed += 1
            print(f"{name}: {what}\n  {json.dumps(got, ensure_ascii=False)}\n  {json.dumps(want, ensure_ascii=False)}")

    def recording(self, path):
        protocol, client = KINDS[path.stem.split("_")[0]]
        client, name = client(self.url), path.stem
        stream, whole = path.read_bytes(), path.with_suffix(".json").read_bytes()
        json_type, sse = "application/json", "text/event-stream"
        has_usage = int(bool(json.loads(whole).get("usage")))
        want = self.seen(client.whole, json_type, whole)
        assembled = self.through(stream, "assemble", protocol)
        self.same(name, "whole answer put together from the stream", self.seen(client.whole, json_type, assembled), want)
        without = SDK_DROPS.get(name, ())
        if name not in SDK_FAILS:
            direct = self.seen(client.streamed, sse, stream)
            self.same(name, "the service's own stream", direct, want, without)
        for piece in 0, 3:
            replay = self.through(whole, "replay", protocol, has_usage, piece)
            self.same(name, f"replay in pieces of {piece}", self.seen(client.streamed, sse, replay), want, without)

    def embeddings(self):
        kept = (b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2.5,3e-8,0.0023064255]}],'
                b'"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}')
        api = openai.OpenAI(base_url=self.url + "/v1", api_key="k", max_retries=0).embeddings
        want = [0.1, -2.5, 3e-8, 0.0023064255]
        for form in "base64", "float":
            request = json.dumps({"model": "m", "input": "x", "encoding_format": form})
            once = self.through(kept, "embeddings", request)
            # and back: what was kept in this form serves the other one
            other = json.dumps({"model": "m", "input": "x", "encoding_format": "float"})
            for body, what in (once, form), (self.through(once, "embeddings", other), form + " and back"):
                self.server.reply = "application/json", body
                vector = api.create(model="m", input="x").data[0].embedding
                self.checked += 1
                if struct.pack("4f", *vector) != struct.pack("4f", *want):
                    self.failed += 1
                    print(f"embeddings: {what}: {vector}")


def strip(value, names):
    if isinstance(value, dict):
        return {k: strip(v, names) for k, v in value.items() if k not in names}
    return [strip(item, names) for item in value] if isinstance(value, list) else value


def main():
    warnings.filterwarnings("ignore")  # pydantic's, on kinds that the SDK does not know yet
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    test = Test(sys.argv[1], server)
    for path in sorted(pathlib.Path(sys.argv[2]).glob("*.sse")):
        test.recording(path)
    test.embeddings()
    print(f"openai {openai.__version__}, anthropic {anthropic.__version__}: {test.checked} comparisons, {test.failed} failed")
    sys.exit(1 if test.failed or test.checked < 50 else 0)


if __name__ == "__main__":
    main()
