"""What lies in a run's folder: its store, its options, its metrics, one writer; whatever is in
the files.
"""

import dataclasses
import json
import math
import os
import random
import shutil
import signal

import hypothesis
import jax
import pytest
from hypothesis import strategies
from test_fit import make_run, quiet, write_store

from mgjax import models, options, training
from mgjax.errors import InputError, short
from mgjax.evaluation.video_emotion import EmotionOptions
from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation
from mgjax.store import Store
from mgjax.training import signals
from mgjax.training.folder import RunFolder
from mgjax.training.run import Run, TrainOptions


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a store and a finished run of it."""
    folder = tmp_path_factory.mktemp("trained")
    with Store(write_store(folder / "tiny.h5")) as store:
        assert training.fit(make_run(store), store, folder / "run", log=quiet) == 0
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path / "run"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Its store


def test_a_run_is_resumed_on_its_own_store_only(trained, copied, tmp_path):
    before = contents(copied)
    with Store(write_store(tmp_path / "tiny.h5", clips=30)) as store:
        differ = "16 videos there, 30 here; 16 clips there, 30 here"
        with pytest.raises(InputError, match=f"another store .*{differ}.*delete"):
            training.fit(make_run(store), store, copied, log=quiet)
    refused = pytest.raises(InputError, match="another store .the same numbers, other contents")
    with Store(write_store(tmp_path / "other.h5", poison=3)) as store, refused:
        training.fit(make_run(store), store, copied, log=quiet)
    assert contents(copied) == before
    with Store(write_store(tmp_path / "again.h5")) as store:  # the same, packed again
        assert training.fit(make_run(store), store, copied, log=quiet) == 0
        noted = json.loads((copied / "run.json").read_text())["store"]
        assert noted == store.described() and noted["clips"] == 16


def test_an_older_run_takes_the_store_of_its_next_resume_for_its_own(
    trained, copied, tmp_path, capsys
):
    values = json.loads((copied / "run.json").read_text())
    store_of_it = values.pop("store")
    (copied / "run.json").write_text(json.dumps(values))
    with Store(trained / "tiny.h5") as store:
        training.fit(make_run(store), store, copied, log=quiet)
        assert "does not say which store" in capsys.readouterr().err
        assert json.loads((copied / "run.json").read_text())["store"] == store_of_it
        training.fit(make_run(store), store, copied, log=quiet)
    assert capsys.readouterr().err == ""


# Its length


def test_a_run_may_be_given_another_length_but_nothing_else(trained, copied):
    with Store(trained / "tiny.h5") as store:
        with pytest.raises(InputError, match="has done 6 steps, more than the 4 asked for"):
            training.fit(make_run(store, epochs=2), store, copied, log=quiet)
        with pytest.raises(InputError, match="training.seed=0, not 1"):
            training.fit(make_run(store, epochs=4, seed=1), store, copied, log=quiet)
        assert RunFolder(copied).load().training.epochs == 3
        cosine = {"schedule": "cosine", "learning_rate": 0.5}
        folder = copied.parent / "cosine"
        shutil.copytree(copied, folder)
        values = json.loads((folder / "run.json").read_text())
        values["training"] |= cosine
        (folder / "run.json").write_text(json.dumps(values))
        lines = []
        assert (
            training.fit(
                make_run(store, epochs=0, steps=12, **cosine), store, folder, log=lines.append
            )
            == 0
        )
        assert "now 12 steps instead of 6; its cosine is stretched" in lines[0]
        assert "the learning rate of step 6 is 0.25 instead of 0" in lines[0]
        assert RunFolder(folder).load().training.length(2) == 12
        assert [record["step"] for record in RunFolder(folder).metrics()] == [2, 4, 6, 8, 10, 12]


# One writer


def test_a_second_training_of_a_folder_changes_nothing(trained, tmp_path):
    """Tried in the midst of the first one."""
    refused = []

    def again(line):
        if line.startswith("step ") and not refused:
            before = contents(tmp_path / "run")
            with pytest.raises(InputError, match="run: another process is writing it") as caught:
                training.fit(run, store, tmp_path / "run", log=quiet)
            refused.append(str(caught.value))
            assert contents(tmp_path / "run") == before

    with Store(trained / "tiny.h5") as store:
        run = make_run(store, epochs=4, checkpoint_seconds=0.0)
        assert training.fit(run, store, tmp_path / "run", log=again) == 0
        assert len(refused) == 1
        assert [record["epoch"] for record in RunFolder(tmp_path / "run").metrics()] == [0, 1, 2, 3]
        assert training.fit(run, store, tmp_path / "run", log=quiet) == 0  # let go of


def test_a_library_call_leaves_jax_as_it_is(trained, copied, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    before = jax.config.jax_compilation_cache_dir
    with Store(trained / "tiny.h5") as store:
        training.fit(make_run(store), store, copied, log=quiet)
    assert jax.config.jax_compilation_cache_dir == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_nohup_is_left_in_force():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.collected() as stopped:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stopped == []
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with signals.collected() as stopped:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stopped == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)


# Its metrics


def record(epoch):
    return {"epoch": epoch, "step": 2 * epoch + 2, "loss": 1.0 / (epoch + 1)}


def test_metrics_have_one_record_a_step(tmp_path):
    folder = RunFolder(tmp_path)
    for epoch in (0, 1, 1, 0, 2, 1):
        folder.add_metrics(record(epoch))
    assert folder.metrics() == [record(0), record(1), record(2)]
    assert folder.keep_metrics(4) == [record(0), record(1)] == folder.metrics()
    assert folder.keep_metrics(4, ended=False) == [record(0)]


@pytest.mark.parametrize(
    "line",
    [
        b"7",
        b"[]",
        b'"x"',
        b"null",
        b"",
        b"\xff\xfe",
        b'{"epoch": 1, "loss": 1.0}',
        b'{"step": 4, "loss": 1.0}',
        b'{"epoch": 1, "step": 4}',
        b'{"epoch": 1, "step": "4", "loss": 1.0}',
        b'{"epoch": 1, "step": true, "loss": 1.0}',
        b'{"epoch": 1, "step": -4, "loss": 1.0}',
        b'{"epoch": 1, "step": 4, "loss": NaN}',
        b'{"epoch": 1, "step": 4.0, "loss": 1.0}',
        b'{"epoch": 1, "step": 4, "loss": "low"}',
        b'{"epoch": 1, "step": 4, "loss": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_record_is_named_or_dropped(tmp_path, line):
    folder, path = RunFolder(tmp_path), tmp_path / "metrics.jsonl"
    good = [json.dumps(record(epoch)).encode() for epoch in range(4)]
    path.write_bytes(b"\n".join([good[0], line, *good[1:]]) + b"\n")
    for read in (folder.metrics, lambda: folder.keep_metrics(4)):
        with pytest.raises(InputError, match="metrics.jsonl: line 2 .*; expected a record"):
            read()
    assert folder.keep_metrics(2) == [record(0)]  # it comes after the last step that is kept
    path.write_bytes(b"\n".join([*good, line]))
    assert folder.metrics() == [record(epoch) for epoch in range(4)]


# Its options


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"learning_rate": "1"},
        {"learning_rate": True},
        {"learning_rate": 1e39},
        {"warmup_epochs": math.nan},
        {"seed": 10**20},
        {"seed": 1.0},
        {"seed": True},
        {"seed": None},
        {"epochs": "3"},
        {"epochs": [3]},
        {"checkpoint_seconds": math.nan},
        {"checkpoint_seconds": -1.0},
        {"schedule": 3},
        {"steps": 10**5000},
        {"weight_decay": -math.inf},
    ],
    ids=short,
)
def test_an_option_that_is_no_such_value_is_refused(wrong):
    with pytest.raises(InputError, match=f"training: {next(iter(wrong))} is .*expected"):
        TrainOptions(**wrong)


@pytest.mark.parametrize(
    "kind, wrong",
    [
        (USVAE.Config, {"forget_bias": math.nan}),
        (USVAE.Config, {"units": "8"}),
        (USVAE.Config, {"units": 8.0}),
        (Preparation, {"velocity": math.nan}),
        (Preparation, {"fill_unseen": 1}),
        (Preparation, {"fixed_frames": "x"}),
        (Augmentation, {"rotation": math.inf}),
        (Augmentation, {"denoise": None}),
        (Augmentation, {"crop": "a lot"}),
        (EmotionOptions, {"seeds": 1.5}),
        (EmotionLSTM.Config, {"dropout": "half"}),
    ],
)
def test_options_of_every_kind_have_the_type_of_their_default(kind, wrong):
    with pytest.raises(
        InputError, match=f"{next(iter(wrong))} is .*, expected (a whole|a finite|true or false)"
    ):
        kind(**wrong)


def test_a_run_checks_the_options_of_someones_own_model(trained):
    @dataclasses.dataclass(frozen=True)
    class Mine:
        share: float = 0.5

    with Store(trained / "tiny.h5") as store:
        run = make_run(store)
        assert dataclasses.replace(run, options=Mine(0.25)).options.share == 0.25
        with pytest.raises(InputError, match="usvae: share is nan, expected a finite number"):
            dataclasses.replace(run, options=Mine(math.nan))
        with pytest.raises(InputError, match="run: split is 3"):
            dataclasses.replace(run, split=3)


def test_a_damaged_run_json_is_not_overwritten(trained, copied):
    for data in (
        b"",
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"model": 1' + b"0" * 5000 + b"}",
        b'{"model": "usvae"}',
    ):
        (copied / "run.json").write_bytes(data)
        with Store(trained / "tiny.h5") as store:
            for call in (
                lambda: training.fit(make_run(store), store, copied, log=quiet),
                lambda: training.load_model(copied),
            ):
                with pytest.raises(InputError, match="run.json: ") as caught:
                    call()
                assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)
        assert (copied / "run.json").read_bytes() == data


# fmt: off
ODD = (
    None, True, -1, 0, 10**20, 1e300, -0.5, math.nan, math.inf, "", "usvae", "\0", [], [[]], {},
    {"a": 1}, "x" * 300,
)
# fmt: on


def mutated(value, chance: random.Random):
    """Plain values with one of them, at any depth, replaced, doubled, renamed or left out."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name, way = chance.choice(sorted(value)), chance.random()
        rest = {each: one for each, one in value.items() if each != name}
        if way < 0.1:
            return rest
        if way < 0.2:
            return rest | {name + chance.choice("xs_"): value[name]}
        return value | {name: mutated(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        i = chance.randrange(len(value))
        return (
            value[:i]
            + chance.choice(([], [mutated(value[i], chance)], [value[i]] * 2))
            + value[i + 1 :]
        )
    return chance.choice(ODD)


def is_of(value, default):
    """Whether a value is one that an option of such a default may have."""
    if isinstance(default, (bool, str)):
        return type(value) is type(default)
    return type(value) in (
        (int, float) if isinstance(default, float) else (int,)
    ) and math.isfinite(value)


@hypothesis.settings(
    derandomize=True,
    max_examples=400,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(seed=strategies.integers(0, 2**32))
def test_a_mutated_run_json_is_a_run_or_refused(trained, tmp_path, seed):
    values = mutated(json.loads((trained / "run" / "run.json").read_text()), random.Random(seed))
    (tmp_path / "run.json").write_text(json.dumps(values))
    try:
        run = RunFolder(tmp_path).load()
    except InputError as error:
        known = "run.json: damaged" in str(error) or "run.json: unknown model" in str(error)
        assert known and len(str(error)) < 1000
        return
    for group in (run.options, run.preparation, run.augmentation, run.training):
        for field in dataclasses.fields(group):
            assert is_of(getattr(group, field.name), field.default), field.name
    assert isinstance(run.split, str) and all(isinstance(name, str) for name in run.classes)
    assert Run.from_dict(run.to_dict()) == run


def test_a_run_of_a_model_that_is_not_known_here_says_how_to_make_it_known(copied, monkeypatch):
    values = json.loads((copied / "run.json").read_text())
    for name, words in (
        ("velocity", "run.json: unknown model 'velocity'.*register.'velocity'"),
        ("models_of_nobody:A", "run.json: model .*no module 'models_of_nobody'; its folder must"),
    ):
        (copied / "run.json").write_text(json.dumps(values | {"model": name}))
        with pytest.raises(InputError, match=words):
            training.load_model(copied)
    monkeypatch.setitem(models.MODELS, "velocity", USVAE)
    (copied / "run.json").write_text(json.dumps(values | {"model": "velocity"}))
    assert training.load_model(copied)[1].model == "velocity"


def test_a_run_of_an_older_version_is_told_the_new_names(copied):
    values = json.loads((copied / "run.json").read_text())
    values["options"]["latent"] = values["options"].pop("latent_size")
    (copied / "run.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="run.json: .*usvae: latent is now latent_size"):
        training.load_model(copied)


def test_types_are_checked_in_one_place():
    @dataclasses.dataclass(frozen=True)
    class Mine:
        share: float = options.option(0.5, "a share")
        names: tuple = options.option((), "of someone's own kind")

    assert options.read(Mine, {"share": 1, "names": [2]}, "mine") == Mine(1, [2])
    for wrong in ({"share": "1"}, {"shares": 1.0}, 5, None, [1]):
        with pytest.raises(InputError, match="^mine"):
            options.read(Mine, wrong, "mine")
