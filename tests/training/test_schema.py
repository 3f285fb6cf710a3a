"""The checks of [semivae] and [training]."""

import pytest
from spacy.util import load_config_from_str

from spacy_semivae.training.schema import check_paths, check_training_keys, resolve_semivae

BLOCK = """
[semivae]
unlabeled_corpus = "corpora.unlabeled"

[semivae.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 3
"""


def resolve(block):
    return resolve_semivae(load_config_from_str(block, interpolate=True))


def test_defaults():
    settings = resolve(BLOCK)
    assert settings.unlabeled_corpus == "corpora.unlabeled"
    assert settings.init_unlabeled == 10000
    assert (settings.warm_start.path, settings.warm_start.prior) == (None, True)
    assert not settings.warm_start.weights
    assert [len(batch) for batch in settings.batcher(range(7))] == [3, 3, 1]
    assert settings.pretraining.max_epochs == 5
    assert settings.pretraining.optimizer.learn_rate == 0.004


def test_one_setting_of_pretraining_leaves_the_others():
    optimizer = "[semivae.pretraining]\n\n[semivae.pretraining.optimizer]\nlearn_rate = 0.1\n"
    settings = resolve(f"{BLOCK}\n{optimizer}").pretraining
    assert settings.optimizer.learn_rate == 0.1
    assert settings.optimizer.averages is None
    assert settings.heldout == 20


def test_a_batcher_of_words_is_the_default():
    settings = resolve("[semivae]\nunlabeled_corpus = null\n")
    assert settings.unlabeled_corpus is None
    batches = list(settings.batcher([range(100)] * 20))
    assert {len(batch) for batch in batches[:-1]} <= {5, 6}  # 500 words and perhaps a fifth
    assert sum(len(batch) for batch in batches) == 20


def test_a_missing_block_says_what_to_do():
    with pytest.raises(ValueError, match=r"no \[semivae\] block: `spacy semivae init-config`"):
        resolve("[training]\nseed = 1\n")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("[semivae]\ninit_unlabeled = 3\n", r"semivae\.unlabeled_corpus: Field required"),
        (BLOCK.replace("[semivae]", "[semivae]\nalfa = 1", 1), r"semivae\.alfa: Extra inputs"),
        (BLOCK.replace("[semivae]", "[semivae]\ninit_unlabeled = -1", 1), r"init_unlabeled: .*0"),
        (BLOCK + "\n[semivae.warm_start]\npriors = true\n", r"semivae\.warm_start\.priors: Extra"),
        (BLOCK + '\n[semivae.warm_start]\nprior = "yes"\n', r"semivae\.warm_start\.prior: .*bool"),
        (BLOCK + "\n[semivae.pretraining]\nepochs = 1\n", r"semivae\.pretraining\.epochs: Extra"),
        (
            BLOCK + "\n[semivae.pretraining]\ndropout = 1.0\n",
            r"pretraining\.dropout: .*less than 1",
        ),
        (BLOCK.replace("size", "sise"), r"sise"),
        (BLOCK.replace("spacy.batch_by_sequence.v1", "no.such.batcher"), r"no\.such\.batcher"),
    ],
)
def test_wrong_settings_are_named(block, message):
    with pytest.raises(ValueError, match=message):
        resolve(block)


def test_unknown_training_settings_are_named(load_tiny):
    config = load_tiny()
    check_training_keys(config)
    config["training"].update(max_stepz=3, dropuot=0.1)
    with pytest.raises(
        ValueError, match=r"in \[training\]: training\.dropuot, training\.max_stepz"
    ):
        check_training_keys(config)


@pytest.mark.parametrize("name", ["train", "dev"])
def test_a_corpus_without_a_path_is_named(load_tiny, name):
    config = load_tiny(**{f"paths__{name}": None})
    with pytest.raises(ValueError, match=rf"\[corpora\.{name}\] needs a path: set paths\.{name}"):
        check_paths(config.interpolate())
    check_paths(load_tiny(paths__unlabeled=None).interpolate())


def test_initialize_makes_all_checks(start):
    with pytest.raises(ValueError, match=r"set paths\.train"):
        start(paths__train=None)
    with pytest.raises(ValueError, match=r"training\.max_stepz"):
        start(training__max_stepz=5)
    with pytest.raises(ValueError, match=r"semivae\.alpha"):
        start(semivae__alpha=0.1)
