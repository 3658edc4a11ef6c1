r"""The paper's Tables 2 (recognition), 3 (emotion) and 4 (ablation): published beside measured.

    python launch/tables.py --store imigue.h5 --table 2 --workdir runs/tables --output tables/
           # what there is
    python launch/tables.py --store imigue.h5 --table 2 --workdir runs/tables --output tables/
    --run  # what is missing

Without --run it reads the results that --workdir holds; with it, rows whose model is there are
trained and judged first, --rows takes some of them, and what is finished is left as it is. It can
be stopped at any moment and goes on when called again. The table is printed and written as
Markdown and JSON.

A row is trained with its model's recipe, or with --recipe MODEL=RECIPE (a name or a file), and any
flags of a run beside it (--train.epochs=20). Two rows of Table 3 are read from what
launch/emotion.py wrote: with --probabilities of TSM as WORKDIR/tsm_lstm/emotion.json, with
--labels as WORKDIR/labels_lstm/emotion.json.

Published figures stand beside what is measured on iMiGUE's own files and official splits only.
"""

import pathlib
import sys

import run_flags
from absl import flags

from mgjax import files, models, recipes
from mgjax.errors import InputError
from mgjax.evaluation.paper import TABLES
from mgjax.evaluation.study import Study, run_rows
from mgjax.evaluation.study_results import markdown, read_results, to_json
from mgjax.scripts import run_script, script
from mgjax.store import Store
from mgjax.training import Run
from mgjax.training.groups import kinds_of

FLAGS = flags.FLAGS
RECIPES = {"usvae": "usvae_paper"}


def define_flags():
    """The script's flags."""
    flags.DEFINE_string("store", None, "the store", required=True)
    flags.DEFINE_enum(
        "table", None, [str(number) for number in TABLES], "which table", required=True
    )
    flags.DEFINE_string(
        "workdir",
        None,
        "folder of the runs and results, one for each store and split",
        required=True,
    )
    flags.DEFINE_string(
        "output",
        None,
        "folder for tableN.md and tableN.json, made if it is not "
        "there; or the path of "
        "one of the two, ending in .md or .json",
        required=True,
    )
    flags.DEFINE_string(
        "split",
        Study.split,
        "split of clips that is trained on and, in Tables 2 and 4, tested",
    )
    flags.DEFINE_string("emotion_split", Study.emotion_split, "split of videos of Table 3")
    flags.DEFINE_integer("k", Study.k, "neighbours that vote", lower_bound=1)
    flags.DEFINE_enum("metric", Study.metric, ["cosine", "euclidean"], "distance of embeddings")
    flags.DEFINE_bool("run", False, "train and judge what is missing")
    flags.DEFINE_list(
        "rows", [], "with --run: rows to train, such as usvae,usvae_2l; by default all that can be"
    )
    flags.DEFINE_list("seeds", ["0"], "with --run: seeds to train each row with")
    flags.DEFINE_multi_string(
        "recipe",
        [],
        "with --run: MODEL=RECIPE, a recipe (its name or a file) to train a model's rows with; "
        "by default " + ", ".join(f"{model}={recipe}" for model, recipe in RECIPES.items()),
    )
    run_flags.define_run_flags()
    flags.adopt_module_key_flags(run_flags)  # so that --help lists them too


def given_run_flags():
    """The options of a run that the command line gives, by the names of their flags."""
    given = run_flags.given_options()
    only = [*given, *(name for name in ("rows", "seeds", "recipe") if FLAGS[name].present)]
    if only and not FLAGS.run:
        raise InputError(f"--{only[0]} is for training; give --run as well")
    if "train.seed" in given:
        raise InputError("--train.seed: the seeds of a table's rows are given by --seeds")
    return given


def chosen_recipes():
    """The recipe of every model, by name."""
    chosen = dict(RECIPES)
    for text in FLAGS.recipe:
        model, _, recipe = text.partition("=")
        if not recipe:
            raise InputError(f"--recipe={text}: expected MODEL=RECIPE, such as usvae=usvae_paper")
        models.get(model)
        recipes.find(recipe)
        chosen[model] = recipe
    return chosen


def run_of(model, store, split, given, recipe):
    """The run of a model that its recipe and then the given flags describe."""
    if model not in recipe:
        raise InputError(f"model {model!r} has no recipe; give --recipe {model}=RECIPE")
    groups = kinds_of(model)
    own = {name: value for name, value in given.items() if name.partition(".")[0] in groups}
    return Run.from_recipe(recipe[model], store, split=split, model=model, **own)


def output_paths(output, number):
    """Where the Markdown and the JSON go; makes the folder."""
    path = pathlib.Path(output)
    stem = path.with_suffix("") if path.suffix in (".md", ".json") else path / f"table{number}"
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{stem.parent}: cannot be made ({error.strerror})") from None
    return [files.output(stem.with_name(stem.name + ending)) for ending in (".md", ".json")]


def seeds():
    """The seeds to train with."""
    try:
        return [int(seed) for seed in FLAGS.seeds]
    except ValueError:
        raise InputError(
            f"--seeds={','.join(FLAGS.seeds)}: expected whole numbers, such as 0,1,2"
        ) from None


@script
def main(argv):
    """Read the flags, make the calls, say what was done."""
    given, recipe, table = given_run_flags(), chosen_recipes(), TABLES[int(FLAGS.table)]
    written = output_paths(FLAGS.output, table.number)
    with Store(FLAGS.store) as store:
        study = Study(
            store,
            pathlib.Path(FLAGS.workdir),
            FLAGS.split,
            FLAGS.emotion_split,
            FLAGS.k,
            FLAGS.metric,
        )
        if FLAGS.run:
            stopped = run_rows(
                table,
                study,
                lambda model: run_of(model, store, study.split, given, recipe),
                FLAGS.rows,
                seeds(),
            )
            if stopped:
                sys.exit(128 + stopped)
        result = read_results(table, study)
    for path, text in zip(written, (markdown(result), to_json(result))):
        files.write_text(path, text)
    print(markdown(result))
    print(f"wrote {written[0]} and {written[1]}")


if __name__ == "__main__":
    run_script(main, define_flags)
