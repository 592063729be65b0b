"""Generators and their discriminators: the built-in ones by name, others from a user's file."""

from pbgen.models.load import load
from pbgen.models.zoo import create, names

__all__ = ["create", "load", "names"]
