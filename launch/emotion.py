r"""Judge how well the emotion of videos is told from the micro-gestures in them.

    python launch/emotion.py --workdir runs/imigue --store imigue.h5 --split imigue_emotion
    --output emotion.json

A 3-layer LSTM reads the vectors of a video's clips in the order of time and says positive (won)
or negative (lost). Prints it beside a logistic regression on the mean vector and the majority,
and writes --output. Exactly one flag says where the vectors come from:

--workdir RUN         a trained run: class probabilities of a classifier, features of an encoder
--labels              the store's true labels: what perfect recognition would give
--probabilities FILE  made elsewhere, by any model of any kind of data. For every clip of every
                      video of the split:
                      video   the store's id of the video, as text ("0187")
                      clip    the clip's number in its video, in the order of time, the first
                              being 0; of clips that start together the shorter one comes first
                      vector  its D numbers, class probabilities or others
                      .h5, .hdf5 (HDF5) or .npz: three arrays of those names, of shape [N], [N]
                      and [N, D].
                      .csv: a first line "video,clip,p0,p1,..." with any D names after
                      "video,clip", then a line a clip.

With --folds=10 all videos of the split are judged by cross-validation, no subject being in two
folds; --split=all then takes every video of the store.
"""

import functools

import run_flags
from absl import flags

from mgjax import files
from mgjax.errors import InputError
from mgjax.evaluation import clip_vectors, video_emotion
from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.report.tables import show
from mgjax.scripts import run_script, script
from mgjax.store import Store

FLAGS = flags.FLAGS
SOURCES = ("workdir", "probabilities", "labels")
OPTIONS = EmotionLSTM.Config, video_emotion.EmotionOptions


def define_flags():
    """The script's flags."""
    flags.DEFINE_string("store", None, "the store whose videos are judged", required=True)
    flags.DEFINE_string("split", None, "the store's split of videos", required=True)
    flags.DEFINE_string("output", None, "the JSON file to write", required=True)
    flags.DEFINE_string("workdir", None, "take vectors from the run in this folder")
    flags.DEFINE_string(
        "probabilities", None, "take vectors from this file (.h5, .hdf5, .npz or .csv), see above"
    )
    flags.DEFINE_bool("labels", False, "take the clips' true labels as vectors")
    flags.DEFINE_string(
        "feature",
        None,
        "with --workdir: what to take from the encoder; by default what the run was trained for",
    )
    flags.DEFINE_integer("step", None, "with --workdir: which checkpoint; by default the newest")
    for kind in OPTIONS:
        run_flags.define_options(kind)
    flags.adopt_module_key_flags(run_flags)  # so that --help lists them too


def source(store):
    """The function of clips that gives the vectors the flags ask for."""
    if sum(bool(FLAGS[name].value) for name in SOURCES) != 1:
        raise InputError(
            "give exactly one of --workdir, --probabilities and --labels: where "
            "clips' vectors come from"
        )
    if not FLAGS.workdir and (FLAGS.feature or FLAGS.step is not None):
        raise InputError("--feature and --step belong to --workdir")
    if FLAGS.workdir:
        return functools.partial(
            clip_vectors.run_vectors, FLAGS.workdir, store, feature=FLAGS.feature, step=FLAGS.step
        )
    if FLAGS.probabilities:
        return functools.partial(clip_vectors.file_vectors, FLAGS.probabilities, store)
    return functools.partial(clip_vectors.label_vectors, store)


@script
def main(argv):
    """Read the flags, make the call, say what was done."""
    output = files.output(FLAGS.output)
    with Store(FLAGS.store) as store:
        result = video_emotion.judge(
            store, FLAGS.split, source(store), *map(run_flags.read_options, OPTIONS)
        )
    show(video_emotion.result_table(result), video_emotion.how_judged(result))
    files.write_json(output, result)
    print(f"\nwrote {output}")


if __name__ == "__main__":
    run_script(main, define_flags)
