"""One loop for every model, and what a run leaves in its working folder."""

from mgjax.training.epochs import Diverged
from mgjax.training.folder import RunFolder, load_model
from mgjax.training.loop import fit
from mgjax.training.run import Run, build_model
from mgjax.training.train_options import TrainOptions

__all__ = ["Diverged", "Run", "RunFolder", "TrainOptions", "build_model", "fit", "load_model"]
