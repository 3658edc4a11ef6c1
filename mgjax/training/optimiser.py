"""How weights change: the learning rate over time, and the optimiser."""

from __future__ import annotations

from collections.abc import Callable

import optax

from mgjax.training.train_options import TrainOptions


def learning_rate(options: TrainOptions, steps_per_epoch: int) -> Callable:
    """The learning rate as a function of the step."""
    warmup, total = options.warmup(steps_per_epoch), options.length(steps_per_epoch)
    if options.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(options.learning_rate, max(total - warmup, 1))
    elif options.schedule == "staircase":
        schedule = optax.exponential_decay(
            options.learning_rate,
            options.decay_epochs * steps_per_epoch,
            options.decay_factor,
            staircase=True,
        )
    else:
        schedule = optax.constant_schedule(options.learning_rate)
    if not warmup:
        return schedule
    # The first step already moves: a rate of zero would waste it.
    rise = optax.linear_schedule(options.learning_rate / warmup, options.learning_rate, warmup)
    return optax.join_schedules([rise, schedule], [warmup])


def make_optimiser(options: TrainOptions, steps_per_epoch: int) -> optax.GradientTransformation:
    """Adam, with weight decay and gradient clipping where asked for."""
    chain = []
    if options.gradient_clip_norm:
        chain.append(optax.clip_by_global_norm(options.gradient_clip_norm))
    rate = learning_rate(options, steps_per_epoch)
    # Adam alone has a smaller state than AdamW without decay, and so a smaller checkpoint.
    if options.weight_decay:
        chain.append(optax.adamw(rate, weight_decay=options.weight_decay))
    else:
        chain.append(optax.adam(rate))
    return optax.chain(*chain)
