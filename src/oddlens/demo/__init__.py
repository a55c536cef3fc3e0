"""The embedded demonstration data: real photographs of surfaces, with defects that are made."""

from oddlens.demo.surfaces import SURFACES, make_surface_dataset

__all__ = ["SURFACES", "make_surface_dataset"]
