"""Texts that an SSVAE writes."""

import copy

from spacy_semivae.analysis.report.generated import LATENTS, show_generated


def test_a_text_of_every_label_from_each_latent(get_pipe):
    pipe, _ = get_pipe("ssvae_textcat")
    (section,) = show_generated(pipe, seed=3)
    rows = section.blocks[0].rows
    texts = pipe.generate(n=LATENTS, seed=3, max_length=30)
    assert [row[1] for row in rows] == [*pipe.labels] * LATENTS
    assert [row[0] for row in rows[:3]] == ["1", "1", "2"]
    assert rows[3][2] == (texts[pipe.labels[1]][1].text.strip() or "(nothing)")


def test_a_pruned_generator_writes_nothing(get_pipe):
    pruned = copy.deepcopy(get_pipe("ssvae_textcat")[0])
    pruned.prune()
    (section,) = show_generated(pruned, seed=0)
    assert "pruned" in section.blocks[0].text


def test_other_components_have_no_such_section(get_pipe):
    assert show_generated(get_pipe("vsl_tagger")[0], seed=0) == []
