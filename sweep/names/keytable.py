"""The key table of a study: which short key stands for which parameter in its run names."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from sweep.errors import RunNameError

FAMILY = "family"
"""The parameter whose string value is the family, and so has no key of its own."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_STAYS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,5}")
# TensorBoard's narrow column hides a run's colour when a piece between hyphens is longer than this.
_MAX_KEY = 18
KEY_RULE = f"A key consists of at most {_MAX_KEY} of [A-Za-z0-9_.] and begins with a letter or `_`"
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
_INDEXED = re.compile(r"(.+?)(?:_l|_layer_?|_block_?|_)?([0-9]{1,6})")

_LEADING = ("lr", "bs")

_USUAL = {
    "act": "activation activation_function hidden_activation activation_fn",
    "arch": "architecture",
    "aug": "augment augmentation augmentations data_augmentation use_augmentation",
    "b1": "beta_1 adam_beta_1",
    "b2": "beta_2 adam_beta_2",
    "bias": "use_bias",
    "bidi": "bidirectional",
    "blocks": "n_blocks num_blocks",
    "bn": "batch_norm use_batch_norm batch_normalization use_batch_normalization",
    "bs": "batch_size train_batch_size minibatch_size",
    "clip": "clipnorm clip_norm clipvalue clip_value grad_clip gradient_clip gradient_clipping max_grad_norm",
    "decay": "decay_rate",
    "depth": "max_depth",
    "drop": "dropout dropout_rate dropout_prob drop_rate",
    "emb": "embedding embedding_dim embedding_size embed_dim",
    "ep": "n_epochs num_epochs",
    "eps": "epsilon adam_epsilon",
    "filt": "filters n_filters num_filters conv_filters",
    "grow": "growth_rate",
    "heads": "n_heads num_heads attention_heads n_attention_heads num_attention_heads",
    "hid": "hidden hidden_dim hidden_size hidden_units n_hidden num_hidden",
    "init": "initializer kernel_initializer weight_init",
    "ks": "kernel_size conv_kernel_size",
    "l1": "l1_regularization l1_reg l1_penalty",
    "l2": "l2_regularization l2_reg l2_penalty",
    "layers": "n_layers num_layers hidden_layers n_hidden_layers num_hidden_layers",
    "len": "max_len max_length sequence_length seq_len seq_length",
    "ln": "layer_norm use_layer_norm layer_normalization use_layer_normalization",
    "loss": "loss_function",
    "lr": "learning_rate initial_learning_rate base_learning_rate max_learning_rate",
    "lrdec": "learning_rate_decay lr_decay",
    "ls": "label_smoothing",
    "model": "model_name model_type",
    "mom": "momentum sgd_momentum",
    "nest": "nesterov use_nesterov",
    "noise": "noise_std noise_stddev gaussian_noise",
    "norm": "normalization",
    "opt": "optimizer optimizer_name",
    "pad": "padding",
    "pat": "patience early_stopping_patience",
    "pool": "pooling pool_size pooling_type",
    "rdrop": "recurrent_dropout",
    "reg": "regularizer regularization kernel_regularizer",
    "res": "resolution image_size img_size",
    "rho": "rmsprop_rho",
    "sched": "scheduler schedule lr_schedule lr_scheduler learning_rate_schedule",
    "skip": "skip_connections use_skip_connections residual",
    "temp": "temperature",
    "units": "n_units num_units dense_units hidden_layer_size",
    "vocab": "vocab_size vocabulary_size max_tokens",
    "warm": "warmup warmup_steps warmup_epochs warmup_ratio warmup_proportion",
    "wd": "weight_decay",
    "wmul": "width_multiplier",
}
"""Keys in use in the field, each with the parameter names it is used for."""

_USUAL_KEY = {name: key for key, names in _USUAL.items() for name in names.split()}


