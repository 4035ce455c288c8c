"""``python -m sweeps.run grid.yaml``: plan a study, run what is missing, keep the records."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps import interrupts
from sweeps.drive.executors import EXECUTORS, make_executor
from sweeps.errors import SOME_FAILED, ConfigurationError, say, tell

if TYPE_CHECKING:
    from sweeps.drive.driver import RunOutcome
    from sweeps.grid.load import Study
    from sweeps.plan.corpora import StudyCorpora
    from sweeps.plan.plan import Plan
    from sweeps.store import Store

OK = 0


def parser() -> argparse.ArgumentParser:
    """The command line; a test holds the list of flags."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parse = argparse.ArgumentParser(
        prog="python -m sweeps.run",
        description="Run the trials of a study that are missing. Run it again to continue.",
        epilog="exit code: 0 done, 1 some trials failed or the run broke off, 2 bad configuration, "
        "130 Ctrl-C, 143 SIGTERM, 129 SIGHUP",
    )
    parse.add_argument("grid", type=Path, help="the study, a YAML file")
    parse.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parse.add_argument("--smoke", action="store_true", help="run the grid's small form")
    parse.add_argument(
        "--executor", choices=tuple(EXECUTORS), default="tune", help="default: %(default)s"
    )
    parse.add_argument(
        "--workers", type=_positive, default=cpus, help="trials at once (default: %(default)s)"
    )
    parse.add_argument(
        "--threads", type=_positive, help="threads of a trial (default: CPUs / workers)"
    )
    parse.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of all studies' results"
    )
    parse.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="SOURCE=PATH",
        help="folder of a source's files, such as ptbxl=/data/ptb-xl",
    )
    return parse


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main(words: Sequence[str] | None = None, *, last: bool = False) -> int:
    """Run the command; ``last`` is that of ``interrupts.run_command``. Returns the exit code."""
    options = parser().parse_args(words)
    if options.executor == "serial":
        options.workers = 1
    said = "interrupted; run the same command again to continue"
    return interrupts.run_command(lambda: _run(options), said, last=last)


def _run(options: argparse.Namespace) -> int:
    from scaling.workspace import Workspace, cache_dir
    from sweeps.grid.load import load_grid
    from sweeps.plan.corpora import find_corpora, parse_roots

    roots = parse_roots(options.root)
    study = load_grid(options.grid, smoke=options.smoke)
    from sweeps.plan.text import full_text, short_text
    from sweeps.store import Store

    corpora, cache = find_corpora(study, roots), cache_dir()
    store = Store(options.results / study.name, study.name)
    if options.dry_run:
        store.read()
        say(full_text(_plan(study, corpora, store, cache), options.workers))
        return OK
    from sweeps.drive.driver import check_weights

    with store.locked() as messages:
        _warn(messages)
        plan = _plan(study, corpora, store, cache)
        say(short_text(plan, options.workers))
        check_weights(plan, store, Workspace(store=store.runs, cache=cache))
        _keep_plan(plan, study, store)
        if not plan.missing:
            store.compact()
            held = store.read_json("corpora.json")  # it may be lost, broken or lack a corpus
            described = held if isinstance(held, dict) else {}
            if not all(isinstance(described.get(t.name), dict) for t in corpora.all()):
                _keep_corpora(corpora, store, cache)
            say("nothing to run")
            return OK
        outcome = _execute(options, study, plan, corpora, store, cache)
    return _summary(outcome, store)


def _plan(study: Study, corpora: StudyCorpora, store: Store, cache: Path) -> Plan:
    from sweeps.plan.cost import Speeds
    from sweeps.plan.plan import make_plan

    speeds = Speeds(cache)
    speeds.learn(store.trainings())
    return make_plan(study, corpora, store.known, cache, speeds)


def _keep_plan(plan: Plan, study: Study, store: Store) -> None:
    """Write ``study.json`` and ``ladder.json``."""
    from sweeps.plan.plan import study_json

    store.write("study.json", study_json(plan, study.resolved()))
    store.write("ladder.json", list(plan.ladder))


def _execute(
    options: argparse.Namespace,
    study: Study,
    plan: Plan,
    corpora: StudyCorpora,
    store: Store,
    cache: Path,
) -> RunOutcome:
    """Run the plan; whatever happens, the records that are there end up in the tables."""
    from scaling.workspace import Workspace
    from sweeps.drive.driver import run_plan
    from sweeps.plan.cost import Speeds
    from sweeps.plan.parents import keep_released
    from sweeps.plan.warnings import corpus_warnings

    _keep_corpora(corpora, store, cache)
    _warn(corpus_warnings(plan.jobs, corpora, cache))
    workspace = Workspace(
        store=store.runs.resolve(),
        cache=cache,
        roots=corpora.roots(),
        threads=options.threads or max(1, parser().get_default("workers") // options.workers),
    )
    for released in filter(None, corpora.codebooks):
        keep_released(released, workspace)
    executor, before = make_executor(options.executor, options.workers), set(store.known)

    def replan() -> Plan:
        plan = _plan(study, corpora, store, cache)
        _keep_plan(plan, study, store)
        return plan

    try:
        return run_plan(
            plan,
            store,
            executor,
            workspace,
            workers=options.workers,
            out=sys.stderr,
            replan=replan,
        )
    finally:
        with interrupts.gently():
            _warn(store.take_in())
            new = [r for r in store.trainings() if r["id"] not in before]
            speeds = Speeds(cache)  # for the plans of other studies
            speeds.know(job.training for job in plan.jobs)
            speeds.learn(new, save=True)
            store.drop_checkpoints()
            store.compact()
            if not interrupts.requested():  # planning takes seconds, and changes no record
                replan()
        interrupts.check()


def _keep_corpora(corpora: StudyCorpora, store: Store, cache: Path) -> None:
    """Prepare what is not there yet, and write ``corpora.json``."""
    from scaling.corpora.errors import CorpusError
    from scaling.corpora.registry import describe
    from sweeps.drive.driver import prepare_corpora

    prepare_corpora(corpora, cache, say)
    try:
        described = {t.name: describe(t.spec, t.task, cache, t.root) for t in corpora.all()}
    except CorpusError as error:
        raise ConfigurationError(str(error)) from None
    store.write("corpora.json", described)


def _warn(messages: Sequence[str]) -> None:
    for message in messages:
        tell(f"warning: {message}")


def _summary(outcome: RunOutcome, store: Store) -> int:
    waiting = f", {len(outcome.not_started)} not started" if outcome.not_started else ""
    say(
        f"{outcome.trained} trials trained, {len(outcome.failures)} failed{waiting}; "
        f"see {store.folder}"
    )
    if outcome.failures or outcome.not_started:
        say("the same command runs failed trials again, and those that wait for them")
    say(f"next: python -m analysis.report {shlex.quote(str(store.folder))}")
    return SOME_FAILED if outcome.failures or outcome.not_started else OK


if __name__ == "__main__":
    sys.exit(main(last=True))
