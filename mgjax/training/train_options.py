"""The options of training."""

from __future__ import annotations

from typing import Literal

from mgjax import options
from mgjax.errors import InputError
from mgjax.options import option


@options.group("training")
class TrainOptions:
    """How a model is trained."""

    # How long. Steps are what a result depends on; epochs are what a small store is counted in.
    epochs: int = option(100, "passes over the training clips", least=0)
    steps: int = option(
        0, "optimiser steps, whatever the number of clips; 0 trains for `epochs`", least=0
    )
    batch_size: int = option(64, "clips of a step", least=1)
    # How weights change.
    learning_rate: float = option(2e-4, "Adam's step size, at its highest", above=0)
    schedule: Literal["constant", "cosine", "staircase"] = option(
        "staircase",
        "learning rate over time: 'constant', 'cosine' to zero, or 'staircase': times "
        "decay_factor every decay_epochs",
        values_formerly={"steps": "staircase"},
    )
    decay_factor: float = option(0.999, "factor of the 'staircase' schedule")
    decay_epochs: int = option(5, "epochs between two steps of the 'staircase' schedule", least=1)
    warmup_epochs: float = option(
        0.0, "epochs over which the learning rate rises linearly from zero", least=0
    )
    warmup_steps: int = option(0, "the same in optimiser steps; 0 takes `warmup_epochs`", least=0)
    weight_decay: float = option(0.0, "decoupled weight decay (AdamW)", least=0)
    gradient_clip_norm: float = option(
        0.0,
        "scale gradients down to at most this global norm; 0 leaves them",
        least=0,
        formerly="clip_norm",
    )
    # The training loss alone: to stop by a validation loss is the user's, who has the labels.
    patience_epochs: int = option(
        0,
        "stop early once the training loss has not fallen by 0.1 % in this many epochs; "
        "0 never stops",
        least=0,
        formerly="plateau",
    )
    patience_steps: int = option(
        0,
        "with patience_epochs: and in no fewer optimiser steps, of which few clips have few an "
        "epoch",
        least=0,
        formerly="plateau_steps",
    )
    # How it is computed, and how often it is saved.
    length_buckets: int = option(
        6, "padded lengths at most; each is compiled once", least=1, formerly="buckets"
    )
    microbatch_frames: int = option(
        512,
        "a batch of longer clips is computed in parts, whose gradients are added, so that "
        "it needs no more memory than one of this padded length",
        least=1,
        formerly="longest_whole",
    )
    steps_per_call: int = option(
        8,
        "optimiser steps of one padded length that are computed in one call",
        least=1,
        formerly="together",
    )
    seed: int = option(0, "seed of the weights, the order and all randomness", least=0)
    checkpoint_seconds: float = option(
        60.0, "least time between two checkpoints; the last step is always saved", least=0
    )

    def validate(self) -> None:
        """Check what options say together; raises InputError where two contradict."""
        if not self.steps and not self.epochs:
            raise InputError(
                "training: epochs is 0 and steps is 0; one of them must say how long to train"
            )
        # The default of epochs says nothing: who gives steps has not asked for it.
        if self.steps and self.epochs not in (0, type(self).epochs):
            raise InputError(
                f"training: steps={self.steps} and epochs={self.epochs} both say how long to "
                "train; leave one of them out, or give epochs=0 with steps"
            )
        if self.warmup_steps and self.warmup_epochs:
            raise InputError(
                f"training: warmup_steps={self.warmup_steps} and "
                f"warmup_epochs={self.warmup_epochs} both say how long the learning rate rises; "
                "give one of them"
            )

    def length(self, steps_per_epoch: int) -> int:
        """Optimiser steps of the whole run."""
        return self.steps or self.epochs * steps_per_epoch

    def warmup(self, steps_per_epoch: int) -> int:
        """Optimiser steps over which the learning rate rises."""
        return self.warmup_steps or round(self.warmup_epochs * steps_per_epoch)
