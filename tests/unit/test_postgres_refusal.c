/* lib/net/postgres_refusal: which SQLSTATEs are the server's, which the statement's. */
#include "net/postgres_refusal.h"

#include <criterion/criterion.h>

Test(postgres_refusal, only_what_concerns_all_is_the_servers)
{
    static const struct {
        const char *sqlstate;
        lc_pg_blame blame;
    } cases[] = {
        {"08006", LC_PG_SERVER},    {"57P01", LC_PG_SERVER},    {"57P02", LC_PG_SERVER},    {"57P03", LC_PG_SERVER},
        {"57P04", LC_PG_SERVER},    {"25006", LC_PG_SERVER},    {"42P01", LC_PG_SERVER},    {"3F000", LC_PG_SERVER},
        {"40001", LC_PG_CHANCE},    {"40P01", LC_PG_CHANCE},    {"22021", LC_PG_STATEMENT}, {"23505", LC_PG_STATEMENT},
        {"42501", LC_PG_STATEMENT}, {"42703", LC_PG_STATEMENT}, {"53100", LC_PG_STATEMENT}, {"53300", LC_PG_STATEMENT},
        {"55P03", LC_PG_STATEMENT}, {"57014", LC_PG_STATEMENT}, {"XX001", LC_PG_STATEMENT}, {"", LC_PG_STATEMENT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(lc_pg_blame_of(cases[i].sqlstate), cases[i].blame, "%s", cases[i].sqlstate);
}
