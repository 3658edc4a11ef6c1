"""What is read of a study: means over seeds, published figures beside them, and what is refused."""

import dataclasses
import json
import random

import pytest
from hostile import vectors
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from study_runs import a_run, make_store, put_emotion, put_result, row

from mgjax import models
from mgjax.errors import InputError
from mgjax.evaluation.paper import IMIGUE, NTU_SUBJECT, NTU_VIEW, TABLES
from mgjax.evaluation.study import Study
from mgjax.evaluation.study_results import markdown, read_results, to_json
from mgjax.training.folder import RunFolder


@pytest.fixture
def study(tmp_path):
    with make_store(tmp_path / "store.h5") as store:
        yield Study(store, tmp_path / "runs", "mine", "mine")


@pytest.mark.parametrize(
    "source, split, number, whose",
    [
        ("iMiGUE, 359 videos", "imigue_cross_subject", 2, IMIGUE),
        ("iMiGUE", "imigue_cross_subject", 4, IMIGUE),
        ("iMiGUE, 359 videos", "mine", 2, None),
        ("iMiGUE-3K, 3400 videos", "imigue_cross_subject", 2, None),
        ("simulated iMiGUE, seed 0", "imigue_cross_subject", 2, None),
        ("NTU RGB+D, Kinect v2 skeletons", "cross_view", 4, NTU_VIEW),
        ("NTU RGB+D", "cross_subject", 4, NTU_SUBJECT),
        ("NTU RGB+D 120", "cross_setup", 4, None),
        ("Northwestern-UCLA", "cross_view", 4, None),
    ],
)
def test_published_figures_stand_beside_their_own_data_only(tmp_path, source, split, number, whose):
    with make_store(tmp_path / "store.h5", source, split) as store:
        result = read_results(TABLES[number], Study(store, tmp_path / "runs", split))
    text = markdown(result)
    assert result["published"] == whose
    assert (
        ("published top-1" in text)
        == (whose is not None)
        == any(row["published"] for row in result["rows"])
    )
    assert (source in text) and ("simulated data" in result["title"]) == source.startswith(
        "simulated"
    )
    if whose is None:
        assert not any(row["note"] == "for reference" for row in result["rows"])
    else:
        assert (
            f"on {whose}" in text
            and row(result, "usvae")["published"]["top1"]
            == {IMIGUE: 0.3243, NTU_VIEW: 0.6488, NTU_SUBJECT: 0.5096}[whose]
        )


def test_rows_without_figures_say_why(tmp_path):
    with make_store(tmp_path / "store.h5", "iMiGUE", "imigue_cross_subject") as store:
        result = read_results(TABLES[2], Study(store, tmp_path / "runs"))
    notes = {row["key"]: row["note"] for row in result["rows"]}
    assert notes["usvae"] == notes["majority"] == "not run" and notes["tsm"] == "for reference"
    assert {
        row.key: notes[row.key] for row in TABLES[2].rows if row.model not in ("", *models.MODELS)
    } == {
        row.key: "not built yet" for row in TABLES[2].rows if row.model not in ("", *models.MODELS)
    }
    assert all(row["measured"] is None and row["n"] is None for row in result["rows"])
    line = next(line for line in markdown(result).splitlines() if "MAMP" in line)
    assert [cell.strip() for cell in line.split("|")[3:7]] == ["70.19 / –", "–", "–", "–"]


def test_figures_are_means_over_seeds(study):
    put_result(study, "usvae", 0, trained=(0.4, 0.7), untrained=(0.3, 0.5))
    put_result(study, "usvae", 10, trained=(0.6, 0.9), untrained=(0.1, 0.5), epochs=5)
    result = read_results(TABLES[2], study)
    usvae = row(result, "usvae")
    assert usvae["n"] == 100 and [one["seed"] for one in usvae["each"]] == ["0", "10"]
    assert usvae["measured"]["top5"]["mean"] == pytest.approx(0.8)
    # The score interval of 50 in 100, as textbooks have it.
    assert usvae["measured"]["top1"] == pytest.approx(
        {"mean": 0.5, "low": 0.4038, "high": 0.5962}, abs=1e-4
    )
    assert usvae["note"] == "mean of seeds 0, 10: 40.0 / 70.0, 60.0 / 90.0; epochs: 3 to 5"
    assert row(result, "untrained")["note"] == "mean of seeds 0, 10: 30.0 / 50.0, 10.0 / 50.0"
    assert row(result, "majority")["note"] == "" and len(row(result, "majority")["each"]) == 1
    line = next(line for line in markdown(result).splitlines() if line.startswith("| U-S-VAE, Z"))
    assert [cell.strip() for cell in line.split("|")[3:6]] == [
        "50.0 (40.4 – 59.6)",
        "80.0 (71.1 – 86.7)",
        "100",
    ]
    assert json.loads(to_json(result))["rows"] == result["rows"]
    # Other neighbours were not asked yet.
    assert (
        row(read_results(TABLES[2], dataclasses.replace(study, k=5)), "usvae")["note"] == "not run"
    )


def test_few_classes_have_no_top_5(study):
    put_result(study, "usvae", 0, trained=(0.4, None))
    result = read_results(TABLES[2], study)
    assert set(row(result, "usvae")["measured"]) == {"top1"}
    line = next(line for line in markdown(result).splitlines() if line.startswith("| U-S-VAE, Z"))
    assert [cell.strip() for cell in line.split("|")[3:6]] == ["40.0 (30.9 – 49.8)", "–", "100"]


