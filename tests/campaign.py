r"""A campaign against everything that reads, writes or can be killed.

    python tests/campaign.py --cases 30000 --seed 1                 # hostile inputs, shared out among all targets
    python tests/campaign.py --cases 2000 --only openpose,csv --folder found
    python tests/campaign.py --seed 1 --only csv --case 1234 --folder found         # one case again, with its traceback
    python tests/campaign.py --cases 0 --training_kills 50 --packing_kills 50 --race_seconds 60 --bit_flips 100 \
        --full_disk --pipes                                         # the rounds beside the cases

A case is a function of (target, seed, number): it writes one hostile input, gives it to the code under test, and ends
as accepted (what came out is sound), refused (an InputError that names the file), or as a finding: an escape (any other
exception, or nonsense that was accepted), or a hang (ten seconds and more). The inputs of findings are kept in --folder.
Cases run in worker processes, which are killed when they hang and whose memory is limited. Exit code 1 where anything
was found. Targets live in tests/hostile/; the rounds in tests/hostile/rounds.py.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import faulthandler
import multiprocessing
import os
import pathlib
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import zlib
from multiprocessing import connection

ROOT = pathlib.Path(__file__).resolve().parents[1]
for place in (ROOT, ROOT / "tests"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

import hostile  # noqa: E402
from hostile import report, rounds  # noqa: E402
from mgjax.errors import InputError  # noqa: E402

HANG = 10.0  # seconds that a case may take
START = 300.0  # seconds that a worker may take to import and to make its sound material
MEMORY = 2**31  # bytes that a case may take beside what a worker has when it starts
PRODUCT = ("mgjax", "data_prep", "launch")
SENTENCE = 2000  # characters that a refusal may have


@dataclasses.dataclass
class Result:
    """How a case ended: "accepted", "refused", "escape" or "hang"; and of findings, what was found and where."""

    target: str
    case: int
    outcome: str
    detail: str = ""
    place: str = ""
    seconds: float = 0.0
    grown: int = 0  # bytes by which the worker's peak memory grew


# In a worker


def chance_of(target: str, seed: int, case: int) -> random.Random:
    """What decides everything in a case."""
    return random.Random(f"{target} {seed} {case}")


def run_case(target: hostile.Target, name: str, seed: int, case: int, folder: pathlib.Path, good: pathlib.Path) -> Result:
    """Run one case in this process; its input stays in `folder`."""
    folder.mkdir(parents=True)
    result, began, peak = Result(name, case, "accepted"), time.monotonic(), _peak()
    try:
        target.run(chance_of(name, seed, case), folder, good)
    except InputError as error:
        result.outcome, fault = "refused", _fault(str(error), folder if target.names_file else None)
        if fault:
            result.outcome, result.detail, result.place = "escape", f"{fault}: {str(error)[:200]!r}", _product_line(error)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        lines = str(error).splitlines() or [""]
        result.outcome, result.detail = "escape", f"{type(error).__name__}: {lines[0][:200]}"
        result.place = _product_line(error)
    result.seconds, result.grown = time.monotonic() - began, max(0, _peak() - peak)
    return result


def _fault(sentence: str, folder: pathlib.Path | None) -> str:
    """What is wrong with the sentence of a refusal."""
    if not sentence.strip() or "Traceback" in sentence:
        return "refused without a sentence"
    if len(sentence) > SENTENCE:
        return "refused in thousands of characters"
    if folder is not None and folder.name not in sentence:
        return "refused without naming the file"
    return ""


def _product_line(error: BaseException) -> str:
    """File and line of the innermost code of ours that an exception came through, that of tests being the last resort."""
    lines = [(pathlib.Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)
             if frame.name != "need"]
    return _innermost(lines, () if isinstance(error, hostile.Nonsense) else PRODUCT)


def _innermost(lines, preferred=PRODUCT) -> str:
    """The last of (path, line) that is in the checkout, in one of the preferred folders if there is any."""
    ours = [(path.relative_to(ROOT), line) for path, line in lines if path.is_relative_to(ROOT)]
    ours = [place for place in ours if place[0].parts[0] in preferred] or ours
    return f"{ours[-1][0]}:{ours[-1][1]}" if ours else ""


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def work(pipe, modules, seed: int, scratch: str, needed: list[str], hang: float):
    """A worker: makes ready, then runs the cases it is told, one at a time, until its parent is gone."""
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    targets, scratch = hostile.load(modules), pathlib.Path(scratch)
    (scratch / "good").mkdir(exist_ok=True)
    for name in needed:
        if targets[name].prepare is not None:
            targets[name].prepare(scratch / "good")
    with open("/proc/self/status") as status:
        held = next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmData")), 0)
    resource.setrlimit(resource.RLIMIT_DATA, (held + MEMORY, resource.RLIM_INFINITY))
    trace = open(scratch / f"trace-{os.getpid()}", "w+")
    pipe.send("ready")
    while True:
        try:
            name, case = pipe.recv()
        except EOFError:
            return
        folder = scratch / f"{name}-{case}"
        trace.seek(0)
        trace.truncate()
        faulthandler.dump_traceback_later(0.8 * hang, file=trace)  # where it hangs, for the parent to read
        result = run_case(targets[name], name, seed, case, folder, scratch / "good")
        faulthandler.cancel_dump_traceback_later()
        if result.outcome in ("accepted", "refused"):
            shutil.rmtree(folder, ignore_errors=True)
        pipe.send(result)


# In the parent


class Worker:
    """A worker process and the case that it is at."""

    def __init__(self, *about):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, *about), daemon=True)
        self.process.start()
        other.close()
        self.ready, self.case, self.since = False, None, time.monotonic()

    def give(self, case):
        """Tell it the next case."""
        self.case, self.since = case, time.monotonic()
        self.pipe.send(case)

    def end(self):
        """Kill it."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run_cases(plan: list[tuple[str, int]], seed: int, *, modules=hostile.MODULES, workers: int = 2,
              folder: pathlib.Path | None = None, hang: float = HANG, told=lambda result: None) -> list[Result]:
    """Run the cases (target, number) of a plan in worker processes; the inputs of findings are kept in `folder`."""
    results, waiting = [], list(reversed(plan))
    needed = sorted({name for name, _ in plan})
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as scratch:
        about = (modules, seed, scratch, needed, hang)
        crew = [Worker(*about)]  # the first one makes the sound material that the others find
        try:
            while waiting or any(worker.case for worker in crew):
                spoke = connection.wait([worker.pipe for worker in crew], timeout=0.5)
                for place, worker in enumerate(crew):
                    answer = _answer(worker) if worker.pipe in spoke else _late(worker, hang, pathlib.Path(scratch))
                    if answer is None:
                        continue
                    worker.ready, worker.case = True, None
                    if answer != "ready":
                        results.append(answer)
                        told(answer)
                        _keep(pathlib.Path(scratch), answer, folder)
                        if answer.outcome == "hang" or not worker.process.is_alive():
                            worker.end()
                            crew[place] = Worker(*about)
                            continue
                    if waiting:
                        worker.give(waiting.pop())
                    while len(crew) < min(workers, len(plan)):
                        crew.append(Worker(*about))
        finally:
            for worker in crew:
                worker.end()
    return results


