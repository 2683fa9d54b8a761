"""What analysts find in the export: every table, view and column in words. Files and page are made from this."""

from data.dictionary.shapes import Column, Table, View
from data.dictionary.tables import TABLES
from data.dictionary.views import VIEWS

__all__ = ["TABLES", "VIEWS", "Column", "Table", "View"]
