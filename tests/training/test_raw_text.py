"""Reading raw text: formats, folders, bad lines and damaged files."""

import gzip
import random
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.tokens import Doc

from spacy_semivae.training.raw_text import find_files, normalize_text, read_texts
from spacy_semivae.training.unlabeled import UnlabeledCorpus


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def test_lines(nlp, tmp_path, write, read):
    data = b"\xef\xbb\xbffirst\r\n\n  \t\n\xef\xbb\xbfsecond\nnul\x00here\x85x\nlast".replace(
        b"\x85", "\x85".encode()
    )
    for name in ("a.txt", "a.txt.gz"):
        texts = read(nlp, write(tmp_path / name, data))
        assert texts == ["first", "\ufeffsecond", "nul\x00here\x85x", "last"]
    jsonl = write(
        tmp_path / "b.jsonl", b'\xef\xbb\xbf{"text": "a"}\n\n{"text": ""}\n{"tokens": []}'
    )
    assert read(nlp, jsonl) == ["a"]


def test_folder_is_searched_recursively_and_sorted(nlp, tmp_path, write_lines, read):
    for name in ("b.txt", "a/z.TXT.gz", "a/b.jsonl.gz", ".hidden.txt", ".git/x.txt", "c.csv"):
        line = f'{{"text": "{name}"}}' if "jsonl" in name else name
        file = tmp_path / "raw" / name
        write_lines(file, [line])
    assert read(nlp, tmp_path / "raw") == ["a/b.jsonl.gz", "a/z.TXT.gz", "b.txt"]
    assert read(nlp, str(tmp_path / "raw" / "*.txt")) == ["b.txt"]
    assert read(nlp, str(tmp_path / "raw" / "**" / "*.gz")) == ["a/b.jsonl.gz", "a/z.TXT.gz"]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(nlp, tmp_path, write_lines, read):
    path = write_lines(tmp_path / "a[1].txt", ["brackets"])
    write_lines(tmp_path / "a1.txt", ["pattern"])
    assert read(nlp, path) == ["brackets"]


@pytest.mark.parametrize("name", ["missing.txt", "empty", "x*.txt", "data.csv", "data.txt.bz2"])
def test_no_file_names_the_path(nlp, tmp_path, name):
    (tmp_path / "empty").mkdir()
    for file in ("data.csv", "data.txt.bz2"):
        (tmp_path / file).write_text("x", encoding="utf8")
    path = str(tmp_path / name)
    with pytest.raises(ValueError, match="suffix") as info:
        UnlabeledCorpus(path)(nlp)
    assert path in str(info.value)


BAD_LINES = [
    (b'{"text": "a"', "a line must be JSON (", '\'{"text": "a"\''),
    (b'{"text": "a"} x', "a line must be JSON (", "x'"),
    (b'{"text": "\xff"}', "a line must be UTF-8", "\\xff"),
    (b'["a"]', "a line must be an object with text or tokens", "['a']"),
    (b'{"body": "a"}', "a line must be an object with text or tokens", "{'body': 'a'}"),
    (b'{"text": 7}', "text must be a string", "got 7"),
    (b'{"text": null}', "text must be a string", "got None"),
    (b'{"tokens": "a b"}', "tokens must be a list of non-empty strings", "got 'a b'"),
    (b'{"tokens": ["a", ""]}', "tokens must be a list of non-empty strings", "['a', '']"),
    (b'{"tokens": [{"text": "a"}]}', "tokens must be a list of non-empty strings", "'text'"),
    (b'{"tokens": ["a", 1]}', "tokens must be a list of non-empty strings", "['a', 1]"),
    (b'{"tokens": ["a"], "spaces": [true, true]}', "spaces must be a list of 1 booleans", "True]"),
    (b'{"tokens": ["a"], "spaces": [1]}', "spaces must be a list of 1 booleans", "got [1]"),
    (b'{"text": "a \\ud800"}', "the text must suit the tokenizer (", "\\ud800"),
    (b'{"tokens": ["\\ud800"]}', "the text must suit the tokenizer (", "\\ud800"),
]


@pytest.mark.parametrize(("line", "rule", "value"), BAD_LINES)
def test_bad_lines(nlp, tmp_path, line, rule, value, write, read):
    path = write(tmp_path / "a.jsonl", b'{"text": "good"}\n\n' + line + b'\n{"text": "end"}\n')
    with pytest.raises(ValueError, match="must") as info:
        read(nlp, path)
    assert str(info.value).startswith(f"{path}, line 3: {rule}")
    assert value in str(info.value)
    assert read(nlp, path, on_error="skip") == ["good", "end"]