def _answer(worker):
    """What a worker said; that it died, where it did."""
    try:
        return worker.pipe.recv()
    except EOFError:
        worker.process.join()
        if not worker.ready:
            raise RuntimeError(f"a worker died making ready, exit code {worker.process.exitcode}") from None
        return Result(*worker.case, "escape", f"the process died, exit code {worker.process.exitcode}",
                      seconds=time.monotonic() - worker.since)


def _late(worker, hang, scratch):
    """A hang, where a worker is over its time; else None."""
    seconds = time.monotonic() - worker.since
    if not worker.ready and seconds > START:
        raise RuntimeError(f"a worker was not ready after {seconds:.0f} s")
    if worker.case is None or seconds < hang:
        return None
    trace = (scratch / f"trace-{worker.process.pid}").read_text()
    lines = [(pathlib.Path(path), line) for path, line in re.findall(r'File "(.+)", line (\d+)', trace)]
    return Result(*worker.case, "hang", "killed", _innermost(lines[::-1]), seconds)


def _keep(scratch, result, folder):
    """Move the input of a finding into the folder of findings, or away."""
    here = scratch / f"{result.target}-{result.case}"
    if folder is not None and here.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / here.name, ignore_errors=True)
        with contextlib.suppress(shutil.Error, OSError):  # a pipe cannot be moved to another disk
            shutil.move(here, folder / here.name)
    shutil.rmtree(here, ignore_errors=True)


def share_out(cases: int, targets: dict[str, hostile.Target], seed: int) -> list[tuple[str, int]]:
    """So many cases among the targets by their shares, in an order in which they take turns."""
    whole = sum(target.share for target in targets.values()) or 1
    counts = {name: round(cases * target.share / whole) for name, target in targets.items()}
    plan = [(name, case) for name, count in counts.items() for case in range(count)]
    random.Random(zlib.crc32(f"order {seed}".encode())).shuffle(plan)
    return plan


def main():
    """Read the options, run cases and rounds, print, and say by the exit code whether anything was found."""
    from rich.console import Console
    options = read_options()
    targets = hostile.load()
    unknown = set(options.only or ()) - set(targets)
    if unknown:
        sys.exit(f"error: no target {min(unknown)!r}; there are: {', '.join(sorted(targets))}")
    chosen = {name: targets[name] for name in options.only or targets}
    if options.case is not None:
        return replay(chosen, options)
    console, bad = Console(width=110), []
    plan = share_out(options.cases, chosen, options.seed)
    plan += [("checkpoint_bits", case) for case in range(options.bit_flips)]
    if plan:
        began = time.monotonic()
        done = collections.Counter()

        def told(result):
            done[result.outcome] += 1
            if sum(done.values()) % 500 == 0:
                print(f"{sum(done.values())} of {len(plan)} cases, {time.monotonic() - began:.0f} s, {dict(done)}",
                      file=sys.stderr, flush=True)

        results = run_cases(plan, options.seed, workers=options.workers, folder=options.folder, told=told)
        console.print(report.table(results))
        print(f"{len(results)} cases of seed {options.seed} in {time.monotonic() - began:.0f} s")
        bad += report.findings(results)
    bad += rounds.run(options, print)
    for line in bad:
        print(line)
    return 1 if bad else 0


def replay(chosen, options):
    """One case again, in this process; its input stays in --folder."""
    (name, target), folder = next(iter(chosen.items())), options.folder or pathlib.Path("found")
    good, here = folder / "good", folder / f"{name}-{options.case}"
    shutil.rmtree(here, ignore_errors=True)
    good.mkdir(parents=True, exist_ok=True)
    here.mkdir()
    if target.prepare is not None:
        target.prepare(good)
    target.run(chance_of(name, options.seed, options.case), here, good)
    print(f"accepted; the input is in {here}")
    return 0


def read_options(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300, help="hostile inputs, of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=lambda text: text.split(","), help="these targets only, with commas between")
    parser.add_argument("--case", type=int, help="with one target: this case alone, in this process")
    parser.add_argument("--folder", type=pathlib.Path, help="keep the inputs of findings here")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--bit_flips", type=int, default=0, help="single flipped bits in a checkpoint")
    rounds.add_options(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
