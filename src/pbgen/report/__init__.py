"""Results for people: image grids, charts, tables and the HTML page."""

from pbgen.report.grid import beside, image_grid, save_picture, to_pixels

__all__ = ["beside", "image_grid", "save_picture", "to_pixels"]
