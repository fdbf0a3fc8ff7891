/*
 * The index pgvector: vectors in a table of a PostgreSQL server with the extension vector, one for all caches that
 * share it. `pgvector:` means the database of the store postgresql://; `pgvector:postgresql://...` another one.
 *
 *     pgvector:[postgresql://...][#from=N&ef=N&iterative=off|strict|relaxed]
 *
 * from: partitions of at most so many records are searched exactly, larger ones by the HNSW graph; 1000 if not said,
 * and more where a partition is a small part of a large table. ef: candidates the graph keeps at a time
 * (hnsw.ef_search); 100 if not said. iterative: how a search goes on when too few of them are of the partition
 * (hnsw.iterative_scan, pgvector 0.8); relaxed if not said.
 */
#ifndef LC_INDEX_POSTGRES_INDEX_H
#define LC_INDEX_POSTGRES_INDEX_H

#include "index/index.h"

/* `rest` is what follows "pgvector:". */
int lc_postgres_index_open(const char *rest, const lc_index_options *options, lc_index *index,
                           llmcache_error *err);

#endif
