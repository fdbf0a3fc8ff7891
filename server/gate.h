/*
 * The gate: who may connect, and how long a connection may keep its thread.
 *
 * CivetWeb gives each connection a thread for its whole life and queues, in silence,
 * those for which there is none. So the gate stands before it: it accepts connections
 * itself and lets in as many as there are threads. At the limit the connection that has
 * been idle longest gives way, once it has been idle for GATE_PATIENCE_MS and no request
 * of it is on its way; a new one waits for that. When none is idle the new one is told
 * 503 with Retry-After, by a thread that serves all refused
 * ones, so that they need no thread each.
 *
 * The gate also knows each connection's socket, which CivetWeb does not show. That gives
 * what CivetWeb lacks: a time limit for a whole request body (the reading side is shut,
 * the reader sees the end), closing in stages so that an early reply is not lost, and
 * draining.
 *
 * Ownership: a slot belongs to the gate; the thread that serves the connection holds it
 * between gate_claim and gate_release. All functions are thread-safe and take a NULL slot
 * as "nothing to do".
 */
#ifndef GATE_H
#define GATE_H

#include "server.h"

enum { GATE_PATIENCE_MS = 500, GATE_SPARE = 16 };

/* There is one gate in the process, since accept() has no argument to tell two apart.
 * NULL: no memory. */
conn_gate *gate_new(int max_connections, access_log *log);
void gate_free(conn_gate *gate); /* after CivetWeb has stopped */

/* Threads CivetWeb must have: those that are let in, and those on their way out. */
int gate_threads(const conn_gate *gate);

/* The connection from this peer. CivetWeb tells who it is with the first request, or at
 * the close. */
gate_slot *gate_claim(conn_gate *gate, const char *address, int port);
void gate_release(gate_slot *slot); /* its socket is about to be closed */

/* A request has come whole up to its body. 0, or -1 when the connection was just given up
 * as idle. */
int gate_busy(gate_slot *slot);
void gate_idle(gate_slot *slot); /* its reply is out */

/* From now on the socket must be read to the end of the request within `ms`; 0 ends the
 * limit. */
void gate_limit(gate_slot *slot, int64_t ms);
int gate_was_cut(const gate_slot *slot); /* the limit passed */

/* The last reply is out, unread request bytes may still come: reads them away for a short
 * while. */
void gate_linger(gate_slot *slot);

/* Resets the connection: the only way to show a client of HTTP/1.0 that a stream was cut.
 */
void gate_abort(gate_slot *slot);

/* Stops listening and closes what is idle; from now on every connection closes after its
 * reply. */
void gate_drain(conn_gate *gate);
int gate_draining(const conn_gate *gate);

/* Waits until no connection is left, `ms` at most; how many are left. */
int gate_wait_empty(conn_gate *gate, int64_t ms);

typedef struct gate_counts {
    int connections;
    int busy;
    uint64_t accepted;
    uint64_t refused;
    uint64_t evicted;
} gate_counts;

void gate_count(conn_gate *gate, gate_counts *counts);

#endif