def test_a_result_of_another_store_is_refused_however_alike(study):
    put_result(study, "usvae", 0, origin=study.origin() | {"store": "0" * 32}, trained=(0.4, 0.7))
    with pytest.raises(InputError, match="a result of store '0000.*', not"):
        read_results(TABLES[2], study)
    origin = study.origin()
    assert origin.pop("store") == study.store.fingerprint
    # of a version that knew no fingerprints
    put_result(study, "usvae", 0, origin=origin, trained=(0.4, 0.7))
    assert row(read_results(TABLES[2], study), "usvae")["n"] == 100


@seeded(0)
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 2**63))
def test_any_result_is_figures_or_a_sentence(study, number):
    put_result(study, "usvae", 0, trained=(0.4, 0.7))
    path = study.workdir / "usvae" / "seed0" / "knn-1-cosine.json"
    path.write_bytes(vectors.results(random.Random(number), json.loads(path.read_text())))
    try:
        result = read_results(TABLES[2], study)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        for each in result["rows"]:
            for figure in (each["measured"] or {}).values():
                assert 0 <= figure["low"] <= figure["mean"] <= figure["high"] <= 1
        json.loads(to_json(result), parse_constant=pytest.fail)
        assert markdown(result)


@pytest.mark.parametrize("number", [0, -1, 2.5, True, 10**400])
def test_a_number_tested_that_cannot_be_is_refused(study, number):
    put_result(study, "usvae", 0, trained=(0.4, 0.7))
    path = study.workdir / "usvae" / "seed0" / "knn-1-cosine.json"
    found = json.loads(path.read_text())
    found["rows"]["trained"]["n"] = number
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match="knn-1-cosine.json: damaged"):
        read_results(TABLES[2], study)


def test_results_of_something_else_are_refused(study):
    put_result(
        study, "usvae_2l", 0, origin=study.origin() | {"source": "somebody"}, trained=(0.4, 0.7)
    )
    with pytest.raises(InputError, match="a result of source 'somebody', not 'nobody'"):
        read_results(TABLES[4], study)
    path = study.workdir / "usvae_2l" / "seed0" / "knn-1-cosine.json"
    for text in ("{", "[]", '{"rows": {}}', '{"origin": {}, "epochs": 1, "rows": {}}'):
        path.write_text(text)
        with pytest.raises(InputError, match="knn-1-cosine.json: (damaged|not JSON)"):
            read_results(TABLES[4], study)


def test_emotions_of_runs_and_of_vectors_from_elsewhere(study):
    for seed, accuracies in ((0, (0.4, 0.6)), (1, (0.5, 0.7))):
        RunFolder(study.workdir / "usvae" / f"seed{seed}").claim(a_run(study, seed))
        put_emotion(study, f"usvae/seed{seed}", accuracies)
    put_emotion(study, "tsm_lstm", (0.6,))
    result = read_results(TABLES[3], study)
    rows = {row["key"]: row for row in result["rows"]}
    assert rows["usvae_lstm"]["note"] == "mean of seeds 0/0, 0/1, 1/0, 1/1: 40.0, 60.0, 50.0, 70.0"
    assert rows["usvae_lstm"]["measured"]["accuracy"]["mean"] == pytest.approx(0.55)
    assert rows["tsm_lstm"]["note"] == "seed 0" and rows["tsm_lstm"]["n"] == 100
    assert rows["bag"]["note"] == "mean of seeds 0, 1: 60.0, 60.0"
    assert (
        rows["majority"]["note"] == "" and rows["majority"]["measured"]["accuracy"]["mean"] == 0.5
    )
    assert rows["labels_lstm"]["note"] == "not imported: no labels_lstm/emotion.json"
    for changes, words in (
        ({"options": {"folds": 5}}, "a result of folds 5, not 0"),
        ({"source": "x"}, "a result of source 'x'"),
        ({"rows": [{"name": "LSTM"}]}, "damaged"),
    ):
        put_emotion(study, "tsm_lstm", (0.6,), **changes)
        with pytest.raises(InputError, match=words):
            read_results(TABLES[3], study)


def test_seeds_of_other_options_have_no_mean(study):
    put_result(study, "usvae_2l", 0, trained=(0.4, 0.7))
    put_result(study, "usvae_2l", 1, trained=(0.4, 0.7))
    assert row(read_results(TABLES[4], study), "usvae_2l")["n"] == 100
    (study.workdir / "usvae_2l" / "seed1" / "run.json").unlink()
    (study.workdir / "usvae_2l" / "seed1" / "knn-1-cosine.json").rename(study.workdir / "kept.json")
    RunFolder(study.workdir / "usvae_2l" / "seed1").claim(a_run(study, 1, epochs=2))
    (study.workdir / "kept.json").rename(study.workdir / "usvae_2l" / "seed1" / "knn-1-cosine.json")
    with pytest.raises(InputError, match="seed1: this run and .*seed0 have other options"):
        read_results(TABLES[4], study)


def test_published_emotions(tmp_path):
    with make_store(tmp_path / "store.h5", "iMiGUE, 359 videos", "imigue_emotion") as store:
        result = read_results(TABLES[3], Study(store, tmp_path / "runs", "all"))
    assert (
        row(result, "tsm_lstm")["published"] == {"accuracy": 0.6} and result["published_n"] == 100
    )
    # 50 of 100: 40.4 to 59.6.
    assert "n = 100: ± 9.6 points at 95 %" in markdown(result)
    other = make_store(tmp_path / "other.h5", "iMiGUE, 359 videos", "imigue_cross_subject")
    with other as store, pytest.raises(InputError, match="no split 'imigue_emotion'"):
        read_results(TABLES[3], Study(store, tmp_path / "runs"))
