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
from sweeps.errors import ClusterError, ConfigurationError, StorageError
from sweeps.errors import say as _say
from sweeps.errors import tell as _tell

if TYPE_CHECKING:
    from scaling.workspace import Workspace
    from sweeps.drive.driver import RunOutcome
    from sweeps.grid.load import Study
    from sweeps.plan.corpora import StudyCorpora
    from sweeps.plan.plan import Plan
    from sweeps.store import Store

OK, SOME_FAILED, BAD_CONFIGURATION = 0, 1, 2  # and 128 + the signal that ended the run


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
    """Run the command; returns its exit code.

    Args:
        words: the command line, without the program; the process's own by default.
        last: the process exits with the code, and signals that come again cannot change it.
    """
    options = parser().parse_args(words)
    if options.executor == "serial":
        options.workers = 1
    with interrupts.handled(last=last):
        try:
            code = _ended(options)
            interrupts.take_no_more()
        except KeyboardInterrupt as interrupt:  # in the end itself
            code = interrupts.code_of(interrupt)
        return code


def _ended(options: argparse.Namespace) -> int:
    """Run, and say how it ended where that was not well."""
    try:
        return _run(options)
    except ConfigurationError as error:
        _tell(str(error))
        return BAD_CONFIGURATION
    except StorageError as error:
        _tell(str(error.strerror or error))
        return SOME_FAILED
    except ClusterError as error:
        _tell(str(error))
        return SOME_FAILED
    except KeyboardInterrupt as interrupt:
        with interrupts.shielded():
            _tell("interrupted; run the same command again to continue")
        return interrupts.code_of(interrupt)


def _run(options: argparse.Namespace) -> int:
    from scaling.workspace import cache_dir
    from sweeps.grid.load import load_grid
    from sweeps.plan.corpora import find_corpora, parse_roots

    roots = parse_roots(options.root)
    study = load_grid(options.grid, smoke=options.smoke)
    from sweeps.plan.text import full_text, short_text
    from sweeps.store import Store

    corpora = find_corpora(study, roots)
    store = Store(options.results / study.name, study.name)
    if options.dry_run:
        store.read()
        _say(full_text(_plan(study, corpora, store, cache_dir()), options.workers))
        return OK
    with store.locked() as messages:
        _warn(messages)
        plan = _plan(study, corpora, store, cache_dir())
        _say(short_text(plan, options.workers))
        _weights_are_there(plan, store)
        store.write("study.json", _study_json(plan, study))
        store.write("ladder.json", list(plan.ladder))
        if not plan.missing:
            store.compact()
            _keep_corpora(corpora, store, cache_dir())
            _say("nothing to run")
            return OK
        outcome = _execute(options, study, plan, corpora, store)
    return _summary(outcome, store)


def _plan(study: Study, corpora: StudyCorpora, store: Store, cache: Path) -> Plan:
    from sweeps.plan.cost import Speeds
    from sweeps.plan.plan import make_plan

    speeds = Speeds(cache)
    speeds.learn(store.trainings())
    return make_plan(study, corpora, store.known, cache, speeds)


def _weights_are_there(plan: Plan, store: Store) -> None:
    """A trained model whose weights were deleted can be neither measured nor started from."""
    from scaling.workspace import Workspace, cache_dir
    from sweeps.drive.preflight import lost_weights

    if lost := lost_weights(plan, store, Workspace(store=store.runs, cache=cache_dir())):
        names = "\n  ".join(map(str, lost))
        raise ConfigurationError(
            "weights that are needed for what is missing are gone. Delete these records to train "
            f"the models again:\n  {names}"
        )


def _study_json(plan: Plan, study: Study) -> dict[str, object]:
    from sweeps.plan.plan import study_json

    return study_json(plan, study.resolved())


def _execute(
    options: argparse.Namespace, study: Study, plan: Plan, corpora: StudyCorpora, store: Store
) -> RunOutcome:
    """Run the plan; whatever happens, the records that are there end up in the tables."""
    from scaling.corpora.errors import CorpusError
    from scaling.workspace import Workspace, cache_dir
    from sweeps.drive.driver import corpora_json, prepare_corpora, run_plan
    from sweeps.drive.preflight import corpus_warnings

    cache = cache_dir()
    prepare_corpora(corpora, cache, _say)
    try:
        store.write("corpora.json", corpora_json(corpora, cache))
        _warn(corpus_warnings(plan, corpora, cache))
    except CorpusError as error:
        raise ConfigurationError(str(error)) from None
    workspace = Workspace(
        store=store.runs.resolve(),
        cache=cache,
        roots=corpora.roots(),
        threads=options.threads or max(1, parser().get_default("workers") // options.workers),
    )
    _keep_codebooks(corpora, workspace)
    executor = make_executor(options.executor, options.workers)
    before = set(store.known)

    def replan() -> Plan:
        plan = _plan(study, corpora, store, cache)
        store.write("study.json", _study_json(plan, study))
        store.write("ladder.json", list(plan.ladder))
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
            _keep_speeds(store, before, cache)
            store.drop_checkpoints()
            store.compact()
            if not interrupts.requested():  # planning takes seconds, and changes no record
                replan()
        interrupts.check()


def _keep_corpora(corpora: StudyCorpora, store: Store, cache: Path) -> None:
    """Write ``corpora.json`` where nothing is to run and it is lost, broken or lacks a corpus."""
    held = store.read_json("corpora.json")
    if isinstance(held, dict) and all(isinstance(held.get(t.name), dict) for t in corpora.all()):
        return
    from scaling.corpora.errors import CorpusError
    from sweeps.drive.driver import corpora_json, prepare_corpora

    prepare_corpora(corpora, cache, _say)
    try:
        store.write("corpora.json", corpora_json(corpora, cache))
    except CorpusError as error:
        raise ConfigurationError(str(error)) from None


def _keep_codebooks(corpora: StudyCorpora, workspace: Workspace) -> None:
    """Copy the converted codebooks of the grid into the store, where their trials look."""
    from sweeps.plan.parents import keep_released

    for released in filter(None, corpora.codebooks):
        try:
            keep_released(released, workspace)
        except OSError as error:
            message = f"the codebook {released.path} could not be copied: {error}"
            raise StorageError(error.errno, message) from None


def _keep_speeds(store: Store, before: set[str], cache: Path) -> None:
    """Remember how fast the trials of this run were, for the plans of other studies."""
    from sweeps.plan.cost import Speeds

    Speeds(cache).learn([r for r in store.trainings() if r["id"] not in before], save=True)


def _warn(messages: Sequence[str]) -> None:
    for message in messages:
        _tell(f"warning: {message}")


def _summary(outcome: RunOutcome, store: Store) -> int:
    waiting = f", {len(outcome.not_started)} not started" if outcome.not_started else ""
    _say(
        f"{outcome.trained} trials trained, {len(outcome.failures)} failed{waiting}; "
        f"see {store.folder}"
    )
    if outcome.failures or outcome.not_started:
        _say("the same command runs failed trials again, and those that wait for them")
    _say(f"next: python -m analysis.report {shlex.quote(str(store.folder))}")
    return SOME_FAILED if outcome.failures or outcome.not_started else OK


if __name__ == "__main__":
    sys.exit(main(last=True))
