"""Named parts beside the model go through all four storage methods and can be left out."""

import pytest
from spacy.vocab import Vocab
from thinc.api import Linear

from spacy_semivae.pipeline.storage import StoredPipe


class Pipe(StoredPipe):
    """A component with one part of its own."""

    def __init__(self, part=b""):
        self.vocab, self.name, self.cfg = Vocab(), "pipe", {"step": 1}
        self.model = Linear(2, 2).initialize()
        self.part, self.loads = part, 0

    def after_load(self):
        self.loads += 1
        assert self.part == b"", "settings are brought in line before further parts are loaded"

    def set_part(self, data):
        self.part = data

    def extra_state(self):
        return {"part": (lambda: self.part, self.set_part)}


@pytest.mark.parametrize("exclude", [(), ("part",)])
def test_parts_are_stored_and_loaded(tmp_path, exclude):
    pipe = Pipe(b"\x00learned")
    pipe.cfg["step"] = 7
    pipe.to_disk(tmp_path, exclude=exclude)
    assert (tmp_path / "part").exists() is not bool(exclude)
    copies = [Pipe().from_bytes(pipe.to_bytes(exclude=exclude)), Pipe().from_disk(tmp_path)]
    for copy in copies:
        assert copy.part == (b"" if exclude else b"\x00learned")
        assert copy.cfg["step"] == 7
        assert copy.loads == 1
        assert (copy.model.get_param("W") == pipe.model.get_param("W")).all()


def test_parts_can_be_left_out_when_loading(tmp_path):
    pipe = Pipe(b"learned")
    pipe.to_disk(tmp_path)
    assert Pipe().from_disk(tmp_path, exclude=["part"]).part == b""
    assert Pipe().from_bytes(pipe.to_bytes(), exclude=["part"]).part == b""
    without_model = Pipe().from_disk(tmp_path, exclude=["model"])
    assert (without_model.part, without_model.loads) == (b"learned", 1)


def test_a_part_that_is_missing_or_another_is_noticed(tmp_path):
    Pipe(b"learned").to_disk(tmp_path)
    (tmp_path / "part").write_bytes(b"unlearned")
    with pytest.raises(ValueError, match="part is not what was written"):
        Pipe().from_disk(tmp_path)
    assert Pipe().from_disk(tmp_path, exclude=["part"]).part == b""
    (tmp_path / "part").unlink()
    with pytest.raises(FileNotFoundError, match="part"):
        Pipe().from_disk(tmp_path)
