/*
 * Static probes (USDT) for bpftrace, perf and SystemTap: a no-op instruction each until somebody attaches to it, and
 * nothing at all where <sys/sdt.h> was not there at build time (meson option `probes`). docs/performance.md shows one
 * used.
 *
 *     llmcache:step      name of a step of llmcache_step_duration_seconds, microseconds
 *     llmcache:ask_start target, bytes of the body
 *     llmcache:ask_end   how it ended ("exact", "model", ...), id of the entry or "", microseconds
 */
#ifndef LC_BASE_PROBES_H
#define LC_BASE_PROBES_H

#ifdef LC_HAS_PROBES
#include <sys/sdt.h>
#define LC_PROBE2(name, a, b)    DTRACE_PROBE2(llmcache, name, a, b)
#define LC_PROBE3(name, a, b, c) DTRACE_PROBE3(llmcache, name, a, b, c)
#else
#define LC_PROBE2(name, a, b)    ((void)(a), (void)(b))
#define LC_PROBE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

#endif
