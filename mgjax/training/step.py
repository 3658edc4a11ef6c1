"""The training step: state and a batch go in, state and the loss come out.

Everything here is a pure function, which `mgjax.training.devices` compiles.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from mgjax.batching import Frames, gather
from mgjax.errors import InputError, short
from mgjax.training.run import Run, build_model

# A loss and its parts by name, and the gradients of the loss.
Gradients = tuple[tuple[jax.Array, dict[str, jax.Array]], dict]


class TrainState(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        model: the model's arrays as nested dicts.
        optimiser: optax's state.
        step: optimiser steps done, int32.
        sums: sums of the loss, its parts and the clip weights over the epoch so far.
    """

    model: dict
    optimiser: optax.OptState
    step: jax.Array | np.ndarray
    sums: dict[str, Any]

    def trees(self) -> dict[str, Any]:
        """The state as the trees that a checkpoint holds."""
        training = {"optimiser": self.optimiser, "step": self.step, "sums": self.sums}
        return {"model": self.model, "training": training}

    @classmethod
    def from_trees(cls, model: dict, training: dict) -> TrainState:
        """The state that `trees` gave."""
        return cls(model, **training)

    def all_finite(self) -> bool:
        """Whether every number is finite; looked at on the host, where saving needs it anyway."""
        return all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(self))


# Compared and hashed by identity, for jit keeps what it compiled by its function.
@dataclasses.dataclass(frozen=True, eq=False)
class TrainStep:
    """The step of a run.

    Attributes:
        run: the run.
        optimiser: what turns gradients into updates.
        graph, initial: the untrained model, as `nnx.split` gives it.
    """

    run: Run
    optimiser: optax.GradientTransformation
    graph: nnx.GraphDef
    initial: nnx.State

    @classmethod
    def of(cls, run: Run, optimiser: optax.GradientTransformation) -> TrainStep:
        """The step of a run with an optimiser."""
        return cls(run, optimiser, *nnx.split(build_model(run)))

    def initial_state(self, frames: Frames, padded_length: int) -> TrainState:
        """The state before the first step, on the host.

        Args:
            frames: shapes and dtypes of a block of frames.
            padded_length: any that is trained with.
        """
        model = nnx.to_pure_dict(self.initial)
        row: Any = np.zeros(1, np.int32), np.ones(1, np.float32), jax.random.key(0)

        def loss(model, frames):
            return self.loss(model, frames, *row, padded_length)

        # Traced only, to learn the names of the loss's parts.
        _, parts = self._checked(jax.eval_shape(loss, model, frames))
        sums = {name: np.zeros((), np.float32) for name in ("loss", "weight", *parts)}
        return TrainState(model, self.optimiser.init(model), np.zeros((), np.int32), sums)

    def _checked(self, found: Any) -> tuple[jax.ShapeDtypeStruct, dict[str, Any]]:
        """Shapes of a loss and its parts.

        Raises:
            InputError: a model of someone's own gives something else.
        """
        match found:
            case (jax.ShapeDtypeStruct(shape=()), dict() as parts):
                if all(part.shape == () for part in parts.values()):
                    return found
        raise InputError(
            f"loss(batch, rng) of model {self.run.model!r} gives {short(found)}, expected a "
            "scalar and a dict of named scalars"
        )

    def model(self, arrays: dict) -> nnx.Module:
        """The model with other arrays."""
        # Replacing writes into the state, so a copy of it.
        state = jax.tree.map(lambda leaf: leaf, self.initial)
        nnx.replace_by_pure_dict(state, arrays)
        return nnx.merge(self.graph, state)

    def loss(
        self,
        model: dict,
        frames: Frames,
        clips: jax.Array,
        weight: jax.Array,
        key: jax.Array,
        padded_length: int,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The loss of some clips and its parts.

        Args:
            model: the model's arrays.
            frames: the block of frames that holds the clips.
            clips: rows of clips, int32 `[B]`.
            weight: 1 for a clip, 0 for a row that only fills up, float32 `[B]`.
            key: of all randomness.
            padded_length: frames T that every clip is padded to.
        """
        run = self.run
        keypoints, score, length, label = gather(
            frames, clips, padded_length, run.preparation.resampling
        )
        # Whether anything is augmented changes nothing that the model draws.
        augment_key, model_key = jax.random.split(key)
        batch = run.preparation(
            keypoints, score, length, label, weight, run.layout, run.augmentation, augment_key
        )
        trained: Any = self.model(model)
        return trained.loss(batch, model_key)

    def gradients(
        self,
        model: dict,
        frames: Frames,
        clips: jax.Array,
        weight: jax.Array,
        key: jax.Array,
        padded_length: int,
    ) -> Gradients:
        """Loss, its parts and gradients over the rows of a batch `[microbatches, rows]`, one
        microbatch after the other; arguments as of `loss`.
        """
        of_rows = jax.value_and_grad(self.loss, has_aux=True)
        # Most batches are one microbatch, and need neither a loop nor sums.
        if len(clips) == 1:
            return of_rows(model, frames, clips[0], weight[0], key, padded_length)

        def add(sums, microbatch):
            rows, counts, number = microbatch
            row_key = jax.random.fold_in(key, number)
            one = of_rows(model, frames, rows, counts, row_key, padded_length)
            # Each is a mean over its own rows, and so counts as many times as it has rows.
            share = counts.sum() / jnp.maximum(weight.sum(), 1)
            return jax.tree.map(lambda total, value: total + share * value, sums, one), None

        # The names of the loss's parts are the model's own.
        shapes = jax.eval_shape(
            lambda: of_rows(model, frames, clips[0], weight[0], key, padded_length)
        )
        zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        sums, _ = jax.lax.scan(add, zeros, (clips, weight, jnp.arange(len(clips))))
        return sums

    def one(
        self,
        state: TrainState,
        frames: Frames,
        clips: jax.Array,
        weight: jax.Array,
        padded_length: int,
    ) -> tuple[TrainState, jax.Array]:
        """One optimiser step: the new state, and the loss before it."""
        # Of the step's number alone, so that a run that goes on draws what it would have drawn.
        key = jax.random.fold_in(jax.random.key(self.run.training.seed), state.step)
        (loss, parts), gradients = self.gradients(
            state.model, frames, clips, weight, key, padded_length
        )
        updates, optimiser = self.optimiser.update(gradients, state.optimiser, state.model)
        model = optax.apply_updates(state.model, updates)
        count = weight.sum()
        values = {"loss": loss, **parts}
        # Weighted by clips: an epoch's mean is over clips, not over steps.
        sums = {
            name: total + (count if name == "weight" else count * values[name])
            for name, total in state.sums.items()
        }
        return TrainState(model, optimiser, state.step + 1, sums), loss

    def many(
        self,
        state: TrainState,
        frames: Frames,
        clips: jax.Array,
        weight: jax.Array,
        count: jax.Array,
        *,
        steps: int,
    ) -> tuple[TrainState, jax.Array]:
        """The first `count` of K optimiser steps, of batches of one padded length.

        Args:
            state: the state before them.
            frames: the block of frames that holds the clips.
            clips, weight: of every step, `[K, microbatches, rows]`.
            count: how many steps to take, int32.
            steps: the padded length.

        Returns:
            the state after them, and their losses, float32 `[K]`, 0 from `count` on.
        """

        # How many steps is known at run time only, for an epoch's last call has fewer.
        def one(i, carry):
            state, losses = carry
            state, loss = self.one(state, frames, clips[i], weight[i], steps)
            return state, losses.at[i].set(loss)

        return jax.lax.fori_loop(0, count, one, (state, jnp.zeros(len(clips))))
