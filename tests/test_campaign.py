"""A small campaign against all readers, and the campaign itself against faulty ones."""

import json
import os
import subprocess
import sys

import campaign
import hostile
import pytest
from hostile import cases, damage, formats, layouts, report, rounds, sound, stores

from mgjax.errors import InputError

FAULTY = ("hostile.faulty",)
# Targets whose files are text, which has no place for the time of day.
TEXT = ("openpose", "csv", "ntu", "nucla", "layouts")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder for sound material."""
    return tmp_path_factory.mktemp("good")


def found(target, tmp_path, count=1, hang=60.0):
    """The results of a faulty target, and the names of the inputs that were kept."""
    results = cases.run_cases(
        [(target, case) for case in range(count)],
        0,
        modules=FAULTY,
        folder=tmp_path / "found",
        hang=hang,
        workers=1,
    )
    kept = tmp_path / "found"
    return results, sorted(path.name for path in kept.iterdir()) if kept.exists() else []


@pytest.mark.parametrize(
    "target, detail",
    [
        ("escapes", "KeyError: 'absent'"),
        ("nonsense", "Nonsense: a score of -1"),
        ("grows", "MemoryError"),
        ("dies", "the process died, exit code 3"),
        ("mute", "refused without a sentence"),
        ("nameless", "refused without naming the file"),
    ],
)
def test_an_escape_is_found_and_its_input_is_kept(tmp_path, target, detail):
    results, kept = found(target, tmp_path, count=2)
    assert [(result.outcome, result.case) for result in results] == [("escape", 0), ("escape", 1)]
    assert all(result.detail.startswith(detail) for result in results)
    assert kept == [f"{target}-0", f"{target}-1"]
    assert results[0].place.startswith("tests/hostile/faulty.py:") or target == "dies"
    (line,) = report.findings(results)
    assert line.startswith(f"{target} escape x2, case 0: {detail}")


def test_a_hang_is_found_with_its_place_and_the_next_case_runs(tmp_path):
    plan = [("hangs", 0), ("well", 0)]
    results = cases.run_cases(plan, 0, modules=FAULTY, hang=2.0, workers=1)
    assert {result.target: result.outcome for result in results}["hangs"] == "hang"
    assert {result.target: result.outcome for result in results}["well"] in ("accepted", "refused")
    assert results[0].place.startswith("tests/hostile/faulty.py:") and results[0].seconds >= 2


def test_a_sound_reader_gives_no_finding(tmp_path):
    results, kept = found("well", tmp_path, count=40)
    assert {result.outcome for result in results} == {"accepted", "refused"} and len(results) == 40
    assert report.findings(results) == [] and kept == []


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".h5"
    }


@pytest.mark.parametrize("name", TEXT)
def test_a_case_is_a_function_of_target_seed_and_number(tmp_path, good, name):
    target = hostile.load()[name]
    if target.prepare is not None:
        target.prepare(good)
    for case in range(8):
        outcomes = []
        for again in ("one", "other"):
            result = cases.run_case(
                target, name, 3, case, tmp_path / again / f"{name}-{case}", good
            )
            outcomes.append(result.outcome)
        assert outcomes[0] == outcomes[1]
    assert tree(tmp_path / "one") == tree(tmp_path / "other")
    different = cases.run_case(target, name, 4, 0, tmp_path / "seed" / f"{name}-0", good)
    assert different.target == name
    assert tree(tmp_path / "seed" / f"{name}-0") != tree(tmp_path / "one" / f"{name}-0")


@pytest.mark.parametrize(
    "name", ["openpose", "csv", "imigue", "nucla", "layouts", "runs", "tables", "hdf5_bytes"]
)
def test_what_is_not_spoilt_is_accepted(tmp_path, good, monkeypatch, name):
    """Else a campaign would only try how the first of all checks refuses."""
    monkeypatch.setattr(damage, "json_of", lambda chance, value: json.dumps(value).encode())
    monkeypatch.setattr(
        damage,
        "table_of",
        lambda chance, rows: "".join(",".join(row) + "\n" for row in rows).encode(),
    )
    monkeypatch.setattr(damage, "bytes_of", lambda chance, data: data)
    monkeypatch.setattr(formats, "spoilt", lambda random, data: data)
    monkeypatch.setattr(layouts, "text", lambda random: json.dumps(layouts.FIELDS).encode())
    monkeypatch.setattr(damage, "place", lambda chance, path, data: path.write_bytes(data) and path)
    target = hostile.load()[name]
    if target.prepare is not None:
        target.prepare(good)
    results = [
        cases.run_case(target, name, 1, case, tmp_path / f"{name}-{case}", good)
        for case in range(12)
    ]
    accepted = sum(result.outcome == "accepted" for result in results)
    assert accepted >= 8, [result for result in results if result.outcome != "accepted"]


def test_a_case_that_changes_what_the_others_are_made_of_is_noticed(tmp_path):
    with pytest.raises(RuntimeError, match="changed the sound material of the others: text"):
        found("vandal", tmp_path)


def test_cases_are_shared_out_by_the_shares():
    targets = hostile.load()
    plan = campaign.share_out(1000, targets, 0)
    counts = {name: sum(target == name for target, _ in plan) for name in targets}
    assert counts["checkpoint_bits"] == 0 and all(
        counts[name] >= 30 for name in targets if targets[name].share
    )
    assert plan == campaign.share_out(1000, targets, 0) != campaign.share_out(1000, targets, 1)
    assert len(set(plan)) == len(plan) and abs(len(plan) - 1000) <= len(targets)


def test_a_refusal_that_leaves_something_is_nonsense(tmp_path):
    def pack(path):
        path.with_name("out.h5.partial").write_text("half")
        raise InputError(f"{path}: no")

    with pytest.raises(hostile.Nonsense, match="left .*out.h5.partial"):
        sound.packed(tmp_path / "out.h5", pack)


@pytest.mark.parametrize(
    "code, said, wrong",
    [
        (1, "error: a.h5: no space\n", False),
        (1, "note: a.h5 is there\nerror: no space\n", False),
        (1, "Traceback (most recent call last):\nerror: no space\n", True),
        (1, "", True),
        (-11, "error: no space\n", True),
        (1, "error: one\nerror: other\n", True),
    ],
)
def test_what_a_refusal_on_a_full_disk_may_say(code, said, wrong):
    assert bool(rounds._sentence(code, said)) is wrong


def test_a_process_that_is_left_over_is_found():
    token = f"test-{os.getpid()}"
    assert rounds.left_over(token, patience=0) == []
    with subprocess.Popen(["sleep", "60"], env=os.environ | {rounds.TOKEN: token}) as process:
        assert rounds.left_over(token, patience=0) == [process.pid]
        process.kill()
    assert rounds.left_over(token, patience=0) == []


def test_a_store_that_is_not_whole_is_no_store(tmp_path, good):
    stores.prepare(good)
    path, whole = tmp_path / "cut.h5", rounds.content(good / "store.h5")
    assert rounds._is(good / "store.h5", whole)
    path.write_bytes((good / "store.h5").read_bytes()[:-2000])
    assert not rounds._is(path, whole)
    stores.write_store(tmp_path / "other.h5", seed=1)
    assert not rounds._is(tmp_path / "other.h5", whole)


def test_a_half_written_file_and_a_traceback_are_found(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "out.h5.partial").write_text("half")
    found = rounds._after("pack", 0, "Traceback (most recent call last):", tmp_path, "no", True)
    assert len(found) == 3


@pytest.mark.slow
def test_a_small_campaign(root):
    """Hostile inputs and flipped bits beside kills and a race, in two processes at once."""
    both = (
        ["--cases=300", "--bit_flips=3"],
        ["--cases=0", "--training_kills=2", "--packing_kills=2", "--race_seconds=2"],
    )
    command = [sys.executable, root / "tests" / "campaign.py", "--seed=7"]
    running = [
        subprocess.Popen(
            [*command, *asked], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for asked in both
    ]
    said = [process.communicate(timeout=900)[0] for process in running]
    assert all(text.endswith("nothing was found\n") for text in said), "\n".join(said)
    assert [process.returncode for process in running] == [0, 0]
