"""Tables of RecBole's own models that neither a name nor a shape tells: one entry a class, from its source.

Everything else is read by the general rules of `find`.  See docs/backbones.md for the same list in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

Holds = Literal["user", "item", "user and item", "nobody"]


@dataclass(frozen=True)
class TableRule:
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


def _auto_encoder(encoder: str, decoder: str | None) -> tuple[TableRule, ...]:
    """One-hot or multi-hot items in, scores of items out."""
    into = TableRule(encoder, "item", columns=True, pick="first")
    return (into, TableRule(decoder, "item", pick="last")) if decoder else (into,)


#: By class name.  A model with an entry has all its Linear layers decided by it.
RULES: dict[str, tuple[TableRule, ...]] = {
    # A user is the row of items that they know, an item the column of users who know it.
    "DMF": (TableRule("user_linear", "item", columns=True), TableRule("item_linear", "user", columns=True)),
    # Users and items are nodes of one graph, with one-hot features.
    "GCMC": (
        TableRule("GcEncoder.weights_u", "user and item", pick="each"),
        TableRule("GcEncoder.weights_v", "user and item", pick="each"),
    ),
    "MultiDAE": _auto_encoder("encoder", "decoder"),
    "MultiVAE": _auto_encoder("encoder", "decoder"),
    "RaCT": _auto_encoder("encoder", "decoder"),
    "CDAE": _auto_encoder("h_item", "out_layer"),
    "MacridVAE": (*_auto_encoder("encoder", None), TableRule("k_embedding", "nobody")),
    # prior.encoder_old is a copy of an earlier encoder, which `tables` keeps up to date.
    "RecVAE": _auto_encoder("encoder", "decoder"),
    # The step's embedding is appended to the row of items: more columns than items.
    "DiffRec": _auto_encoder("mlp.mlp_layers", "mlp.mlp_layers"),
    "LDiffRec": _auto_encoder("autoencoder.encoder", "autoencoder.decoder"),
    # The neighbours of a user are items, those of an item are users.
    "NNCF": (TableRule("user_neigh_embedding", "item"), TableRule("item_neigh_embedding", "user")),
    "FPMC": (
        TableRule("UI_emb", "user"),
        TableRule("IU_emb", "item"),
        TableRule("LI_emb", "item"),
        TableRule("IL_emb", "item"),
    ),
    "RepeatNet": (TableRule("explore_recommendation_decoder.matrix_for_explore", "item"),),
    "SINE": (TableRule("C", "nobody"),),
    "KTUP": (TableRule("pref_embedding", "nobody"), TableRule("pref_norm_embedding", "nobody")),
    # Made by a base class or left over, and read by no score and no loss of the model.
    "LR": (TableRule("token_embedding_table.embedding", "nobody"),),
    "FFM": (TableRule("token_embedding_table.embedding", "nobody"),),
    "DIN": (TableRule("embedding_layer.token_embedding_table.user.embedding", "nobody"),),
    "NPE": (TableRule("embedding_seq_item", "nobody"),),
}


def rules_of(model: nn.Module) -> dict[str, TableRule] | None:
    """The entry of a model's class, or of RecBole's class that it derives from, by parameter name; None without."""
    for cls in type(model).__mro__:
        if not cls.__module__.startswith("recbole.model."):
            continue
        if cls.__name__ in RULES:
            return {name: rule for rule in RULES[cls.__name__] for name in rule.parameters(model)}
    return None
