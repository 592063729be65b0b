"""Trained weights from a file into a module."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from pbgen.errors import PBGenError

_DEPTH = 3  # of dictionaries in a checkpoint
_PREFIXES = ("module.", "_orig_mod.", "model.", "generator.", "netG.", "G.")


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a state into the module: of a .safetensors, or of a file that torch saved, which runs no code of the file.

    It may lie in a checkpoint among other things, and its names may all begin as wrappers and training programs have
    them begin ("module."): what fits is taken. Raises PBGenError where the file cannot be read or holds no state of the
    module, naming the first weight that does not fit.
    """
    wanted = {name: value.shape for name, value in module.state_dict().items()}
    problems = []
    for state in _states(_read(path)):
        for prefix in ("", *_PREFIXES):
            stripped = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            problem = _problem(wanted, stripped)
            if problem is None:
                module.load_state_dict({name: stripped[name] for name in wanted if name in stripped}, strict=False)
                return
            fitting = sum(name in wanted for name in stripped)
            problems.append((fitting, problem))
    if not problems:
        raise PBGenError(f"{path}: holds no weights; give a state dict, as torch.save(module.state_dict(), ...) writes")
    raise PBGenError(f"{path}: does not fit {type(module).__name__}: {max(problems, key=lambda one: one[0])[1]}")


def _problem(wanted: Mapping[str, torch.Size], state: Mapping[str, Tensor]) -> str | None:
    odd = next((name for name in state if name not in wanted), None)
    for name, shape in wanted.items():
        if name not in state and not name.endswith("num_batches_tracked"):
            return f"it has no '{name}'" + (f", but '{odd}'" if odd is not None else "")
        if name in state and state[name].shape != shape:
            return f"'{name}' is {list(state[name].shape)}, and the module's {list(shape)}"
    return f"it has '{odd}', which the module has not" if odd is not None else None


def _states(found: Any, depth: int = 0) -> Iterator[dict[str, Tensor]]:
    """The dictionaries of tensors, those inside others too."""
    if not isinstance(found, Mapping) or depth > _DEPTH:
        return
    tensors = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        yield tensors
    for value in found.values():
        yield from _states(value, depth + 1)


def _looks_saved(path: Path) -> bool:
    """Whether it begins as what torch saves: a zip, or a pickle of old."""
    with path.open("rb") as file:
        return file.read(2).startswith((b"PK", b"\x80"))


def _read(path: Path) -> Any:
    try:
        if path.suffix.lower() == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError) as error:
        raise PBGenError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except safetensors.SafetensorError as error:
        raise PBGenError(f"{path}: not a readable safetensors file: {error}") from None
    except Exception as error:  # torch has no error type of its own: zip, pickle and runtime errors come
        if _looks_saved(path) and "weights_only" in str(error):
            raise PBGenError(
                f"{path}: holds more than weights, which would run code; save the state dict alone, with "
                "torch.save(module.state_dict(), ...)"
            ) from None
        raise PBGenError(f"{path}: damaged, or no file that torch saved") from None
