/*
 * The scan's checks as a program that needs nothing but libc: built for another kind of CPU and run under
 * qemu's user emulation. The argument names the form that must be the best one there, so that a check
 * which never ran cannot pass.
 */
#include "scan_checks.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const lc_scan *form;
    int failed = 0;
    if (argc != 2 || strcmp(lc_scan_best()->name, argv[1])) {
        printf("the best form here is %s\n", lc_scan_best()->name);
        return 1;
    }
    for (size_t i = 0; (form = lc_scan_at(i)); i++)
        for (const scan_check *check = scan_checks; check->name; check++) {
            const char *bad = check->run(form);
            printf("%s: %s: %s\n", form->name, check->name, bad ? bad : "ok");
            failed += bad != NULL;
        }
    return failed != 0;
}
