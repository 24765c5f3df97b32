"""Adapters: small changes of a model's weights, trained alone, put in and taken out while it stays loaded."""

from valle.models.adapters.adapter import Adapter, AdapterShape, Matrices, fresh
from valle.models.adapters.attached import Attached, Form, merge
from valle.models.adapters.files import load, save

__all__ = ["Adapter", "AdapterShape", "Attached", "Form", "Matrices", "fresh", "load", "merge", "save"]
