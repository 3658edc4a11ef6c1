"""The tables of the iMiGUE paper, and what later work adds to them: the rows and the published
figures. Data only; `study` runs and reads them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from mgjax import protocols

IMIGUE, NTU_VIEW, NTU_SUBJECT = "iMiGUE", "NTU RGB+D 60, C-View", "NTU RGB+D 60, C-Sub"
# What a store's source begins with, and a split: whose published figures may stand beside what is
# measured on it.
PUBLISHED_ON = {
    ("iMiGUE", "imigue_cross_subject"): IMIGUE,
    ("iMiGUE", "imigue_emotion"): IMIGUE,
    ("NTU RGB+D", "cross_view"): NTU_VIEW,
    ("NTU RGB+D", "cross_subject"): NTU_SUBJECT,
}
# Which of the things that are judged with a run a method is: of clips, and of videos.
Judged = Literal[
    "trained", "untrained", "prepared keypoints", "raw keypoints", "majority class",
    "LSTM", "bag of gestures", "majority",
]  # fmt: skip
# Figures in per cent in the order of the table's, by whose they are; None where there is none.
Published = Mapping[str, tuple[float | None, ...]]


@dataclasses.dataclass(frozen=True)
class Method:
    """One row of a table.

    Attributes:
        key: the row's name on the command line.
        name, kind: as printed.
        published: figures in per cent, in the order of the table's, by whose they are.
        model: name in `mgjax.models` of the model that gives the row; "" where none will.
        folder: of its runs, in the working folder; by default the key.
        changes: options of the model that make it this row.
        feature: what to take from the encoder; None takes the run's own choice.
        judged: which of the things that were judged with the run the row is.
        reference: the figure was published and is not to be measured here.
    """

    key: str
    name: str
    kind: str
    published: Published = dataclasses.field(default_factory=dict)
    model: str = ""
    folder: str = ""
    changes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    feature: str | None = None
    judged: Judged = "trained"
    reference: bool = False

    @property
    def runs(self) -> str:
        """The folder of its runs."""
        return self.folder or self.key


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A table.

    Attributes:
        number: in the paper.
        title: what it is about.
        figures: name to heading.
        rows: its methods.
        tested: how many were tested for the published figures, by whose they are.
        videos: whether it judges videos, not clips.
    """

    number: int
    title: str
    figures: Mapping[str, str]
    rows: tuple[Method, ...]
    tested: Mapping[str, int]
    videos: bool = False


# What a method is learnt from, as printed.
SUPERVISED, UNSUPERVISED = "supervised, pose", "unsupervised, pose"
RGB, RGBD = "RGB", "unsupervised, RGB-D"
LATER, CONTROL = "supervised, pose, later work", "control"


def _reference(key: str, name: str, kind: str, published: Published) -> Method:
    """A method that is not to be measured here."""
    return Method(key, name, kind, published, reference=True)


def _layers(count: int, key: str, name: str, kind: str, published: Published) -> Method:
    """U-S-VAE with an encoder of so many layers."""
    return Method(key, name, kind, published, model="usvae", changes={"layers": count})


def _one_layer(
    key: str,
    name: str,
    kind: str,
    published: Published | None = None,
    judged: Judged = "trained",
    feature: str | None = None,
) -> Method:
    """U-S-VAE with one layer, or what is judged beside it: all share the runs in "usvae"."""
    return Method(
        key,
        name,
        kind,
        published or {},
        model="usvae",
        folder="usvae",
        changes={"layers": 1},
        feature=feature,
        judged=judged,
    )


# fmt: off
# What learns nothing, judged in the same way: what a figure has to be better than.
_CONTROLS = (
    _one_layer("untrained", "U-S-VAE's encoder, untrained", CONTROL, judged="untrained"),
    _one_layer("prepared_keypoints", "prepared keypoints, no encoder", CONTROL,
               judged="prepared keypoints"),
    _one_layer("raw_keypoints", "raw keypoints, no encoder", CONTROL, judged="raw keypoints"),
    _one_layer("majority", "majority class", CONTROL, judged="majority class"),
)

