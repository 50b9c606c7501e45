"""Looking at what a model did: reads run folders, never changes what it reads."""

from recurra.inspect.pictures import ENDINGS, picture_file
from recurra.inspect.report import write_report

__all__ = ["ENDINGS", "picture_file", "write_report"]
