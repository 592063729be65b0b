"""A model by its name, or from a user's Python file."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from pbgen.errors import PBGenError
from pbgen.example import several
from pbgen.models.dcgan import Norm
from pbgen.models.exported import read_exported
from pbgen.models.zoo import create


def load(
    spec: str,
    *,
    channels: int = 3,
    kernel_size: int = 5,
    width: int | None = None,
    latent: int = 100,
    discriminator_norm: Norm = "batch",
) -> tuple[nn.Module, nn.Module | None]:
    """A generator and its discriminator: `spec` is a built-in name, "file.py:factory" or an exported program, file.pt2.

    The options are those of `create`. A file's factory takes no arguments and decides for itself; it returns a
    generator, which is any torch module, or a pair of generator and discriminator. What goes in is told by the
    generator's `input_shape`, a tuple without the batch, or one of such tuples where there are several inputs; or by an
    example beside a generator alone, a tensor (N, ...) or a tuple of tensors, which becomes its `example_input`.

    Raises PBGenError where the model is unknown, the file or the factory is missing or fails, it returns something
    else, or a kernel size, width or latent is asked of a file.
    """
    file = code_file(spec)
    if _is_onnx(spec):
        raise PBGenError(
            f"{spec}: ONNX files are not read (docs/onnx.md says why); give file.py:factory, or file.pt2 that "
            "torch.export.save wrote"
        )
    if file is None and not _is_exported(spec):
        return create(
            spec,
            channels=channels,
            kernel_size=kernel_size,
            width=width,
            latent=latent,
            discriminator_norm=discriminator_norm,
        )
    if (kernel_size, width, latent) != (5, None, 100):
        raise PBGenError(f"{spec}: kernel size, width and latent are for built-in models; set them in the factory")
    if file is None:
        return read_exported(Path(spec)), None
    return _checked(spec, _call(spec, _factory(spec, file, spec.rpartition(":")[2])))


def code_file(spec: str) -> Path | None:
    """The Python file that loading `spec` runs; None where it is a built-in name."""
    file, colon, _ = spec.rpartition(":")
    return Path(file) if colon else None


def is_file(spec: str) -> bool:
    """Whether it names a file, not a built-in model."""
    return code_file(spec) is not None or _is_exported(spec) or _is_onnx(spec)


def _is_exported(spec: str) -> bool:
    return spec.lower().endswith(".pt2")


def _is_onnx(spec: str) -> bool:
    return spec.lower().endswith(".onnx")


def load_function(spec: str) -> Any:
    """What the function that "file.py:function" names gives, called without arguments.

    Raises PBGenError where file or function are missing, or it fails.
    """
    file = code_file(spec)
    assert file is not None
    return _call(spec, _factory(spec, file, spec.rpartition(":")[2]))


def _factory(spec: str, file: Path, name: str) -> Callable[[], Any]:
    if not file.is_file():
        raise PBGenError(f"{spec}: there is no file {file}; give file.py:factory")
    module = _module(spec, file)
    factory: Callable[[], Any] | None = getattr(module, name, None)
    if factory is None or not callable(factory):
        own = [found.__name__ for found in vars(module).values() if _is_factory(found, module)]
        there = f"it has {', '.join(own)}" if own else "write one that takes nothing and returns the module"
        raise PBGenError(f"{spec}: {file} has no function '{name}'; {there}")
    return factory


def _is_factory(value: Any, module: ModuleType) -> bool:
    return inspect.isfunction(value) and value.__module__ == module.__name__ and not inspect.signature(value).parameters


def _module(spec: str, file: Path) -> ModuleType:
    name = f"pbgen_model_{file.stem}"
    loader_spec = importlib.util.spec_from_file_location(name, file)
    if loader_spec is None or loader_spec.loader is None:
        raise PBGenError(f"{spec}: {file} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(loader_spec)
    # As when Python runs the file: it is found under its name, and may import its neighbours.
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        loader_spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise PBGenError(f"{spec}: {file} fails when imported: {_one_line(error)}") from error
    finally:
        sys.path.remove(str(file.parent.resolve()))
    return module


def _call(spec: str, factory: Callable[[], Any]) -> Any:
    try:
        return factory()
    except PBGenError:
        raise
    except Exception as error:
        raise PBGenError(f"{spec}: the factory fails: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _checked(spec: str, made: Any) -> tuple[nn.Module, nn.Module | None]:
    generator, beside = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    example = beside if _is_example(beside) else None
    if isinstance(generator, nn.Module) and isinstance(beside, tuple | list):
        _check_tensors(spec, beside)
    if not isinstance(generator, nn.Module) or not (example is not None or isinstance(beside, nn.Module | None)):
        raise PBGenError(
            f"{spec}: the factory returned {_kind(made)}; return a torch generator, "
            "or a pair of generator and discriminator, or of generator and example input"
        )
    if example is not None:
        vars(generator)["example_input"] = tuple(example) if isinstance(example, list) else example  # no buffer of its
        return generator, None
    if not _is_input_shape(getattr(generator, "input_shape", None)):
        raise PBGenError(
            f"{spec}: its generator needs input_shape, a tuple without the batch, such as (100,); "
            "or return an example input beside it"
        )
    return generator, beside


def _check_tensors(spec: str, example: Sequence[Any]) -> None:
    for number, value in enumerate(example):
        if not isinstance(value, Tensor):
            raise PBGenError(
                f"{spec}: the factory's example input[{number}]: {type(value).__name__} is no tensor; give a tensor or "
                "a tuple of them, and for anything else a module that passes it on"
            )


def _is_example(value: Any) -> bool:
    """A tensor with a batch, or a tuple of such."""
    values = value if isinstance(value, tuple | list) and value else (value,)
    return all(isinstance(one, Tensor) and one.dim() > 0 and len(one) > 0 for one in values)


def _is_input_shape(value: Any) -> bool:
    if not isinstance(value, tuple) or not value:
        return False
    return all(
        isinstance(shape, tuple) and bool(shape) and all(type(n) is int and n > 0 for n in shape)
        for shape in (value if several(value) else (value,))
    )


def _kind(made: Any) -> str:
    if not isinstance(made, tuple):
        return type(made).__name__
    return f"({', '.join(type(one).__name__ for one in made)})"
