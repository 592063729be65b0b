"""A trial of a network that is trained on an error: an autoencoder's decoder, a super-resolution network."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import pbgen
from pbgen.binarize import clip_latent_weights, latent_weights, set_progress
from pbgen.data import ImageSource, open_images
from pbgen.evaluation import HELD_OUT
from pbgen.files import write_atomically
from pbgen.pictures import image_grid, save_picture, to_pixels
from pbgen.training import Progress
from pbgen.training.feed import indices

from .gan import quantization_errors
from .networks import SUPERVISED
from .trial import JUDGED, Trial

SIZE = 32
CHECKPOINT_EVERY = 500


def run(trial: Trial, data: str, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train in `folder`, going on where it was left, and test on images that were not trained on."""
    torch.manual_seed(trial.seed)
    network = SUPERVISED[trial.network]()
    generator = network.generator
    assert isinstance(generator, nn.Module)
    if trial.layers:
        pbgen.binarize(generator, trial.layers, trial.method)
    images = _Split(open_images(data, SIZE, 3))
    _train(network, trial, images, folder, progress)
    held_out = _scaled(images.held_out())
    network.eval()
    with torch.no_grad():
        made, error = zip(*(network(batch) for batch in held_out.split(64)), strict=True)
    save_picture(image_grid(to_pixels(made[0][:32].numpy())), folder / "samples.png")
    return {
        "error": float(torch.stack(error).mean()),
        "quantization_error": {} if trial.layers else quantization_errors(generator),
    }


def _train(network: nn.Module, trial: Trial, images: "_Split", folder: Path, progress: Progress) -> None:
    latent = list(latent_weights(network).values())
    rest = [parameter for parameter in network.parameters() if all(parameter is not weight for weight in latent)]
    groups = [{"params": rest}, {"params": latent, "lr": trial.learning_rate * trial.latent_rate}]
    optimizer = torch.optim.Adam([group for group in groups if group["params"]], lr=trial.learning_rate)
    checkpoint = folder / "checkpoint.pt"
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    folder.mkdir(parents=True, exist_ok=True)
    network.train()
    for step in range(first, trial.steps):
        torch.manual_seed(trial.seed << 32 | step)  # so that a training which goes on draws what it would have drawn
        set_progress(network, step / trial.steps)
        loss = network(_scaled(images.batch(step * trial.batch_size, trial.batch_size, trial.seed)))[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        clip_latent_weights(network)
        progress(step + 1, trial.steps, {})
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == trial.steps:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            write_atomically(checkpoint, lambda file, state=state: torch.save(state, file))


class _Split:
    """Images of a source to train on, and others to test on."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        order = None if source.count is None else np.random.default_rng(0).permutation(source.count)
        self._held_out = HELD_OUT + np.arange(JUDGED) if order is None else order[:JUDGED]
        self._trained = None if order is None else order[JUDGED:]

    def held_out(self) -> NDArray[np.uint8]:
        """The images to test on, (JUDGED, C, H, W)."""
        return self._source.images(self._held_out)

    def batch(self, first: int, n: int, seed: int) -> NDArray[np.uint8]:
        """The n images to train on from the position `first` of an endless walk on, (n, C, H, W)."""
        if self._trained is None:
            return self._source.images(indices(first, n, None, seed))
        return self._source.images(self._trained[indices(first, n, len(self._trained), seed)])


def _scaled(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).float() / 127.5 - 1
