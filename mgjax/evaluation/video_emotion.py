"""The emotion of videos from the vectors of their clips: the LSTM, beside two ways that know
nothing of order.

A clip's vector is its class probabilities, what an encoder made of it, its true label, or a row
of a file made elsewhere (`mgjax.evaluation.clip_vectors`). Judged are, on the same videos:

- LSTM: `models.emotion_lstm`, once for every seed, and the mean probability of all seeds ("LSTM,
  together").
- bag of gestures: logistic regression on the mean vector of a video's clips. How strongly it is
  held small is chosen by cross-validation among the training videos.
- majority: the emotion that most training videos have.

Nothing is chosen by a test label: the LSTM's settings are fixed beforehand, and it is judged
after its last epoch. Vectors are centred and scaled by one number, both from the training videos.
One number for all of a vector's entries, because an entry that seldom moves (a rare gesture)
would otherwise speak as loudly as a common one, and with a hundred videos that is noise.

Emotions are numbered as in `protocols.IMIGUE_EMOTIONS`, and every probability is that of a
positive one. A video without clips has the probability that the training videos' emotions give it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from mgjax import progress
from mgjax.errors import InputError
from mgjax.evaluation.clip_vectors import clips_in_time
from mgjax.evaluation.metrics import confusion
from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.options import group, option
from mgjax.protocols import IMIGUE_EMOTIONS
from mgjax.report.accuracy import wilson_interval
from mgjax.store import ALL, Store

# Weights of the squared size of a logistic regression's coefficients, for inputs of mean square
# length 1.
STRENGTHS = 10.0 ** np.arange(-5, 1.01, 0.5)
INNER_FOLDS = 5


@group("emotion")
class EmotionOptions:
    """How the emotion of videos is learnt and judged, the LSTM's own options apart."""

    seeds: int = option(5, "how many LSTMs to train, with seeds from 0", least=1, most=1000)
    folds: int = option(
        0,
        "judge all videos of the split by cross-validation of so many folds, no subject being in "
        "two; 0 trains on the split's training videos and judges its test videos",
        least=0,
        most=10**6,
    )
    epochs: int = option(150, "optimiser steps, each of all training videos", least=1, most=10**6)
    learning_rate: float = option(
        1e-2,
        "AdamW's step size at its highest; it rises for 20 epochs and falls as a cosine to zero",
        above=0,
        most=1000,
    )
    weight_decay: float = option(0.3, "decoupled weight decay (AdamW)", least=0, most=10**6)

    def validate(self) -> None:
        """Raise InputError where a single fold is asked for."""
        if self.folds == 1:
            raise InputError("emotion: folds is 1, expected 0 or at least 2")


# Which videos, and the vectors of their clips.


@dataclasses.dataclass(frozen=True)
class Videos:
    """Videos whose emotion is known, and how they are judged.

    Attributes:
        rows: of the store's videos, int `[V]`.
        emotion: index into `IMIGUE_EMOTIONS`, int `[V]`.
        subject: str `[V]`, "" where it is unknown.
        clips: the store's clips of every video in the order of time, one int array a video.
        trials: pairs of places among these videos that train and that test, int arrays.
        left_out: ids of videos that have no emotion, and so take no part in a cross-validation.
    """

    rows: np.ndarray
    emotion: np.ndarray
    subject: np.ndarray
    clips: list[np.ndarray]
    trials: list[tuple[np.ndarray, np.ndarray]]
    left_out: list[str]


