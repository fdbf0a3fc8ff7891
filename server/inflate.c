#include "inflate.h"

#include <limits.h>
#include <zlib.h>

enum { PIECE = 64 * 1024, ANY_FORMAT = 15 + 32 /* zlib or gzip, by its head */ };

/* One piece of output. Z_OK to go on, Z_STREAM_END, or an error of zlib's. */
static int step(z_stream *stream, byte_buffer *out)
{
    unsigned char piece[PIECE];
    stream->next_out = piece;
    stream->avail_out = sizeof piece;
    int code = inflate(stream, Z_NO_FLUSH);
    size_t made = sizeof piece - stream->avail_out;
    if (code == Z_OK && made == 0)
        return Z_BUF_ERROR; /* the input ended too early */
    bytes_add(out, piece, made);
    return code;
}

inflate_result inflate_bytes(const void *data, size_t size, byte_buffer *out)
{
    z_stream stream = {0};
    int code = Z_OK;
    if (size > UINT_MAX || inflateInit2(&stream, ANY_FORMAT) != Z_OK)
        return INFLATE_TOO_LARGE;
    stream.next_in = (z_const Bytef *)data;
    stream.avail_in = (uInt)size;
    while (code == Z_OK && !out->broken)
        code = step(&stream, out);
    int left = stream.avail_in != 0;
    inflateEnd(&stream);
    if (out->broken)
        return INFLATE_TOO_LARGE;
    return code == Z_STREAM_END && !left ? INFLATE_FINE : INFLATE_BROKEN;
}
