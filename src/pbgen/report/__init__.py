"""Results for people: image grids, charts, tables and the HTML page."""

from pbgen.report.grid import Grid, beside, image_grid, picture_format, save_picture, to_pixels

__all__ = ["Grid", "beside", "image_grid", "picture_format", "save_picture", "to_pixels"]
