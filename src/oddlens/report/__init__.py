"""The report: one HTML file that shows what was flagged, where and why."""

from oddlens.report.page import write_report

__all__ = ["write_report"]