class KeyTable:
    """An ordered table of parameter names and their keys that only grows: a key once given never changes meaning.

    Names of up to 6 letters stay. Others have a usual key (`learning_rate` lr), then their initials, then more of each
    word until no other parameter has it, whatever the case, since filters ignore case. `units_0` and `n_units_l0` are
    `units0`.

    Args:
        short: keys of the user's own, parameter name to key. They are used before any other, and their order leads.
        table: a table that has been kept, from `as_dict`. Its keys win; it may hold parameters this study has not
            suggested yet.

    Raises:
        RunNameError: a key is malformed or stands for two parameters, or `short` changes a key that was already given.
    """

    def __init__(self, short: Mapping[str, str] | None = None, table: Mapping[str, str] | None = None) -> None:
        self._short = dict(short or {})
        self._keys: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for name, key in (table or {}).items():
            self._enter(name, key)
        # A table that was kept may have made names, in which a `family` first suggested now did not exist.
        self._made_names = bool(table)
        self._check_short()

    def _enter(self, name: str, key: str) -> None:
        if key or name != FAMILY:
            _check_key(name, key)
            if (other := self._names.setdefault(key.lower(), name)) != name:
                raise RunNameError(f"The key {key!r} stands for two parameters, `{other}` and `{name}`.")
        self._keys[name] = key

    def _check_short(self) -> None:
        taken = dict(self._names)
        for name, key in self._short.items():
            _check_key(name, key)
            if name == FAMILY:
                raise RunNameError(
                    f"`{FAMILY}` cannot have the short key {key!r}, because its value is written as the family."
                )
            if self._keys.get(name, key) != key:
                raise RunNameError(
                    f"Cannot change the key of `{name}` to {key!r}: this study's run names have {self._keys[name]!r}.",
                    "Leave it as it is, or start the study under a new name.",
                )
            if (other := taken.setdefault(key.lower(), name)) != name:
                raise RunNameError(
                    f"The key {key!r} stands for two parameters, `{other}` and `{name}`.",
                    f"Give `{name}` another short key.",
                )

    def assign(self, name: str) -> str:
        """The key of a parameter, given to it now if it has none."""
        if name not in self._keys:
            self._enter(name, self._new_key(name))
        return self.key(name)

    def _new_key(self, name: str) -> str:
        if name == FAMILY:
            return FAMILY if self._made_names else ""
        if name in self._short:
            return self._short[name]
        taken = {FAMILY, *self._names, *(key.lower() for key in self._short.values())}
        return next(key for key in _candidates(name) if key.lower() not in taken)

    def settle(self) -> None:
        """Say that a run name was made: a `family` that is first suggested later is written out in names."""
        self._made_names = True

    @property
    def implies_family(self) -> bool:
        """Whether a string called `family` is left out of run names, its value being the family."""
        return self._keys.get(FAMILY) == ""

    def key(self, name: str) -> str:
        """The key of a parameter.

        Raises:
            RunNameError: the parameter has none yet.
        """
        if name not in self._keys:
            raise RunNameError(f"Parameter {name!r} has no key yet, because no trial has suggested it.")
        return self._keys[name] or FAMILY

    def name(self, key: str) -> str:
        """The parameter a key stands for.

        Raises:
            RunNameError: it stands for none.
        """
        if key == FAMILY and FAMILY in self._keys:
            return FAMILY
        name = self._names.get(key.lower())
        if name is None or self._keys[name] != key:
            known = ", ".join(self.key(name) for name in self.order(self._keys))
            raise RunNameError(f"No parameter of the study has the key {key!r}.", f"Its keys are {known}.")
        return name

    def as_dict(self) -> dict[str, str]:
        """The table in the order of suggestion, to be kept as JSON; the key of a `family` that is left out is empty."""
        return dict(self._keys)

    def order(self, names: Iterable[str]) -> list[str]:
        """Parameters in the order they stand in a run name: those of `short`, learning rate, batch size, then as
        suggested.

        Raises:
            RunNameError: one of them has no key yet.
        """
        lead = [*self._short.values(), *_LEADING]
        suggested = {name: place for place, name in enumerate(self._keys)}

        def place(name: str) -> tuple[int, int]:
            key = self.key(name)
            return (lead.index(key) if key in lead else len(lead)), suggested[name]

        return sorted(names, key=place)


def is_key(text: str) -> bool:
    """Whether a text can be a key."""
    return _KEY.fullmatch(text) is not None and len(text) <= _MAX_KEY


def _check_key(name: str, key: str) -> None:
    if not (isinstance(key, str) and is_key(key)):
        raise RunNameError(f"{KEY_RULE}, so `{name}` cannot have {key!r}.")
    if key.lower() == FAMILY and name != FAMILY:
        raise RunNameError(f"`{name}` cannot have the key {key!r}, which is reserved for the family.")


def _candidates(name: str) -> Iterator[str]:
    """Keys for a parameter, the best first, without end."""
    if _STAYS.fullmatch(name):
        yield name
    # Letters lose their accents, so that `längenmaß` has a key that a person can type.
    words = [
        word.lower() for word in _WORD.findall(unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode())
    ]
    stem, index = "_".join(words), ""
    if stem not in _USUAL_KEY and (indexed := _INDEXED.fullmatch(stem)):
        stem, index = indexed.groups()
    made = [_startable(key)[: _MAX_KEY - len(index)] + index for key in _stem_keys(stem)]
    yield from made
    for number in count(2):
        suffix = f"_{number}"
        yield made[0][: _MAX_KEY - len(suffix)] + suffix


def _stem_keys(stem: str) -> list[str]:
    if stem in _USUAL_KEY:
        return [_USUAL_KEY[stem], *_abbreviations(stem)]
    return [stem, *_abbreviations(stem)] if _STAYS.fullmatch(stem) else _abbreviations(stem)


def _abbreviations(stem: str) -> list[str]:
    """Initials, then two letters of each word, and so on; of a single word four or more: an initial says too little.

    None is a usual key of another parameter: `l1_ratio` is no `lr`.
    """
    words = stem.split("_")
    shortest, longest = (4 if len(words) == 1 else 1), max(map(len, words))
    made = ["".join(word[:length] for word in words) for length in range(shortest, max(shortest, longest) + 1)]
    return [key for key in made if key not in _USUAL] or made[-1:]


def _startable(key: str) -> str:
    return key if key[:1].isalpha() else f"p{key}"
