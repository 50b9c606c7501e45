"""The conditions of a language model's documents: which fields there are, and which values they may have."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from recurra.data import DataError, Document
from recurra.equations import nearest
from recurra.tasks.config import ConfigError, names_in
from recurra.tasks.lm.config import ConditionConfig

CONDITIONS_FILE = "conditions.json"
_FORMAT = "recurra conditions"
# Values of a category that a message shows.
_SHOWN = 12


@dataclass(frozen=True)
class Conditions:
    """The fields that documents are written for, by how they reach the model.

    Attributes:
        categories: for each field that is a category its values, whose numbers are their places from 1; 0 stands for
            none of them.
        encoded: fields whose text is encoded.
        prefix: fields whose text stands before the document.
        optional: fields that the model has learnt to do without.
        examples: fields of some documents.
    """

    categories: Mapping[str, Sequence[str]]
    encoded: Sequence[str]
    prefix: Sequence[str]
    optional: Sequence[str]
    examples: Sequence[Mapping[str, str]]

    @property
    def fields(self) -> list[str]:
        """The names of all fields."""
        return [*self.categories, *self.encoded, *self.prefix]

    @classmethod
    def of(cls, documents: Sequence[Document], config: ConditionConfig) -> Self:
        """The conditions that the settings ask for, with the values that these documents have.

        Raises:
            DataError: a field that is asked for is none of the documents', or a category has no value.
        """
        category, encoded, prefix = (names_in(x) for x in (config.category, config.encoded, config.prefix))
        cls(dict.fromkeys(category, ()), encoded, prefix, (), ()).require_fields(documents[0])
        categories = {}
        for name in category:
            counts = Counter(document.fields[name] for document in documents)
            values = sorted(value for value, count in counts.items() if value and count >= config.minimum_count)
            if not values:
                raise DataError(
                    f"no value of the field {name!r} stands in {config.minimum_count} documents: lower "
                    "condition.minimum_count, or leave the field out of condition.category"
                )
            categories[name] = values
        strict = cls(categories, encoded, prefix, (), ())
        optional = [
            name
            for name in strict.fields
            if config.dropout or any(strict._absent(name, document.fields[name]) for document in documents)
        ]
        return cls(categories, encoded, prefix, optional, ())

    def require_fields(self, document: Document) -> None:
        """Raise a DataError unless a document has all the fields, empty or not."""
        for name in self.fields:
            if name not in document.fields:
                known = ", ".join(document.fields) or "none"
                raise DataError(
                    f"{document.file} has no field {name!r}{nearest(name, document.fields)}; its fields are: {known}"
                )

    def _absent(self, name: str, value: str) -> bool:
        """Whether a document with this value counts as one without the field."""
        return not value or (name in self.categories and value not in self._numbers[name])

    def numbers(self, fields: Mapping[str, str], place: str) -> list[int]:
        """The number of the value of each field that is a category.

        Raises:
            DataError: a value was never seen in training, and the model has not learnt to do without.
        """
        return [self._number(name, fields.get(name, ""), place) for name in self.categories]

    def _number(self, name: str, value: str, place: str) -> int:
        number = self._numbers[name].get(value, 0)
        if value and not number and name not in self.optional:
            raise self._unknown(name, value, place)
        return number

    @cached_property
    def _numbers(self) -> dict[str, dict[str, int]]:
        return {name: {value: k for k, value in enumerate(values, 1)} for name, values in self.categories.items()}

    def _unknown(self, name: str, value: str, place: str) -> DataError:
        values = self.categories[name]
        known = ", ".join(values[:_SHOWN]) + (", …" if len(values) > _SHOWN else "")
        return DataError(
            f"{place}: the {name} {value!r} was never seen in training{nearest(value, values)}; known are {known}"
        )

    def given(self, values: Mapping[str, str]) -> dict[str, str]:
        """What somebody asks a document to be written for, checked; a field left out is empty.

        Raises:
            ConfigError: a field does not exist, or is missing and cannot be done without.
            DataError: a category was never seen in training.
        """
        for name, value in values.items():
            if name not in self.fields:
                known = f"the model's conditions are: {', '.join(self.fields)}" if self.fields else "the model has none"
                raise ConfigError(f"there is no condition {name!r}{nearest(name, self.fields)}; {known}")
            if name in self.categories and value not in self.categories[name]:
                # Asked for by name, a value that counts as not given would be a promise not kept.
                raise self._unknown(name, value, "the conditions")
        for name in self.fields:
            if name not in values and name not in self.optional:
                example = next((fields[name] for fields in self.examples if fields.get(name)), "…")
                raise ConfigError(
                    f"the model writes for a {name}, which is not given: add --{name} {example}, or train "
                    "with condition.dropout=0.1, which teaches it to do without"
                )
        return {name: values.get(name, "") for name in self.fields}

    def can_be_asked_for(self, values: Mapping[str, str]) -> bool:
        """Whether `given` lets these values through."""
        try:
            self.given(values)
        except (ConfigError, DataError):
            return False
        return True

    def shown(self, fields: Mapping[str, str]) -> str:
        """Fields as a person reads them."""
        return ", ".join(f"{name}={fields[name]}" for name in self.fields if fields.get(name))

    def save(self, run_dir: str | Path) -> None:
        """Write what `load` reads into a run folder. Raises OSError."""
        text = json.dumps({"format": _FORMAT, **asdict(self)}, ensure_ascii=False, indent=0)
        (Path(run_dir) / CONDITIONS_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, run_dir: str | Path) -> Self:
        """The conditions of a run folder. Raises DataError where their file is missing or damaged."""
        path = Path(run_dir) / CONDITIONS_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("format") != _FORMAT:
                raise ValueError("its format is another")
            return cls(**content)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is damaged ({error}); restore it, or train anew") from error
