"""The questions of the study, in the order of docs/results.md. Each has trials() and report(results, pictures)."""

from types import ModuleType

from . import averaging, competition, full_size, large, layers, losses, methods, metric, planes, recipe

QUESTIONS: dict[str, ModuleType] = {
    "layers": layers,
    "metric": metric,
    "competition": competition,
    "losses": losses,
    "methods": methods,
    "planes": planes,
    "averaging": averaging,
    "recipe": recipe,
    "large": large,
    "full_size": full_size,
}
SMALL = [name for name in QUESTIONS if name != "full_size"]
"""Those that a processor alone can answer."""
