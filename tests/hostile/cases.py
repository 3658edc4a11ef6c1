"""Cases, run in worker processes, with a watchdog and limited memory, and every end recorded."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import hashlib
import multiprocessing
import os
import pathlib
import random
import re
import resource
import shutil
import tempfile
import time
import traceback
from multiprocessing import connection

import hostile
from mgjax.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRODUCT = ("mgjax", "data_prep", "launch")  # folders of the code under test
HANG = 10.0  # seconds that a case may take where each process has a core
START = 300.0  # seconds that a worker may take to import and to make its sound material
MEMORY = 2**31  # bytes that a case may take beside what a worker has when it starts


@dataclasses.dataclass
class Result:
    """How a case ended.

    Attributes:
        target, case: which.
        outcome: "accepted", "refused", "escape" or "hang".
        detail: what was found, of an escape or a hang.
        place: file and line of the innermost code under test, of an escape or a hang.
        seconds: how long it took.
        grown: bytes by which the worker's peak memory grew.
    """

    target: str
    case: int
    outcome: str
    detail: str = ""
    place: str = ""
    seconds: float = 0.0
    grown: int = 0

    @property
    def found(self) -> bool:
        """Whether it is a finding."""
        return self.outcome in ("escape", "hang")


# In a worker


def chance_of(target: str, seed: int, case: int) -> random.Random:
    """What decides everything in a case."""
    return random.Random(f"{target} {seed} {case}")


def run_case(
    target: hostile.Target,
    name: str,
    seed: int,
    case: int,
    folder: pathlib.Path,
    good: pathlib.Path,
) -> Result:
    """Run one case in this process; its input stays in `folder`."""
    folder.mkdir(parents=True)
    result, began, peak = Result(name, case, "accepted"), time.monotonic(), _peak()
    try:
        target.run(chance_of(name, seed, case), folder, good)
    except KeyboardInterrupt:
        raise
    except InputError as error:
        result.outcome = "refused"
        fault = _fault(str(error), folder if target.names_file else None)
        if fault:
            result.outcome, result.detail = "escape", f"{fault}: {str(error)[:200]!r}"
            result.place = _place(error)
    except BaseException as error:
        first = (str(error).splitlines() or [""])[0]
        result.outcome, result.detail = "escape", f"{type(error).__name__}: {first[:200]}"
        result.place = _place(error)
    result.seconds, result.grown = time.monotonic() - began, max(0, _peak() - peak)
    return result


def _fault(sentence: str, folder: pathlib.Path | None) -> str:
    """What is wrong with the sentence of a refusal; "" if it is as it should be."""
    if not sentence.strip() or "Traceback" in sentence:
        return "refused without a sentence"
    if folder is not None and folder.name not in sentence:
        return "refused without naming the file"
    return ""


def _place(error: BaseException) -> str:
    """Where an exception comes from: in the code under test, but for what a check of ours found."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [(frame.filename, frame.lineno) for frame in frames if frame.name != "need"]
    return _innermost(lines, () if isinstance(error, hostile.Nonsense) else PRODUCT)


def _innermost(lines, preferred=PRODUCT) -> str:
    """The last of (path, line) in the checkout, in one of the preferred folders if there is any."""
    lines = [(pathlib.Path(path), line) for path, line in lines]
    ours = [(path.relative_to(ROOT), line) for path, line in lines if path.is_relative_to(ROOT)]
    ours = [place for place in ours if place[0].parts[0] in preferred] or ours
    return f"{ours[-1][0]}:{ours[-1][1]}" if ours else ""


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _work(pipe, modules, seed: int, scratch: str, needed: list[str], hang: float):
    """A worker: makes ready, then runs the cases that it is told, until its parent is gone."""
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    targets, scratch = hostile.load(modules), pathlib.Path(scratch)
    good = scratch / "good"
    good.mkdir(exist_ok=True)
    for name in needed:
        if targets[name].prepare is not None:
            targets[name].prepare(good)
    _limit_memory()
    # Open until this process is killed.
    trace = open(_trace(scratch, os.getpid()), "w")  # noqa: SIM115
    pipe.send("ready")
    while True:
        try:
            name, case = pipe.recv()
        except EOFError:
            return
        folder = scratch / f"{name}-{case}"
        # Where it hangs is written before the parent's patience ends.
        faulthandler.dump_traceback_later(0.8 * hang, file=trace)
        result = run_case(targets[name], name, seed, case, folder, good)
        faulthandler.cancel_dump_traceback_later()
        trace.truncate(0)
        if not result.found:
            shutil.rmtree(folder, ignore_errors=True)
        pipe.send(result)


