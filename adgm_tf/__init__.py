"""Auxiliary deep generative models for semi-supervised learning."""

__version__ = "0.1.0"
