"""What a program sees of the SDKs' objects, as plain data that can be compared.

How a text is cut into deltas is nobody's promise, so streams are added up the way their consumers do; the kinds of
events, their order within each choice, block or item, and everything else they say are kept.
"""
import json
import re
import warnings


def plain(value):
    if hasattr(value, "model_dump"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydantic's, on kinds that the SDK does not know yet
            return plain(value.model_dump())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def unnumbered(value):
    """Without what counts the service's calls or is random in each: two direct calls differ in it too."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    text = re.sub(r"mock\d{6}", "mock", text)
    text = re.sub(r'("created(_at)?"|"completed_at"): \d+(\.\d+)?', r"\1: 0", text)
    return re.sub(r'"obfuscation": "[^"]*"', '"obfuscation": ""', text)


def add_up(into, delta):
    """Joins a delta of a chat message into what was said so far."""
    for key, item in delta.items():
        if item is None:
            into.setdefault(key, None)
        elif isinstance(item, list):
            kept = into.get(key) or []
            for piece in item:
                index = piece.get("index") if isinstance(piece, dict) else None
                same = [one for one in kept if index is not None and one.get("index") == index]
                if same:
                    add_up(same[0], piece)
                else:
                    kept.append(dict(piece) if isinstance(piece, dict) else piece)
            into[key] = kept
        elif isinstance(item, dict):
            into[key] = into.get(key) or {}
            add_up(into[key], item)
        elif isinstance(item, str) and key not in ("role", "type", "id", "format"):
            into[key] = (into.get(key) or "") + item
        else:
            into[key] = item
    return into


def in_order(kinds, kind):
    if not kinds or kinds[-1] != kind:
        kinds.append(kind)


def chat_chunks(chunks):
    """A chat stream (or one of completions) as its consumer adds it up."""
    seen, choices, usages = {}, {}, 0
    for chunk in chunks:
        data = plain(chunk)
        usages += bool(data.get("usage"))
        for choice in data.pop("choices"):
            into = choices.setdefault(choice["index"], {"delta": {}, "kinds": [], "logprobs": {}})
            delta = choice.pop("delta", None) or {"text": choice.pop("text", None)}
            for key, item in delta.items():
                if item not in (None, "", []):
                    in_order(into["kinds"], key)
            add_up(into["delta"], delta)
            for key, item in (choice.pop("logprobs", None) or {}).items():
                if isinstance(item, list):
                    into["logprobs"][key] = into["logprobs"].get(key, []) + item
            into.update({key: item for key, item in choice.items() if item is not None})
        seen.update({key: item for key, item in data.items() if item is not None and key != "obfuscation"})
    return {"choices": choices, "usages": usages, **seen}


def message_events(stream, helper):
    """The events of Anthropic's stream: kinds in order, texts added up, everything else as it is."""
    kinds, parts = [], {}
    for event in stream:
        data = plain(event)
        kind = data.pop("type")
        if kind == "ping" or helper and kind in ("text", "thinking", "signature", "citation", "input_json"):
            continue
        delta = data.get("delta") or {}
        what = f"{kind} {data.get('index', '')} {delta.get('type', '')}"
        if kind == "content_block_delta":
            if delta.get("partial_json") == "" or delta.get("text") == "":
                continue  # says nothing
            into = parts.setdefault(what, {})
            for key, item in delta.items():
                if isinstance(item, str) and key in ("text", "thinking", "partial_json"):
                    into[key] = into.get(key, "") + item
                elif key != "type":
                    into.setdefault(key, []).append(item)
        elif kind == "content_block_stop" and not helper or kind != "content_block_stop":
            parts.setdefault(what, []).append(data)
        in_order(kinds, what)
    return {"kinds": kinds, "parts": parts}


def response_events(events):
    """The events of a Responses stream, deltas added up by their place."""
    kinds, parts, last = [], {}, -1
    for event in events:
        data = plain(event)
        assert data["sequence_number"] > last, "sequence numbers rise"
        last = data.pop("sequence_number")
        data.pop("obfuscation", None)
        kind = data.pop("type")
        place = " ".join(str(data.get(key, "")) for key in ("output_index", "content_index", "summary_index"))
        what = f"{kind} {place}"
        if kind.endswith(".delta") and isinstance(data.get("delta"), str):
            into = parts.setdefault(what, {"delta": "", "logprobs": []})
            into["delta"] += data["delta"]
            into["logprobs"] += data.get("logprobs") or []
        else:
            parts.setdefault(what, []).append(data)
        in_order(kinds, what)
    return {"kinds": kinds, "parts": parts}


def difference(expected, got):
    """Where two views part, with some text on both sides."""
    left, right = (unnumbered(side) for side in (expected, got))
    at = next((i for i, pair in enumerate(zip(left, right)) if pair[0] != pair[1]), min(len(left), len(right)))
    return f"  expected ...{left[max(at - 60, 0):at + 120]}\n  got      ...{right[max(at - 60, 0):at + 120]}"
