"""
Makes encoder_reference.json: what models answer when run by others, for the tests of the encoder. Token ids come from
the PyPI package tokenizers over the vocabulary of the GGUF file, vectors from onnxruntime in float32 over the
dequantised weights (tests/bench/onnx_encoder.py builds the graph). Nothing of the library is used.

    make_encoder_reference.py MODEL.gguf [MODEL.gguf ...] > encoder_reference.json
"""
import json
import os
import sys

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "bench"))
import gguf_weights
import onnx_encoder

TEXTS = [
    "What is a cache?",
    "How do I turn on two-factor authentication?",
    "什麼是快取？",
    "請解釋快取是什麼",
    "快取怎麼清除？",
    "什麼是快閃記憶體？",
    "",
    "Zürich, naïve café: 12,345.67 € — “ok”?",
    "台北今天天氣如何？Will it rain in Taipei today?",
    "for (int i = 0; i < n; i++) sum += a[i];",
    "A response cache keeps the answers a language model gave, so that the same question, or one that means the same, "
    "is answered at once and costs nothing. It must never give one customer's answer to another, never serve a wrong "
    "answer as right, and never lose an answer because its own store is down.",
    "回應快取把語言模型給過的答案留下來，同樣的問題或意思相同的問題就能立刻得到回答，而且不必再付費。"
    "它絕不能把一位客戶的答案給另一位客戶，也不能把錯的答案當成對的。",
]
DIMENSIONS = 24


def unigram(keys):
    tokenizer = Tokenizer(models.Unigram(list(zip(keys["tokenizer.ggml.tokens"], map(float, keys["tokenizer.ggml.scores"]))),
                                         unk_id=keys["tokenizer.ggml.unknown_token_id"]))
    charsmap = bytes(keys["tokenizer.ggml.precompiled_charsmap"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Precompiled(charsmap),
                                                 normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return tokenizer


def wordpiece(keys):
    words = {}
    for number, text in enumerate(keys["tokenizer.ggml.tokens"]):
        special = text.startswith("[") and text.endswith("]") and len(text) > 2
        words[text[1:] if text.startswith("\u2581") else text if special else "##" + text] = number
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def ends(keys):
    def key(*names):
        return next(keys["tokenizer.ggml." + name] for name in names if "tokenizer.ggml." + name in keys)
    return key("cls_token_id", "bos_token_id"), key("seperator_token_id", "eos_token_id")


def rows_of(path):
    keys, tensors = gguf_weights.load(path)
    tokenizer = wordpiece(keys) if keys["tokenizer.ggml.model"] == "bert" else unigram(keys)
    run = InferenceSession(onnx_encoder.build(keys, tensors).SerializeToString(), providers=["CPUExecutionProvider"])
    first, last = ends(keys)
    rows, vectors = [], []
    for text in TEXTS:
        ids = [first] + (tokenizer.encode(text, add_special_tokens=False).ids if text else []) + [last]
        vectors.append(onnx_encoder.vector(run, ids))
        rows.append({"text": text, "ids": ids, "vector": [round(float(x), 6) for x in vectors[-1][:DIMENSIONS]],
                     "cosine_to_first": round(float(vectors[0] @ vectors[-1]), 6)})
    return {"name": keys["general.name"], "weights": os.path.basename(path), "rows": rows}


if __name__ == "__main__":
    np.set_printoptions(precision=6)
    json.dump({"note": "made by make_encoder_reference.py", "models": [rows_of(path) for path in sys.argv[1:]]},
              sys.stdout, ensure_ascii=False, indent=1)
    print()
