"""Looking at what a model did: reads run folders, never changes what it reads."""

from recurra.inspect.report import write_report

__all__ = ["write_report"]
