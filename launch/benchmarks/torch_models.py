"""The peers in PyTorch: U-S-VAE and a bidirectional layer as one writes them with `nn.LSTM`.

Padded, `nn.LSTM` runs through the padding: its final states are those after the last padded
frame, so that Z_T is that of the paper only where all clips are equally long. That is how padded
sequences are mostly trained, and the fastest way. Packed, every clip ends at its own last frame
and the model equals `mgjax.models.usvae.USVAE`. Products are at the precision PyTorch chooses by
default.
"""

from __future__ import annotations

import jax
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def device() -> torch.device | None:
    """Where torch can run on what JAX runs on; None where it cannot, which is said."""
    platform = jax.devices()[0].platform
    if platform == "cpu":
        return torch.device("cpu")
    if platform == "gpu" and torch.cuda.is_available():
        return torch.device("cuda")
    print(f"this PyTorch cannot use the {platform} that JAX uses: it is left out", flush=True)
    return None


def wait(device: torch.device):
    """Return when the device's work is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def run_lstm(lstm: nn.LSTM, x: torch.Tensor, length: torch.Tensor | None):
    """Outputs `[B, T, ·]` and final hidden states `[directions, B, H]`; packed where lengths are
    given.

    Args:
        length: frames of every clip, int64 `[B]`, on the host; None runs through the padding.
    """
    if length is None:
        outputs, (hidden, _) = lstm(x)
        return outputs, hidden
    packed, (hidden, _) = lstm(
        pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
    )
    return pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])[0], hidden


class AutoEncoder(nn.Module):
    """U-S-VAE: bidirectional LSTM, Z_T, LSTM decoder fed a sample around Z_T and then zeros,
    linear readout.

    Args:
        inputs: features of a frame.
        units, decoder_units: of the encoder, a direction, and of the decoder.
        kl: weight of the KL divergence; 0 makes a plain auto-encoder.
        packed: whether both LSTMs read packed sequences.
    """

    def __init__(self, inputs: int, units: int, decoder_units: int, kl: float, packed: bool):
        super().__init__()
        self.kl, self.packed = kl, packed
        self.encoder = nn.LSTM(inputs, units, batch_first=True, bidirectional=True)
        self.log_variance = nn.Linear(2 * units, 2 * units) if kl else None
        self.decoder = nn.LSTM(2 * units, decoder_units, batch_first=True)
        self.readout = nn.Linear(decoder_units, inputs)

    def loss(
        self, x: torch.Tensor, length: torch.Tensor, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Squared error of the re-generated clips + kl · divergence, as `USVAE.loss` means them.

        Args:
            x: `[B, T, inputs]`, zero in the padding.
            length: int64 `[B]`, on the host.
            noise: standard normal `[B, 2 · units]`; drawn when None.
        """
        ends = length if self.packed else None
        hidden = run_lstm(self.encoder, x, ends)[1]
        latent = mean = torch.cat([hidden[0], hidden[1]], -1)
        divergence = 0.0
        if self.kl:
            log_variance = self.log_variance(mean)
            noise = torch.randn_like(mean) if noise is None else noise
            latent = mean + torch.exp(log_variance / 2) * noise
            divergence = (
                0.5 * (mean**2 + torch.exp(log_variance) - 1 - log_variance).mean(-1).mean()
            )
        zeros = latent.new_zeros(len(x), x.shape[1] - 1, latent.shape[-1])
        outputs = run_lstm(self.decoder, torch.cat([latent[:, None], zeros], 1), ends)[0]
        length = length.to(x.device)
        valid = torch.arange(x.shape[1], device=x.device) < length[:, None]
        error = ((self.readout(outputs) - x) ** 2).mean(-1)
        per_clip = torch.where(valid, error, 0).sum(1) / length
        return per_clip.mean() + self.kl * divergence


def place(x, length, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """NumPy's `[B, T, inputs]` on the device and lengths `[B]` on the host, where packing wants
    them.
    """
    return torch.from_numpy(x).to(device), torch.as_tensor(length, dtype=torch.int64)


def trainer(model: AutoEncoder, device: torch.device, learning_rate: float = 2e-4):
    """A function `train(x, length, steps=1)` that takes Adam steps and returns when they are
    done.
    """
    model.to(device)
    optimiser = torch.optim.Adam(model.parameters(), learning_rate)

    def train(x, length, steps=1):
        for _ in range(steps):
            optimiser.zero_grad()
            model.loss(x, length).backward()
            optimiser.step()
        wait(device)

    return train


def layer(
    features: int, units: int, x, length, seed, gradients: bool, repeats: int, device: torch.device
):
    """A function that runs a bidirectional layer so many times and returns when that is done.

    Args:
        x: `[B, T, features]`; length `[B]`, or None to run through the padding; NumPy.
        seed: gradient of the outputs, `[B, T, 2 · units]`.
        gradients: whether the weights' gradients are formed too.
    """
    lstm = nn.LSTM(features, units, batch_first=True, bidirectional=True).to(device)
    x, seed = torch.from_numpy(x).to(device), torch.from_numpy(seed).to(device)
    length = length if length is None else torch.as_tensor(length, dtype=torch.int64)

    def compute():
        for _ in range(repeats):
            if gradients:
                lstm.zero_grad()
                run_lstm(lstm, x, length)[0].backward(seed)
            else:
                with torch.inference_mode():
                    run_lstm(lstm, x, length)
        wait(device)

    return compute
