"""Tables of RecBole's own models that neither a name nor a shape tells: one entry a class, from its source.

Everything else is read by the general rules of `families`.  See docs/backbones.md for the same list in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

Holds = Literal["user", "item", "user and item", "nobody"]


@dataclass(frozen=True)
class Rule:
    """What one parameter of a model holds.

    where: dotted path of a module; its `weight` is meant.  holds: whose rows they are (user and item: users above
    items), or nobody's.  columns: the ids run along the second axis.  pick: the first or last Linear layer at or
    below `where`, since the numbers in such a path follow from the layers that a config asks for; or each
    parameter of a list.
    """

    where: str
    holds: Holds
    columns: bool = False
    pick: Literal["itself", "first", "last", "each"] = "itself"

    def parameters(self, model: nn.Module) -> list[str]:
        """The names of the parameters that are meant; none where this model lacks the module."""
        modules = dict(model.named_modules())
        if self.where not in modules:
            return []
        if self.pick == "each":
            return [f"{self.where}.{name}" for name in modules[self.where]._parameters]
        if self.pick == "itself":
            return [f"{self.where}.weight"]
        linear = [
            name
            for name, module in modules.items()
            if isinstance(module, nn.Linear) and (name == self.where or name.startswith(f"{self.where}."))
        ]
        return [f"{linear[0 if self.pick == 'first' else -1]}.weight"] if linear else []


def _auto_encoder(encoder: str, decoder: str | None) -> tuple[Rule, ...]:
    """One-hot or multi-hot items in, scores of items out."""
    into = Rule(encoder, "item", columns=True, pick="first")
    return (into, Rule(decoder, "item", pick="last")) if decoder else (into,)


#: By class name.  A model with an entry has all its Linear layers decided by it.
RULES: dict[str, tuple[Rule, ...]] = {
    # A user is the row of items she knows, an item the column of users who know it.
    "DMF": (Rule("user_linear", "item", columns=True), Rule("item_linear", "user", columns=True)),
    # Users and items are nodes of one graph, with one-hot features.
    "GCMC": (
        Rule("GcEncoder.weights_u", "user and item", pick="each"),
        Rule("GcEncoder.weights_v", "user and item", pick="each"),
    ),
    "MultiDAE": _auto_encoder("encoder", "decoder"),
    "MultiVAE": _auto_encoder("encoder", "decoder"),
    "RaCT": _auto_encoder("encoder", "decoder"),
    "CDAE": _auto_encoder("h_item", "out_layer"),
    "MacridVAE": (*_auto_encoder("encoder", None), Rule("k_embedding", "nobody")),
    # prior.encoder_old is a copy of an earlier encoder, which `tables` keeps up to date.
    "RecVAE": _auto_encoder("encoder", "decoder"),
    # The step's embedding is appended to the row of items: more columns than items.
    "DiffRec": _auto_encoder("mlp.mlp_layers", "mlp.mlp_layers"),
    "LDiffRec": _auto_encoder("autoencoder.encoder", "autoencoder.decoder"),
    # The neighbours of a user are items, those of an item are users.
    "NNCF": (Rule("user_neigh_embedding", "item"), Rule("item_neigh_embedding", "user")),
    "FPMC": (
        Rule("UI_emb", "user"),
        Rule("IU_emb", "item"),
        Rule("LI_emb", "item"),
        Rule("IL_emb", "item"),
    ),
    "RepeatNet": (Rule("explore_recommendation_decoder.matrix_for_explore", "item"),),
    "SINE": (Rule("C", "nobody"),),
    "KTUP": (Rule("pref_embedding", "nobody"), Rule("pref_norm_embedding", "nobody")),
    # Made by a base class or left over, and read by no score and no loss of the model.
    "LR": (Rule("token_embedding_table.embedding", "nobody"),),
    "FFM": (Rule("token_embedding_table.embedding", "nobody"),),
    "DIN": (Rule("embedding_layer.token_embedding_table.user.embedding", "nobody"),),
    "NPE": (Rule("embedding_seq_item", "nobody"),),
}


def rules_of(model: nn.Module) -> dict[str, Rule] | None:
    """The entry of a model's class, or of RecBole's class that it derives from, by parameter name; None without."""
    for cls in type(model).__mro__:
        if not cls.__module__.startswith("recbole.model."):
            continue
        if cls.__name__ in RULES:
            return {name: rule for rule in RULES[cls.__name__] for name in rule.parameters(model)}
    return None
