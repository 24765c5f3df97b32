"""The engine: VALL-E style speech models, their samplers, codecs and text, without the lab."""

__version__ = "0.1.0"
