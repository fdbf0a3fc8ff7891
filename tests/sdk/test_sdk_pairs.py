#!/usr/bin/env python3
"""A whole answer serves a stream and a stream serves a whole answer, as the real SDKs see it.

test_sdk_pairs.py SERVER MOCK_MODEL

Every question of sdk_pairs.py is asked directly in each of its forms. Then, for each form, it is asked in that form
through the server (a miss), and after that in all forms: no second call may reach the service, and what the SDK
hands out must be what it handed out when it talked to the service directly.
"""
import sys

import sdk_python  # first: it may start another Python
import anthropic
import openai

from sdk_pairs import PAIRS
from sdk_programs import Programs
from sdk_views import difference, unnumbered


def clients(url, key):
    return (openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=20),
            anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=20))


class Check:
    def __init__(self, programs):
        self.programs, self.compared, self.failed = programs, 0, []

    def same(self, what, expected, got):
        self.compared += 1
        if unnumbered(expected) != unnumbered(got):
            print(f"FAIL {what}\n{difference(expected, got)}")
            self.failed.append(what)

    def first(self, what, forms, form, direct, key):
        """`form` asked first, then every form: one call serves them all."""
        through = clients(self.programs.server, key)
        self.same(f"{what}: {form}, missed", direct[form], forms[form](*through))
        calls = self.programs.calls()
        for again in forms:
            self.same(f"{what}: {again} after {form}", direct[again], forms[again](*through))
            if self.programs.calls() != calls:
                print(f"FAIL {what}: {again} after {form} asked the service again")
                self.failed.append(what)
                calls = self.programs.calls()

    def pair(self, number, what, forms, behaviour):
        direct = {}
        for form, call in forms.items():
            self.programs.reset(behaviour)
            direct[form] = call(*clients(self.programs.mock, f"sk-pair-{number}"))
        for form in forms:
            self.programs.reset(behaviour)
            self.first(what, forms, form, direct, f"sk-pair-{number}-{form.replace(', ', '-')}")


def main():
    with Programs(*sys.argv[1:3]) as programs:
        check = Check(programs)
        for number, pair in enumerate(PAIRS):
            check.pair(number, *pair)
    print(f"{check.compared - len(check.failed)} passed, {len(check.failed)} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