def split_videos(store: Store, split: str, folds: int = 0) -> Videos:
    """The videos of a split; of "all", with folds, every video of the store.

    Raises:
        InputError: the split is of clips, has no training or no test videos, or a video in it has
            no emotion (without folds) or an unknown one.
    """
    chosen = store.split(split)
    if split == ALL:
        sides = np.arange(len(store.videos)), np.empty(0, np.int64)
    elif chosen.of == "videos":
        sides = chosen.train, chosen.test
    else:
        raise InputError(
            f"{store.path}: split {split!r} is of clips, but emotions need a split of videos"
        )
    if not folds and not all(len(side) for side in sides):
        raise InputError(
            f"{store.path}: split {split!r} has no "
            f"{'test' if len(sides[0]) else 'training'} videos; "
            "with folds all its videos are cross-validated"
        )
    rows, emotions = np.concatenate(sides), store.videos.emotion
    known = np.isin(emotions[rows], IMIGUE_EMOTIONS)
    for row in rows[~known]:
        if emotions[row] or not folds:
            raise InputError(
                f"{store.path}: video {store.videos.id[row]!r} of split {split!r} "
                "has the emotion "
                f"{emotions[row]!r}, expected {' or '.join(IMIGUE_EMOTIONS)}"
            )
    left_out = store.videos.id[rows[~known]].tolist()
    rows = rows[known]
    emotion = np.array([IMIGUE_EMOTIONS.index(emotions[row]) for row in rows], int)
    subject, in_time = store.videos.subject[rows], clips_in_time(store)
    if folds:
        fold = grouped_folds(subject, emotion, folds)
        trials = [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(folds)]
    else:
        trials = [(np.arange(len(sides[0])), np.arange(len(sides[0]), len(rows)))]
    return Videos(rows, emotion, subject, [in_time[row] for row in rows], trials, left_out)


def grouped_folds(subject, emotion, folds: int, seed: int = 0) -> np.ndarray:
    """A fold for every video, int `[V]`: a subject's videos share one, and every fold has its
    share of each emotion as nearly as that allows.

    A video of unknown subject ("") counts as one of a subject of its own.

    Raises:
        InputError: there are fewer subjects than folds.
    """
    names = np.array([name or f" {place}" for place, name in enumerate(subject)])
    groups, group = np.unique(names, return_inverse=True)
    if len(groups) < folds:
        raise InputError(
            f"{folds} folds need as many subjects, but the videos are of {len(groups)}"
        )
    counts = np.zeros((len(groups), len(IMIGUE_EMOTIONS)))
    np.add.at(counts, (group, np.asarray(emotion)), 1)
    shares = counts / np.maximum(counts.sum(0), 1)
    order = np.random.default_rng(seed).permutation(len(groups))
    # The largest come first, while there is room to choose.
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    filled, fold_of_group = np.zeros((folds, counts.shape[1])), np.empty(len(groups), int)
    for each in order:
        # Least of the emotions that this subject brings, and of those as nearly least of all.
        fold_of_group[each] = np.argmin(filled @ (shares[each] + 1e-3))
        filled[fold_of_group[each]] += shares[each]
    return fold_of_group[group]


# Learning.


