/*
 * What a refusal of PostgreSQL's says about the server, by its SQLSTATE (PostgreSQL's documentation, appendix A). Only a
 * server that is lost is nobody's any more; a statement it did not like costs that statement.
 */
#ifndef LC_NET_POSTGRES_REFUSAL_H
#define LC_NET_POSTGRES_REFUSAL_H

typedef enum lc_pg_blame {
    LC_PG_STATEMENT, /* its values, its rights, what it met: others may fare better */
    LC_PG_CHANCE,    /* it met another transaction: the same statement may work now */
    LC_PG_SERVER     /* it is going down, is none to write to, or what was prepared there is gone */
} lc_pg_blame;

lc_pg_blame lc_pg_blame_of(const char *sqlstate);

#endif
