"""Data sets that are made here: real surfaces with made defects, and glyphs of open fonts."""

from oddlens.demo.fonts import FontData, find_fonts, make_font_dataset
from oddlens.demo.surfaces import SURFACES, make_surface_dataset

__all__ = ["SURFACES", "FontData", "find_fonts", "make_font_dataset", "make_surface_dataset"]