def centred(vectors: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Vectors `[N, D]` less the mean of the training vectors, in units of their root mean square
    length.
    """
    mean = training.mean(0)
    scale = np.sqrt(((training - mean) ** 2).sum(1).mean())
    return ((vectors - mean) / (scale or 1)).astype(np.float32)


def fit_logistic(x: np.ndarray, truth: np.ndarray, strength: float) -> np.ndarray:
    """Logistic regression: mean log loss + strength/2 · |coefficients|², least by Newton's method.

    Args:
        x: `[N, D]`.
        truth: bool `[N]`.

    Returns:
        D coefficients and the constant, which is as good as free, float64 `[D + 1]`.
    """
    x = np.hstack([x, np.ones((len(x), 1))]).astype(np.float64)
    sign, penalty = np.where(truth, 1, -1), np.full(x.shape[1], strength)
    penalty[-1] = 1e-6
    objective = lambda w: np.logaddexp(0, -sign * (x @ w)).mean() + (penalty * w * w).sum() / 2
    w = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-(x @ w)))
        gradient = x.T @ (p - truth) / len(x) + penalty * w
        step = np.linalg.solve((x.T * (p * (1 - p))) @ x / len(x) + np.diag(penalty), gradient)
        while objective(w - step) > objective(w) and np.abs(step).max() > 1e-9:
            step /= 2
        w = w - step
        if np.abs(step).max() <= 1e-9:
            break
    return w


def bag_of_gestures(
    train: np.ndarray, truth: np.ndarray, subject: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Logistic regression on the mean vector of a video's clips.

    Its strength is the one of STRENGTHS whose log loss is least in a cross-validation among the
    training videos.

    Args:
        train, test: mean vectors, `[N, D]` and `[M, D]`.
        truth: whether a training video's emotion is positive, bool `[N]`.
        subject: the training videos' subjects; none is in two folds.

    Returns:
        probability of a positive emotion, `[M]`.
    """
    train, test = centred(train, train), centred(test, train)
    # Coefficients lie in the space that the training videos span: a turn onto it changes nothing
    # and saves much.
    onto = np.linalg.svd(train.astype(np.float64), full_matrices=False)[2].T
    train, test = train @ onto, test @ onto
    logit = lambda w, x: x @ w[:-1] + w[-1]
    groups = len({*subject} - {""}) + sum(name == "" for name in subject)
    folds = min(INNER_FOLDS, groups)
    strength = STRENGTHS[len(STRENGTHS) // 2]
    if folds > 1:
        fold = grouped_folds(subject, np.where(truth, 0, 1), folds)
        sign = np.where(truth, 1, -1)
        losses = [
            sum(
                np.logaddexp(
                    0,
                    -sign[fold == i]
                    * logit(
                        fit_logistic(train[fold != i], truth[fold != i], each), train[fold == i]
                    ),
                ).sum()
                for i in range(folds)
            )
            for each in STRENGTHS
        ]
        strength = STRENGTHS[np.argmin(losses)]
    return 1 / (1 + np.exp(-logit(fit_logistic(train, truth, strength), test)))


@functools.partial(jax.jit, static_argnames=("config", "options"))
def _fit_lstm(seed, train, truth, weight, test, *, config, options):
    """Train one LSTM on all videos at once; `train` and `test` are vectors `[B, T, D]` and
    lengths `[B]`.
    """
    rise = min(20, max(options.epochs // 2, 1))
    highest = options.learning_rate
    rate = optax.warmup_cosine_decay_schedule(highest / rise, highest, rise, options.epochs + 1)
    optimiser = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=options.weight_decay)
    )
    weights, drops = jax.random.split(jax.random.key(seed))
    graph, state = nnx.split(EmotionLSTM(config, train[0].shape[-1], rngs=nnx.Rngs(weights)))

    def loss(state, epoch):
        logit = nnx.merge(graph, state)(*train, jax.random.fold_in(drops, epoch))
        return (optax.sigmoid_binary_cross_entropy(logit, truth) * weight).sum() / weight.sum()

    def step(carry, epoch):
        state, moments = carry
        updates, moments = optimiser.update(jax.grad(loss)(state, epoch), moments, state)
        return (optax.apply_updates(state, updates), moments), None

    (state, _), _ = jax.lax.scan(step, (state, optimiser.init(state)), jnp.arange(options.epochs))
    return jax.nn.sigmoid(nnx.merge(graph, state)(*test))


def lstm_probabilities(
    train: list[np.ndarray],
    truth: np.ndarray,
    test: list[np.ndarray],
    seed: int,
    config: EmotionLSTM.Config,
    options: EmotionOptions,
    room: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Train an LSTM on some videos and judge others.

    Args:
        train, test: a video's vectors in the order of time, float32 `[clips, D]` each.
        truth: whether a training video's emotion is positive, bool.
        seed: of its weights and of what is dropped; the same gives the same result, to the bit,
            on the same machine.
        room: training videos, test videos and clips to pad to at least, so that like trials are
            compiled once.

    Returns:
        probability of a positive emotion of every test video, float32.
    """
    steps = max(room[2], *(len(video) for video in train + test))

    def padded(videos, least):
        rows = max(len(videos), least)
        vectors, length = (
            np.zeros((rows, steps, videos[0].shape[1]), np.float32),
            np.zeros(rows, np.int32),
        )
        for row, video in enumerate(videos):
            vectors[row, : len(video)], length[row] = video, len(video)
        return vectors, length

    arrays = padded(train, room[0])
    weight, positive = np.zeros((2, len(arrays[1])), np.float32)
    weight[: len(train)], positive[: len(train)] = 1, truth
    judged = _fit_lstm(
        seed, arrays, positive, weight, padded(test, room[1]), config=config, options=options
    )
    return np.asarray(judged)[: len(test)]


# Judging.


def auc(truth: np.ndarray, score: np.ndarray) -> float | None:
    """The share of pairs of a true and a false one, bool `[N]`, of which the true one has the
    higher score; equal scores count half. None without such pairs."""
    truth, score = np.asarray(truth, bool), np.asarray(score)
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    yes, no = truth.sum(), (~truth).sum()
    return float((rank[truth].sum() - yes * (yes + 1) / 2) / (yes * no)) if yes and no else None


def judged_row(name: str, emotion: np.ndarray, probability: np.ndarray, **more) -> dict:
    """A method's result as plain values.

    Args:
        emotion: index into `IMIGUE_EMOTIONS`, int `[N]`.
        probability: of a positive emotion, `[N]`; a half counts as positive.

    Returns:
        name, accuracy, n, low and high (95 % interval), auc, confusion (rows true, columns
        predicted, in the order of `IMIGUE_EMOTIONS`), and `more`. Accuracy and interval are
        shares in [0, 1].
    """
    matrix = confusion(emotion, np.where(probability >= 0.5, 0, 1), len(IMIGUE_EMOTIONS))
    correct, total = int(np.trace(matrix)), len(emotion)
    low, high = wilson_interval(correct, total)
    return {
        "name": name,
        **more,
        "accuracy": correct / total,
        "n": total,
        "low": low,
        "high": high,
        "auc": auc(emotion == 0, probability),
        "confusion": matrix.tolist(),
    }


def mean_row(name: str, rows: list[dict]) -> dict:
    """The mean of several rows on the same videos: accuracy with the interval that one row of it
    would have, AUC, the seeds' standard deviation of the accuracy, and the sum of their
    confusion."""
    accuracies, total = [row["accuracy"] for row in rows], rows[0]["n"]
    mean = float(np.mean(accuracies))
    low, high = wilson_interval(mean * total, total)
    aucs = [row["auc"] for row in rows]
    return {
        "name": name,
        "accuracy": mean,
        "n": total,
        "low": low,
        "high": high,
        "auc": None if None in aucs else float(np.mean(aucs)),
        "deviation": float(np.std(accuracies, ddof=1)) if len(rows) > 1 else None,
        "confusion": np.sum([row["confusion"] for row in rows], axis=0).tolist(),
    }


def predict(
    videos: Videos, sequences: list[np.ndarray], config: EmotionLSTM.Config, options: EmotionOptions
) -> dict[str, np.ndarray]:
    """Probability of a positive emotion of every video that tests, NaN for one that does not.

    Args:
        videos: who trains and tests.
        sequences: every video's vectors in the order of time, `[clips, D]` each.

    Returns:
        "LSTM" `[seeds, V]`, "bag of gestures" and "majority" `[V]`.

    Raises:
        InputError: a trial's training videos that have clips are not of both emotions.
    """
    count = np.array([len(vectors) for vectors in sequences])
    positive, there = videos.emotion == 0, count > 0
    trials = [(train[there[train]], test[there[test]]) for train, test in videos.trials]
    room = *(max(map(len, sides)) for sides in zip(*trials)), int(count.max())
    found = {"LSTM": np.full((options.seeds, len(count)), np.nan)}
    found |= {name: np.full(len(count), np.nan) for name in ("bag of gestures", "majority")}
    with progress.counter(len(trials) * options.seeds, "training emotion LSTMs") as advance:
        for (whole, tested), (train, test) in zip(videos.trials, trials):
            if len(set(positive[train])) < 2:
                raise InputError("the training videos that have clips are not of both emotions")
            for values in found.values():
                values[..., tested] = positive[whole].mean()
            if not len(test):
                continue
            known = np.concatenate([sequences[video] for video in train])
            sides = [[centred(sequences[video], known) for video in side] for side in (train, test)]
            bags = [np.stack([vectors.mean(0) for vectors in side]) for side in sides]
            found["bag of gestures"][test] = bag_of_gestures(
                bags[0], positive[train], videos.subject[train], bags[1]
            )
            for seed in range(options.seeds):
                found["LSTM"][seed, test] = lstm_probabilities(
                    sides[0], positive[train], sides[1], seed, config, options, room
                )
                if not np.isfinite(found["LSTM"][seed, test]).all():
                    raise InputError(
                        f"emotion: the LSTM of seed {seed} gives probabilities that "
                        "are not finite; "
                        "give a lower learning_rate"
                    )
                advance()
    return found


def judge(
    store: Store,
    split: str,
    vectors_of: Callable,
    config: EmotionLSTM.Config | None = None,
    options: EmotionOptions | None = None,
) -> dict:
    """Judge the emotion of a split's videos.

    Args:
        store: an opened store.
        split: its split of videos; "all", with folds, takes every video.
        vectors_of: called with rows of clips, int `[N]`; gives their vectors `[N, D]` and what
            they are, as `clip_vectors.run_vectors`, `file_vectors` and `label_vectors` do.

    Returns:
        Plain values: source, store (its fingerprint), split, vectors (what they are), emotions,
            rows (see
        `judged_row`: "LSTM" once a seed, "LSTM, mean", "LSTM, together", "bag of gestures",
        "majority"), training (videos), without_clips and without_emotion (ids), options, and
        videos (id, emotion and probabilities of every one judged).

    Raises:
        InputError: split, store and vectors do not fit together.
    """
    config, options = config or EmotionLSTM.Config(), options or EmotionOptions()
    videos = split_videos(store, split, options.folds)
    count = [len(clips) for clips in videos.clips]
    if not sum(count):
        raise InputError(f"{store.path}: the videos of split {split!r} have no clips")
    vectors, what = vectors_of(np.concatenate(videos.clips))
    found = predict(videos, np.split(vectors, np.cumsum(count)[:-1]), config, options)
    tested = np.sort(np.concatenate([test for _, test in videos.trials]))
    emotion, found = (
        videos.emotion[tested],
        {name: values[..., tested] for name, values in found.items()},
    )
    seeds = [
        judged_row("LSTM", emotion, each, seed=seed) for seed, each in enumerate(found["LSTM"])
    ]
    together = found["LSTM"].mean(0)
    rows = [
        *seeds,
        mean_row("LSTM, mean", seeds),
        judged_row("LSTM, together", emotion, together),
        *(judged_row(name, emotion, found[name]) for name in ("bag of gestures", "majority")),
    ]
    ids = store.videos.id[videos.rows]
    return {
        "source": store.attributes["source"],
        "store": store.fingerprint,
        "split": split,
        "vectors": what | {"width": vectors.shape[1]},
        "emotions": list(IMIGUE_EMOTIONS),
        "rows": rows,
        "training": len(videos.rows) if options.folds else len(videos.trials[0][0]),
        "without_clips": [str(id) for id, clips in zip(ids, count) if not clips],
        "without_emotion": videos.left_out,
        "options": dataclasses.asdict(config) | dataclasses.asdict(options),
        "videos": [
            {
                "id": str(ids[place]),
                "emotion": IMIGUE_EMOTIONS[videos.emotion[place]],
                "LSTM": round(float(p), 4),
                "bag of gestures": round(float(q), 4),
            }
            for place, p, q in zip(tested, together, found["bag of gestures"])
        ],
    }


def result_table(result: dict) -> str:
    """What `judge` found as a plain text table with n and 95 % intervals."""
    rows = [row for row in result["rows"] if row["name"] != "LSTM"]
    seeds = [row["accuracy"] for row in result["rows"] if row["name"] == "LSTM"]
    lines = [f"{'':20s} {'accuracy':>8s} {'95 % interval':>15s} {'AUC':>6s}   confusion"]
    for row in rows:
        area = f"{row['auc']:6.3f}" if row["auc"] is not None else f"{'–':>6s}"
        interval = f"{row['low']:.1%} – {row['high']:.1%}"
        lines.append(
            f"{row['name']:20s} {row['accuracy']:8.1%} {interval:>15s} {area}   {row['confusion']}"
        )
    options, what = result["options"], result["vectors"]
    how = (
        f"{options['folds']}-fold cross-validation, no subject in two folds"
        if options["folds"]
        else f"{result['training']} training videos"
    )
    lines += [
        f"LSTM of {len(seeds)} seed{'s' * (len(seeds) > 1)}: "
        f"{', '.join(f'{accuracy:.1%}' for accuracy in seeds)}; "
        "confusion: rows true, columns predicted, positive first",
        f"n = {rows[0]['n']} videos judged, {how}; vectors of {what['width']}: "
        + ", ".join(f"{name} {value}" for name, value in what.items() if name != "width"),
    ]
    if result["without_clips"]:
        lines.append(
            f"{len(result['without_clips'])} videos have no clips and are given the "
            "majority emotion: " + ", ".join(result["without_clips"])
        )
    if result["without_emotion"]:
        lines.append(
            f"{len(result['without_emotion'])} videos of the split have no emotion and "
            "are left out: " + ", ".join(result["without_emotion"])
        )
    return "\n".join(lines)
