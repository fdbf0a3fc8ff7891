/* What all importers write the same way. */
#include "embed/import.h"

void lc_import_put_shape(lc_gguf_writer *writer, const lc_bert_shape *shape)
{
    lc_gguf_put_text(writer, "general.architecture", "bert");
    lc_gguf_put_text(writer, "general.type", "model");
    lc_gguf_put_text(writer, "general.name", shape->name);
    if (shape->license[0])
        lc_gguf_put_text(writer, "general.license", shape->license);
    lc_gguf_put_u32(writer, "general.file_type", shape->file_type);
    lc_gguf_put_u32(writer, "general.quantization_version", 2);
    lc_gguf_put_u32(writer, "bert.block_count", shape->layers);
    lc_gguf_put_u32(writer, "bert.context_length", shape->positions);
    lc_gguf_put_u32(writer, "bert.embedding_length", shape->hidden);
    lc_gguf_put_u32(writer, "bert.feed_forward_length", shape->inner);
    lc_gguf_put_u32(writer, "bert.attention.head_count", shape->heads);
    lc_gguf_put_f32(writer, "bert.attention.layer_norm_epsilon", shape->epsilon);
    lc_gguf_put_bool(writer, "bert.attention.causal", 0);
    lc_gguf_put_u32(writer, "bert.pooling_type", shape->pooling);
}
