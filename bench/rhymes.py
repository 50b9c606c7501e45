"""Write the rhymes of Chinese characters in Tang and Song poems as a table that `document.rhymes` reads.

    pip download --no-deps qieyun==0.13.3
    python bench/rhymes.py qieyun-0.13.3-py3-none-any.whl data/rhymes.tsv

The package qieyun (CC0) holds the rhyme book Guangyun of 1008: a rhyme and a tone for each reading of 19,499
characters. Of its rhymes those count as one that the book, or the usage of the poets, lets rhyme with each other.
"""

import csv
import io
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

# The rhymes of one group, by their names in the level tone (or the departing one, of those that have no other).
GROUPS = (
    "冬鍾", "支脂之", "虞模", "齊祭", "佳皆夬", "灰咍廢", "真諄臻", "文欣殷", "元魂痕", "寒桓", "刪山",
    "先仙", "蕭宵", "歌戈", "陽唐", "庚耕清", "蒸登", "尤侯幽", "覃談", "鹽添嚴", "咸銜凡",
)  # fmt: skip


def rhymes(package: Path) -> dict[str, set[str]]:
    """The rhymes of each character, a group and a tone each."""
    group = {name: names[0] for names in GROUPS for name in names}
    found: dict[str, set[str]] = defaultdict(set)
    with zipfile.ZipFile(package).open("Qieyun/rhyme_book.csv") as file:
        for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")):
            # A character that the editors did not mend stands in the column before.
            character, place = row["字頭"] or row["字頭覈校前"], row["最簡描述"]
            if row["資料名稱"] == "廣韻" and place and len(character) == 1:
                *_, rhyme, tone = place
                found[character].add(group.get(rhyme, rhyme) + tone)
    return found


if __name__ == "__main__":
    package, table = map(Path, sys.argv[1:])
    lines = (f"{character}\t{' '.join(sorted(names))}\n" for character, names in sorted(rhymes(package).items()))
    table.write_text("".join(lines), encoding="utf-8")
