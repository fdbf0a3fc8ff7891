/*
 * An index over FAISS: large partitions are searched by one of its structures, small ones flat.
 *
 *   faiss:<factory>[?from=N][&search=PARAMETERS]      faiss:HNSW32   faiss:IVF256,Flat?from=20000&search=nprobe=32
 *
 * What FAISS finds is judged by the flat index, which holds every record: a similarity is the same whoever found
 * it, and what was removed or has expired is never given. What FAISS misses is missed.
 */
#ifndef LC_INDEX_FAISS_INDEX_H
#define LC_INDEX_FAISS_INDEX_H

#include "index/index.h"

/* `rest` is what follows "faiss:". */
int lc_faiss_open(const char *rest, const lc_index_options *options, lc_index *index, llmcache_error *err);

#endif
