"""Auxiliary deep generative models for semi-supervised learning."""

__version__ = "0.2.0"
