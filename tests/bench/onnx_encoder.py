"""
The encoder of a GGUF file as onnxruntime runs it, to be measured beside the library's own (bench_encoder.c
starts this and asks line by line). Needs onnxruntime, onnx and numpy; says so and ends where they are absent.

    onnx_encoder.py MODEL.gguf

Every input line is "int8 TOKENS COUNT" or "f32 TOKENS COUNT": a text of so many tokens is run so often, then
"done" is answered. The int8 model is what onnxruntime's own tools make: quantize_dynamic over the graph that
onnxruntime fuses an exported BERT into (Attention, BiasGelu, SkipLayerNormalization), on one thread.
"""
import os
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

    import gguf_weights
except ImportError as problem:
    print("absent:", problem, flush=True)
    sys.exit(0)


class Graph:
    def __init__(self, tensors):
        self.tensors, self.nodes, self.weights, self.last = tensors, [], [], 0

    def weight(self, name, array):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind, inputs, domain="", outputs=1, **attributes):
        names = [f"t{self.last + i}" for i in range(outputs)]
        self.last += outputs
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names[0]

    def matrix(self, x, name):
        weights = self.weight(name + ".weight", self.tensors[name + ".weight"].T)
        return self.node("MatMul", [x, weights])

    def vector(self, name):
        return self.weight(name, self.tensors[name])

    def norm(self, prefix):
        return [self.vector(prefix + ".weight"), self.vector(prefix + ".bias")]


def build(keys, tensors):
    """ids and positions [1, n] -> the last layer's states [1, n, hidden]; for every layer what onnxruntime
    fuses an exported BERT into."""
    graph = Graph(tensors)
    epsilon = keys["bert.attention.layer_norm_epsilon"]
    heads = keys["bert.attention.head_count"]
    words = graph.node("Gather", [graph.vector("token_embd.weight"), "ids"])
    places = tensors["position_embd.weight"] + tensors["token_types.weight"][0]
    places = graph.node("Gather", [graph.weight("places", places), "positions"])
    x = graph.node("SkipLayerNormalization", [words, places] + graph.norm("token_embd_norm"), "com.microsoft",
                   epsilon=epsilon)
    for i in range(keys["bert.block_count"]):
        p = f"blk.{i}."
        weights = np.concatenate([tensors[p + f"attn_{c}.weight"].T for c in "qkv"], axis=1)
        bias = np.concatenate([tensors[p + f"attn_{c}.bias"] for c in "qkv"])
        y = graph.node("Attention", [x, graph.weight(p + "qkv", weights), graph.weight(p + "qkv.bias", bias)],
                       "com.microsoft", num_heads=heads)
        y = graph.matrix(y, p + "attn_output")
        x = graph.node("SkipLayerNormalization", [y, x] + graph.norm(p + "attn_output_norm") +
                       [graph.vector(p + "attn_output.bias")], "com.microsoft", epsilon=epsilon)
        y = graph.matrix(x, p + "ffn_up")
        y = graph.node("BiasGelu", [y, graph.vector(p + "ffn_up.bias")], "com.microsoft")
        y = graph.matrix(y, p + "ffn_down")
        x = graph.node("SkipLayerNormalization", [y, x] + graph.norm(p + "layer_output_norm") +
                       [graph.vector(p + "ffn_down.bias")], "com.microsoft", epsilon=epsilon)
    hidden = keys["bert.embedding_length"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "n"]) for name in ("ids", "positions")]
    output = helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, "n", hidden])
    model = helper.make_graph(graph.nodes, "encoder", inputs, [output], graph.weights)
    return helper.make_model(model, ir_version=8, opset_imports=[helper.make_opsetid("", 17),
                                                                 helper.make_opsetid("com.microsoft", 1)])


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def states(run, ids):
    ids = np.asarray([ids], dtype=np.int64)
    return run.run(None, {"ids": ids, "positions": np.arange(ids.shape[1], dtype=np.int64)[None]})[0][0]


def vector(run, ids):
    mean = states(run, ids).mean(axis=0)
    return mean / np.linalg.norm(mean)


def ids_of(tokens):
    return [0] + [1000 + i for i in range(tokens - 2)] + [2]


def prepare(path, folder):
    keys, tensors = gguf_weights.load(path)
    whole, small = os.path.join(folder, "f32.onnx"), os.path.join(folder, "int8.onnx")
    onnx.save(build(keys, tensors), whole)
    quantize_dynamic(whole, small, weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": TensorProto.FLOAT})
    return session(small), session(whole)


def main():
    with tempfile.TemporaryDirectory() as folder:
        int8, f32 = prepare(sys.argv[1], folder)
        sessions = {"int8": int8, "f32": f32}
        near = float(vector(int8, ids_of(16)) @ vector(f32, ids_of(16)))
        print(f"onnxruntime {ort.__version__}, its int8 to its f32: cosine {near:.4f}", flush=True)
        for line in sys.stdin:
            kind, tokens, count = line.split()
            ids = ids_of(int(tokens))
            for _ in range(int(count)):
                states(sessions[kind], ids)
            print("done", flush=True)


if __name__ == "__main__":
    main()
