"""Pretext tasks: what a network learns from normal images alone, and what its errors say."""