def _limit_memory():
    """Let a case have MEMORY more. Address space would not do as a limit, for JAX takes plenty."""
    with open("/proc/self/status") as status:
        held = next((int(line.split()[1]) for line in status if line.startswith("VmData")), 0)
    resource.setrlimit(resource.RLIMIT_DATA, (1024 * held + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _trace(scratch: pathlib.Path, pid: int) -> pathlib.Path:
    return scratch / f"trace-{pid}"


# In the parent


class _Worker:
    """A worker process, and the case that it is at."""

    def __init__(self, *about):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, *about), daemon=True)
        self.process.start()
        other.close()
        self.ready, self.case, self.since = False, None, time.monotonic()

    def give(self, case):
        """Tell it the next case."""
        self.case, self.since = case, time.monotonic()
        self.pipe.send(case)

    def answer(self):
        """What it says: "ready", or the result of its case, which is that it died where it did."""
        try:
            return self.pipe.recv()
        except EOFError:
            self.process.join()
        code = self.process.exitcode
        if not self.ready:
            raise RuntimeError(f"a worker died making ready, exit code {code}")
        seconds = time.monotonic() - self.since
        return Result(*self.case, "escape", f"the process died, exit code {code}", "", seconds)

    def late(self, hang: float, scratch: pathlib.Path) -> Result | None:
        """A hang, where it is over its time; else None."""
        seconds = time.monotonic() - self.since
        if not self.ready and seconds > START:
            raise RuntimeError(f"a worker was not ready after {seconds:.0f} s")
        if self.case is None or seconds < hang * _busy():
            return None
        trace = _trace(scratch, self.process.pid).read_text(errors="replace")
        lines = re.findall(r'File "(.+)", line (\d+)', trace)[::-1]
        return Result(*self.case, "hang", "killed", _innermost(lines), seconds)

    def end(self):
        """Kill it."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run_cases(
    plan: list[tuple[str, int]],
    seed: int,
    *,
    modules=hostile.MODULES,
    workers: int = 2,
    folder: pathlib.Path | None = None,
    hang: float = HANG,
    told=lambda result: None,
) -> list[Result]:
    """Run the cases of a plan in worker processes.

    Args:
        plan: (target, number) of each case.
        seed: of all of them.
        modules: where the targets are.
        workers: how many cases at a time.
        folder: keeps the inputs of findings; None keeps none.
        hang: seconds after which a case's worker is killed, or more where the machine is busy.
        told: is called with every result.
    """
    results, waiting, before = [], list(reversed(plan)), None
    needed = sorted({name for name, _ in plan})
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as scratch:
        about = (modules, seed, scratch, needed, hang)
        scratch = pathlib.Path(scratch)
        crew = [_Worker(*about)]  # the first one makes the sound material that the others find
        try:
            while waiting or any(worker.case for worker in crew):
                spoke = connection.wait([worker.pipe for worker in crew], timeout=0.5)
                for place, worker in enumerate(crew):
                    heard = worker.pipe in spoke
                    answer = worker.answer() if heard else worker.late(hang, scratch)
                    if answer is None:
                        continue
                    worker.ready, worker.case = True, None
                    if before is None:
                        before = _digests(scratch / "good")
                    if answer != "ready":
                        results.append(answer)
                        told(answer)
                        _keep(scratch / f"{answer.target}-{answer.case}", folder)
                        if answer.outcome == "hang" or not worker.process.is_alive():
                            worker.end()
                            crew[place] = _Worker(*about)
                            continue
                    if waiting:
                        worker.give(waiting.pop())
                    while len(crew) < min(workers, len(plan)):
                        crew.append(_Worker(*about))
        finally:
            for worker in crew:
                worker.end()
        changed = set(before.items()) ^ set(_digests(scratch / "good").items())
        if changed:
            names = ", ".join(sorted({path for path, _ in changed}))
            raise RuntimeError(f"a case changed the sound material of the others: {names}")
    return results


def _digests(folder: pathlib.Path) -> dict[str, str]:
    """What each file in a folder holds, by its path there."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _busy() -> float:
    """How many processes want each core, at least 1: so much longer everything takes."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _keep(here: pathlib.Path, folder: pathlib.Path | None):
    """Move the input of a finding into the folder of findings, or away."""
    if folder is not None and here.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / here.name, ignore_errors=True)
        with contextlib.suppress(shutil.Error, OSError):  # a pipe cannot be moved to another disk
            shutil.move(here, folder / here.name)
    shutil.rmtree(here, ignore_errors=True)
