/* A table of the SQLSTATEs, or heads of them, that are not the statement's affair. */
#include "net/postgres_refusal.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *head;
    lc_pg_blame blame;
} known[] = {
    {"08", LC_PG_SERVER},    /* connection exceptions, also a pooler's */
    {"25006", LC_PG_SERVER}, /* read only: a replica by now */
    {"3F000", LC_PG_SERVER}, /* no such schema, */
    {"42P01", LC_PG_SERVER}, /* no such table: to be made again */
    {"57P", LC_PG_SERVER},   /* it shuts down, has crashed, is starting; the database was dropped */
    {"40", LC_PG_CHANCE},    /* serialization, deadlock */
};

lc_pg_blame lc_pg_blame_of(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(sqlstate, known[i].head, strlen(known[i].head)) == 0)
            return known[i].blame;
    return LC_PG_STATEMENT;
}
