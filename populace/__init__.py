"""Populace: profiles, traits and audiences from an event archive that you own, kept equal in every destination."""

__version__ = "0.1.0"
