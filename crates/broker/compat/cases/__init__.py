"""The cases, in the order in which they are run. A case is a function of a `Trial`; its first line of text says what it asserts."""

import importlib

# Those that kill the broker come last: what they leave behind is nobody else's concern.
PAGES = [
    "admin",
    "records",
    "consuming",
    "transactions",
    "transaction_admin",
    "groups",
    "group_load",
    "group_migration",
    "group_admin",
    "offsets",
    "security",
    "tools",
    "cleaning",
    "restarts",
]


class Case:
    def __init__(self, name, function, tools):
        self.name, self.function, self.tools = name, function, tools
        self.summary = (function.__doc__ or "").strip().splitlines()[0]


def all_cases():
    cases = []
    for page in PAGES:
        for case in importlib.import_module(f"cases.{page}").CASES:
            name, function = case if isinstance(case, tuple) else (case.__name__, case)
            cases.append(Case(name, function, tools=page == "tools"))
    return cases
