"""Writes down what became of each case of a run of pytest, as JSON: a name to its outcome and why."""

import json

CASES = {}


def pytest_addoption(parser):
    parser.addoption("--outcomes", help="the file to write")


def pytest_runtest_logreport(report):
    expected = hasattr(report, "wasxfail")
    why = report.longreprtext.strip() if report.longrepr else ""
    if isinstance(report.longrepr, tuple):
        why = report.longrepr[2]
    # A case that does not fail, though its server was expected to, passes.
    unexpectedly = "XPASS(strict)" in why
    if report.failed and not unexpectedly:
        outcome = "failed"
    elif report.skipped and expected:
        # It fails, as one server was expected to. This is another one.
        outcome, why = "failed", f"xfail: {report.wasxfail}"
    elif report.skipped:
        outcome = "skipped"
    else:
        outcome = "passed"
    # What fails while it is made ready or cleared away fails, whatever it was in between.
    order = ["passed", "skipped", "failed"]
    before = CASES.get(report.nodeid, {"outcome": "passed"})
    if report.nodeid not in CASES or order.index(outcome) > order.index(before["outcome"]):
        name = report.nodeid.split("::", 1)[-1]
        lines = [line.strip() for line in why.splitlines() if line.startswith("E ")] or why.splitlines()
        CASES[report.nodeid] = {"name": name, "outcome": outcome, "why": lines[0] if lines else ""}


def pytest_sessionfinish(session):
    # The processes that share the cases have sessions of their own.
    if not hasattr(session.config, "workerinput"):
        with open(session.config.getoption("--outcomes"), "w") as file:
            json.dump(CASES, file, indent=1, sort_keys=True)
