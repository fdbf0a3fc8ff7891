"""Questions that are put both whole and streamed, to see that either answers the other from what was kept.

Each is (name, {form: call}, behaviour of the service). A call takes an OpenAI and an Anthropic client and returns what
its program would see. Forms that begin with "stream" stream; all forms of a question must be served by one call.
"""
import pydantic

from sdk_views import chat_chunks, message_events, plain, response_events

USER = [{"role": "user", "content": "什麼是快取？"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": name, "description": "Tells the " + name, "parameters": CITY}}
         for name in ("weather", "tides")]
CLAUDE_TOOLS = [{"name": name, "description": "Tells the " + name, "input_schema": CITY} for name in ("weather", "tides")]
RESPONSE_TOOLS = [{"type": "function", "name": name, "description": "Tells the " + name, "parameters": CITY, "strict": False}
                  for name in ("weather", "tides")]
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}

SEARCH = [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
          {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
              {"type": "web_search_result", "url": "https://a.example", "title": "t", "encrypted_content": "abc+/==", "page_age": None}]},
          {"type": "text", "text": "As said", "citations": [
              {"type": "web_search_result_location", "url": "https://a.example", "title": "t", "encrypted_index": "i",
               "cited_text": "x"}]}]


class City(pydantic.BaseModel):
    name: str
    people: int


# ---- Forms -----------------------------------------------------------------------------------------------------------

def chat(usage=True, helper=True, **options):
    """With usage=False the stream does not ask for it: what it leaves behind cannot answer the other forms."""
    ask = {"model": "m", "messages": USER, **options}
    more = {"stream_options": {"include_usage": True}} if usage else {}

    def followed(o, a):
        with o.chat.completions.stream(**ask, **more) as stream:
            kinds = []
            for event in stream:
                if event.type != "chunk" and event.type not in kinds:
                    kinds.append(event.type)
            return {"kinds": kinds, "final": plain(stream.get_final_completion())}

    forms = {"whole": lambda o, a: plain(o.chat.completions.create(**ask)),
             "stream": lambda o, a: chat_chunks(o.chat.completions.create(**ask, **more, stream=True))}
    if helper:
        forms["stream, followed"] = followed
    return forms


def parsed(o, a):
    return plain(o.chat.completions.parse(model="m", messages=USER, response_format=City))


def parsed_stream(o, a):
    with o.chat.completions.stream(model="m", messages=USER, response_format=City,
                                   stream_options={"include_usage": True}) as stream:
        return plain(stream.get_final_completion())


def completion(**options):
    ask = {"model": "m", "prompt": "Once upon", **options}
    return {"whole": lambda o, a: plain(o.completions.create(**ask)),
            "stream": lambda o, a: chat_chunks(o.completions.create(**ask, stream=True, stream_options={"include_usage": True}))}


def message(**options):
    ask = {"model": "c", "max_tokens": 512, "messages": USER, **options}

    def followed(o, a):
        with a.messages.stream(**ask) as stream:
            seen = message_events(stream, True)
            return {"kinds": seen["kinds"], "final": plain(stream.get_final_message())}

    return {"whole": lambda o, a: plain(a.messages.create(**ask)),
            "stream": lambda o, a: message_events(a.messages.create(**ask, stream=True), False),
            "stream, followed": followed}


def beta_message(**options):
    ask = {"model": "c", "max_tokens": 512, "messages": USER, "betas": ["fine-grained-tool-streaming-2025-05-14"], **options}

    def followed(o, a):
        with a.beta.messages.stream(**ask) as stream:
            return plain(stream.get_final_message())

    return {"whole": lambda o, a: plain(a.beta.messages.create(**ask)), "stream, followed": followed}


def response(**options):
    ask = {"model": "m", "input": "什麼是快取？", **options}

    def followed(o, a):
        with o.responses.stream(**ask) as stream:
            for _ in stream:
                pass
            return plain(stream.get_final_response())

    return {"whole": lambda o, a: plain(o.responses.create(**ask)),
            "stream": lambda o, a: response_events(o.responses.create(**ask, stream=True)),
            "stream, followed": followed}


PAIRS = [
    ("chat", chat(), None),
    ("chat, sampling", chat(temperature=0.3, top_p=0.9, seed=7, stop=["zzz"]), None),
    ("chat, two choices", chat(n=2), None),
    ("chat, logprobs", chat(logprobs=True, top_logprobs=2), None),
    ("chat, two choices with logprobs", chat(n=2, logprobs=True), None),
    ("chat, tools", chat(tools=TOOLS), None),
    ("chat, two tools at once", chat(tools=TOOLS, parallel_tool_calls=True), None),
    ("chat, a tool that must be", chat(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "tides"}}), None),
    ("chat, functions", chat(functions=[TOOLS[0]["function"]], helper=False), None),
    ("chat, reasoning", chat(), {"reasoning": "first, second"}),
    ("chat, fields unknown to all", chat(), {"extra": {"score": {"a": [1, 2]}, "mood": "fine "}}),
    ("chat, citations", chat(), {"extra": {"annotations": [{"type": "url_citation", "url_citation": {
        "start_index": 0, "end_index": 3, "title": "t", "url": "https://a.example/"}}]}}),
    ("chat, JSON schema", {"whole": parsed, "stream, followed": parsed_stream}, None),
    ("chat, JSON", chat(response_format={"type": "json_object"}), None),
    ("chat, obfuscated", chat(), {"obfuscation": True}),
    ("chat, odd framing", chat(), {"crlf": True, "comments": True, "no_space": True}),
    ("chat, dribbled", chat(), {"dribble": 3}),
    ("completion", completion(), None),
    ("completion, two", completion(n=2), None),
    ("completion, logprobs", completion(logprobs=2), None),
    ("message", message(), None),
    ("message, system", message(system="Be terse.", metadata={"user_id": "u"}, extra_body={"temperature": 0.2, "top_k": 5}), None),
    ("message, tools", message(tools=CLAUDE_TOOLS), None),
    ("message, two tools at once",
     message(tools=CLAUDE_TOOLS, tool_choice={"type": "auto", "disable_parallel_tool_use": False}), None),
    ("message, a tool without input", message(tools=[{"name": "now", "input_schema": {"type": "object"}}]), None),
    ("message, a search and what it cites", message(), {"blocks": SEARCH}),
    ("message, thinking", message(**THINKING), None),
    ("message, redacted thinking", message(**THINKING), {"redacted_thinking": True}),
    ("message, thinking and tools", message(tools=CLAUDE_TOOLS, **THINKING), None),
    ("message, stop sequence", message(stop_sequences=["answer"]), None),
    ("message, fine-grained tool streaming", beta_message(tools=CLAUDE_TOOLS), None),
    ("response", response(), None),
    ("response, tools", response(tools=RESPONSE_TOOLS), None),
    ("response, two tools at once", response(tools=RESPONSE_TOOLS, parallel_tool_calls=True), None),
    ("response, logprobs", response(include=["message.output_text.logprobs"]), None),
    ("response, its own fields again", response(metadata={"a": "b"}, user="u", safety_identifier="s"), None),
    ("response, reasoning", response(), {"reasoning": "first, second"}),
    ("response, format", response(text={"format": {"type": "json_schema", "name": "city", "schema": CITY}}), None),
]