def test_bad_utf8_in_txt(nlp, tmp_path, write, read):
    path = write(tmp_path / "a.txt.gz", b"one\ncaf\xe9\nthree\n")
    with pytest.raises(ValueError, match=r"a\.txt\.gz, line 2: a line must be UTF-8, got b'caf"):
        read(nlp, path)
    assert read(nlp, path, on_error="skip") == ["one", "three"]


def damage_gzip(path: Path, lines: list[str], kind: str) -> Path:
    data = gzip.compress("".join(f"{line}\n" for line in lines).encode())
    damaged = {"truncated": data[:-8000], "no gzip": b"plain\n", "corrupt": data[:40] + b"\0" * 900}
    path.write_bytes(damaged[kind])
    return path


@pytest.mark.parametrize("kind", ["truncated", "no gzip", "corrupt"])
def test_damaged_gzip(nlp, tmp_path, kind, write_lines, read):
    rng = random.Random(0)
    lines = [f"line {rng.random()}" for _ in range(3000)]
    path = damage_gzip(tmp_path / "a.txt.gz", lines, kind)
    last = write_lines(tmp_path / "b.txt", ["after"])
    with pytest.raises(ValueError, match="the file must be readable and whole, got") as info:
        read(nlp, path)
    *texts, after = read(nlp, tmp_path, on_error="skip")
    assert after == "after"
    assert texts == lines[: len(texts)]
    assert f"{path}, line {len(texts) + 1}: " in str(info.value)
    assert (len(texts) > 0) == (kind == "truncated")
    assert last.exists()


@pytest.mark.parametrize("name", ["a.spacy", "a.spacy.gz"])
def test_damaged_docbin(nlp, tmp_path, name, write_docs, read):
    path = write_docs(tmp_path / name, [nlp.make_doc(f"text number {i}") for i in range(50)])
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], b"", b"no DocBin"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="the file must hold a whole DocBin, got") as info:
            read(nlp, path)
        assert str(info.value).startswith(f"{path}: ")
        assert read(nlp, path, on_error="skip") == []


def test_the_rejects_file_is_never_read_as_raw_text(nlp, tmp_path, write_lines):
    write_lines(tmp_path / "a.jsonl", ["{", '{"text": "ok"}'])
    rejects = tmp_path / "rejects.jsonl"
    corpus = UnlabeledCorpus(tmp_path, on_error="skip", rejects=rejects)
    for _ in range(3):
        assert [eg.predicted.text for eg in corpus(nlp)] == ["ok"]
    assert len(list(srsly.read_jsonl(rejects))) == 1
    with pytest.raises(ValueError, match="got none"):
        UnlabeledCorpus(rejects, on_error="skip", rejects=rejects)(nlp)


def test_later_files_are_not_opened_early(nlp, tmp_path, write, write_lines):
    write_lines(tmp_path / "a.txt", ["a", "b", "c"])
    write(tmp_path / "b.spacy", b"broken")
    stream = UnlabeledCorpus(tmp_path, shuffle_buffer=0)(nlp)
    assert next(stream).predicted.text == "a"
    assert next(stream).predicted.text == "b"
    with pytest.raises(ValueError, match=r"b\.spacy: the file must hold a whole DocBin"):
        list(stream)


def test_normalize_text():
    assert normalize_text("Hello, WORLD_1!\n Ünï-٣") == "helloworld1ünï٣"
    assert normalize_text(" _-?!🎉") == ""


def test_read_texts(nlp, tmp_path, write_lines, write_docs):
    write_docs(tmp_path / "a.spacy", [nlp.make_doc("don't stop"), Doc(nlp.vocab, words=["a", "b"])])
    write_lines(tmp_path / "b.jsonl", ['{"text": "x"}', "{", '{"tokens": ["y", "z"]}'])
    errors = []
    texts = list(read_texts(tmp_path, on_error=errors.append))
    assert texts == ["don't stop", "a b ", "x", "y z "]
    assert [(error.path.name, error.line) for error in errors] == [("b.jsonl", 2)]
    with pytest.raises(ValueError, match="line 2: a line must be JSON"):
        list(read_texts(str(tmp_path)))
    assert [file.name for file in find_files(tmp_path)] == ["a.spacy", "b.jsonl"]
