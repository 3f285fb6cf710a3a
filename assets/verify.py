"""Compare the assets of `project.yml` with their checksums. Usage: `verify.py [PROJECT_FOLDER]`.

`spacy project assets` reports a wrong file but does not fail; this does. An asset that is not there
yet is only listed.
"""

import sys
from pathlib import Path

from wasabi import msg
from weasel.util import get_checksum, load_project_config


def find_wrong(project: Path) -> list[str]:
    """Check every asset that is there, and report each.

    project (Path): Folder of `project.yml`.
    RETURNS (list[str]): For each wrong file its path, the expected and the found checksum.
    """
    wrong = []
    for asset in load_project_config(project)["assets"]:
        path, expected = project / asset["dest"], asset.get("checksum")
        if not path.exists():
            msg.info(f"{asset['dest']}: not there")
        elif not expected:
            msg.info(f"{asset['dest']}: no checksum is known")
        elif (found := get_checksum(path)) != expected:
            wrong.append(f"{asset['dest']}: expected md5 {expected}, found {found}")
        else:
            msg.good(asset["dest"])
    return wrong


def main() -> None:
    """Print the state of each asset; exit with 1 if a file is wrong."""
    wrong = find_wrong(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    for line in wrong:
        msg.fail(line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