_RECOGNITION = PaperTable(2, "micro-gesture recognition", {"top1": "top-1", "top5": "top-5"}, (
    Method("svae", "S-VAE", SUPERVISED, {IMIGUE: (27.38, 60.44)}, model="svae"),
    Method("lstm", "LSTM", SUPERVISED, {IMIGUE: (32.36, 72.93)}, model="lstm"),
    Method("blstm", "BLSTM", SUPERVISED, {IMIGUE: (32.39, 71.34)}, model="blstm"),
    Method("stgcn", "ST-GCN", SUPERVISED, {IMIGUE: (46.97, 84.09)}, model="stgcn"),
    Method("agcn", "2s-AGCN (2S-GCN)", SUPERVISED, {IMIGUE: (47.78, 88.43)}, model="agcn"),
    Method("shiftgcn", "Shift-GCN", SUPERVISED, {IMIGUE: (51.51, 88.18)}, model="shiftgcn"),
    Method("gcnnas", "GCN-NAS", SUPERVISED, {IMIGUE: (53.90, 89.21)}, model="gcnnas"),
    Method("msg3d", "MS-G3D", SUPERVISED, {IMIGUE: (54.91, 89.98)}, model="msg3d"),
    _reference("c3d", "C3D", RGB, {IMIGUE: (20.32, 55.31)}),
    _reference("r3d", "R3D-101", RGB, {IMIGUE: (25.27, 59.39)}),
    _reference("i3d", "I3D", RGB, {IMIGUE: (34.96, 63.69)}),
    _reference("tsn", "TSN", RGB, {IMIGUE: (51.54, 85.42)}),
    _reference("trn", "TRN", RGB, {IMIGUE: (55.24, 89.17)}),
    _reference("tsm", "TSM", RGB, {IMIGUE: (61.10, 91.24)}),
    Method("predict_cluster", "P&C", UNSUPERVISED, {IMIGUE: (31.67, 64.93)},
           model="predict_cluster"),
    _one_layer("usvae", "U-S-VAE, Z", UNSUPERVISED, {IMIGUE: (32.43, 64.30)}),
    # Published since, on the same test clips.
    _reference("posec3d_semantic", "PoseC3D, semantic loss", LATER, {IMIGUE: (64.12, None)}),
    _reference("posec3d", "PoseC3D, 41 joints", LATER, {IMIGUE: (67.01, None)}),
    _reference("mamp", "MAMP, fine-tuned, 46 joints", LATER, {IMIGUE: (70.19, None)}),
    *_CONTROLS,
), {IMIGUE: protocols.IMIGUE_SPLIT_CLIPS[1]})

_EMOTION = PaperTable(3, "emotion of a video", {"accuracy": "accuracy"}, (
    _reference("trn", "TRN", RGB, {IMIGUE: (53.0,)}),
    _reference("tsm", "TSM", RGB, {IMIGUE: (53.0,)}),
    _reference("i3d", "I3D", RGB, {IMIGUE: (57.0,)}),
    _reference("stgcn", "ST-GCN", "pose", {IMIGUE: (50.0,)}),
    _reference("msg3d", "MS-G3D", "pose", {IMIGUE: (55.0,)}),
    _one_layer("usvae_lstm", "U-S-VAE + LSTM", "micro-gestures, pose", {IMIGUE: (55.0,)},
               judged="LSTM"),
    # Read from what launch/emotion.py wrote, for no model here gives their vectors.
    Method("tsm_lstm", "TSM + LSTM", "micro-gestures, RGB", {IMIGUE: (60.0,)}, judged="LSTM"),
    Method("labels_lstm", "true gesture labels + LSTM", CONTROL, judged="LSTM"),
    _one_layer("bag", "bag of gestures, U-S-VAE", CONTROL, judged="bag of gestures"),
    _one_layer("majority", "majority class", CONTROL, judged="majority"),
), {IMIGUE: len(protocols.IMIGUE_EMOTION_TEST)}, videos=True)

_ABLATION = PaperTable(4, "ablation of U-S-VAE", {"top1": "top-1"}, (
    _reference("shuffle_learn", "Shuffle & Learn", RGBD,
               {NTU_VIEW: (40.90,), NTU_SUBJECT: (46.20,)}),
    _reference("luo", "Luo et al.", RGBD, {NTU_VIEW: (53.20,), NTU_SUBJECT: (61.40,)}),
    _reference("li", "Li et al.", RGBD, {NTU_VIEW: (63.90,), NTU_SUBJECT: (68.10,)}),
    _reference("longt_gan", "LongT GAN", UNSUPERVISED, {NTU_VIEW: (48.10,), NTU_SUBJECT: (39.10,)}),
    Method("predict_cluster", "P&C", UNSUPERVISED,
           {IMIGUE: (31.67,), NTU_VIEW: (76.10,), NTU_SUBJECT: (50.70,)}, model="predict_cluster"),
    _layers(3, "usvae_3l", "U-S-VAE, 3 layers", UNSUPERVISED,
            {IMIGUE: (30.85,), NTU_VIEW: (25.46,), NTU_SUBJECT: (22.50,)}),
    _layers(2, "usvae_2l", "U-S-VAE, 2 layers", UNSUPERVISED,
            {IMIGUE: (30.30,), NTU_VIEW: (55.13,), NTU_SUBJECT: (37.03,)}),
    _one_layer("usvae_cell", "U-S-VAE, 1 layer, cell state C", UNSUPERVISED,
               {IMIGUE: (32.04,), NTU_VIEW: (44.57,), NTU_SUBJECT: (36.11,)}, feature="cell"),
    _one_layer("usvae", "U-S-VAE, 1 layer", UNSUPERVISED,
               {IMIGUE: (32.43,), NTU_VIEW: (64.88,), NTU_SUBJECT: (50.96,)}),
    *_CONTROLS,
), {IMIGUE: protocols.IMIGUE_SPLIT_CLIPS[1]})
# fmt: on

TABLES = {table.number: table for table in (_RECOGNITION, _EMOTION, _ABLATION)}
