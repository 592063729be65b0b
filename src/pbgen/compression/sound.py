"""How near sounds are: spectra at several resolutions to learn by, log-mel spectra to judge by."""

import math

import torch
from torch import Tensor

_WINDOWS = (256, 512, 1024)  # samples (Yamamoto et al. 2020, Parallel WaveGAN, arXiv 1910.11480)
_MEL_WINDOW, _MELS = 1024, 80
_LEAST = 1e-5  # of an amplitude, before its logarithm


def is_sound(value: Tensor) -> bool:
    """Whether a tensor looks like sounds: (N, samples) or (N, 1 or 2, samples), long enough for a spectrum."""
    channels = 1 if value.dim() == 2 else value.shape[1] if value.dim() == 3 else 0
    return channels in (1, 2) and value.shape[-1] >= 2 * _WINDOWS[-1]


def spectral_distance(made: Tensor, right: Tensor) -> Tensor:
    """Over resolutions, the mean of |log amplitude - log amplitude| and of the relative distance of amplitudes."""
    total = made.new_zeros(())
    for window in _WINDOWS:
        one, other = _amplitudes(made, window), _amplitudes(right, window)
        apart, whole = (one - other).square().sum() + _LEAST**2, other.square().sum() + _LEAST**2
        convergence = (apart / whole).sqrt()
        total = total + convergence + (one.log() - other.log()).abs().mean()
    return total / len(_WINDOWS)


def log_mel_distance(made: Tensor, right: Tensor) -> float:
    """The mean difference of log-mel spectra in decibels; mel bands as of 22,050 samples a second."""
    bands = _mel_bands().to(made)
    one, other = (20 * torch.log10((bands @ _amplitudes(x, _MEL_WINDOW)).clamp_min(_LEAST)) for x in (made, right))
    return float((one - other).abs().mean())


def spectrogram(sounds: Tensor) -> Tensor:
    """The first sound's log-mel spectrum in decibels, (1, bands, frames), low frequencies below."""
    bands = _mel_bands().to(sounds)
    spectrum = 20 * torch.log10((bands @ _amplitudes(sounds, _MEL_WINDOW)).clamp_min(_LEAST))
    return spectrum[:1].flip(1)


def _amplitudes(sounds: Tensor, window: int) -> Tensor:
    """(n, window / 2 + 1, frames)"""
    flat = sounds.float().reshape(-1, sounds.shape[-1])
    spectrum = torch.stft(flat, window, window // 4, window=torch.hann_window(window).to(flat), return_complex=True)
    return (spectrum.real.square() + spectrum.imag.square() + _LEAST**2).sqrt()


def _mel_bands(rate: float = 22050.0) -> Tensor:
    """Triangles on the mel scale, (bands, window / 2 + 1)."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, _MELS + 2) / 2595) - 1)
    frequencies = torch.linspace(0, rate / 2, _MEL_WINDOW // 2 + 1)
    low, middle, high = (edges[i : i + _MELS, None] for i in range(3))
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return torch.minimum(rising, falling).clamp_min(0)
