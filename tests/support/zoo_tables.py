"""The tables of every RecBole model with learnable ones: a list written by hand from the models' sources."""

from __future__ import annotations

FIELDS = "token_embedding_table.embedding user {} | token_embedding_table.embedding item@41 {}"
BOTH = "user_embedding user {} | item_embedding item {}"
ITEMS = "item_embedding item {}"
SRC_DST = "item_src_embedding item 8 | item_dst_embedding item 8"
GRAPH_OF_ENTITIES = "user_embedding user 8 | entity_embedding item 8"

#: module, side, `@` first row (users are 41 with padding), `T` where ids are columns, width.
EXPECTED = {
    # context-aware: spans of one matrix for all fields; users come first, items next unless features stand between
    **dict.fromkeys(
        ["AFM", "AutoInt", "DCN", "DCNV2", "DeepFM", "EulerNet", "FiGNN", "FM", "FNN", "FwFM", "KD_DAGFM"],
        FIELDS.format(8, 8),
    ),
    **dict.fromkeys(["NFM", "PNN", "WideDeep", "xDeepFM"], FIELDS.format(8, 8)),
    # DSSM: user_id, age (5), gender (3), occupation (5), then items
    "DSSM": "token_embedding_table.embedding user 8 | token_embedding_table.embedding item@54 8",
    # FFM: a copy for each of 7 fields; a feature is never read from the copy of its own field
    "FFM": " | ".join(
        ["ffm.token_embeddings.0 item@41 8", "ffm.token_embeddings.1 user 8"]
        + [f"ffm.token_embeddings.{k} user 8 | ffm.token_embeddings.{k} item@41 8" for k in range(2, 7)]
    ),
    "LR": "",  # its tables are one number wide; the embedding table of its base class is never read
    # general
    **dict.fromkeys(
        ["BPR", "DGCF", "ENMF", "LightGCN", "NCL", "NGCF", "SGL", "SpectralCF"], BOTH.format(8, 8)
    ),
    "ConvNCF": BOTH.format(16, 16),
    "CDAE": "h_user user 8 | h_item itemT 8 | out_layer item 8",
    "DiffRec": "mlp.mlp_layers.mlp_layers.1 itemT 12 | mlp.mlp_layers.mlp_layers.4 item 12",
    "LDiffRec": "autoencoder.encoder.mlp_layers.1 itemT 16 | autoencoder.decoder.mlp_layers.1 item 8",
    "DMF": "user_linear itemT 64 | item_linear userT 64",
    "FISM": SRC_DST,
    "NAIS": SRC_DST,
    "GCMC": "GcEncoder.weights_u.0 user 12 | GcEncoder.weights_u.0 item@41 12",
    "LINE": "user_embedding user 8 | item_embedding item 8 "
    "| user_context_embedding user 8 | item_context_embedding item 8",
    "MacridVAE": "encoder.0 itemT 16 | item_embedding item 8",
    "MultiDAE": "encoder.mlp_layers.1 itemT 16 | decoder.2 item 16",
    "MultiVAE": "encoder.0 itemT 16 | decoder.2 item 16",
    "RaCT": "encoder.0 itemT 16 | decoder.2 item 16",
    "RecVAE": "encoder.fc1 itemT 16 | decoder item 8",
    "NeuMF": "user_mf_embedding user 8 | item_mf_embedding item 8 "
    "| user_mlp_embedding user 8 | item_mlp_embedding item 8",
    "NNCF": "user_embedding user 8 | item_embedding item 8 "
    "| user_neigh_embedding item 8 | item_neigh_embedding user 8",
    "SimpleX": "user_emb user 8 | item_emb item 8",
    # knowledge-aware: the first entities are the items
    **dict.fromkeys(["CFKG", "KGAT", "KGCN", "KGIN", "KGNNLS", "MCCLK"], GRAPH_OF_ENTITIES),
    **dict.fromkeys(["CKE", "KTUP"], BOTH.format(8, 8) + " | entity_embedding item 8"),
    "MKR": "user_embeddings_lookup user 8 | item_embeddings_lookup item 8 | entity_embeddings_lookup item 8",
    "RippleNet": "entity_embedding item 8",
    # sequential
    **dict.fromkeys(
        ["BERT4Rec", "CORE", "FDSA", "FEARec", "GCSAN", "GRU4Rec", "GRU4RecCPR", "GRU4RecF", "LightSANs"],
        ITEMS.format(8),
    ),
    **dict.fromkeys(["NARM", "NextItNet", "S3Rec", "SASRec", "SASRecCPR", "SASRecF"], ITEMS.format(8)),
    **dict.fromkeys(["SINE", "SRGNN", "STAMP"], ITEMS.format(8)),
    **dict.fromkeys(["Caser", "HRM", "NPE", "SHAN", "TransRec"], BOTH.format(8, 8)),
    "FOSSIL": "item_embedding item 8 | user_lambda user 3",
    "HGN": BOTH.format(8, 8) + " | item_embedding_for_prediction item 8",
    "DIEN": "embedding_layer.token_embedding_table.user.embedding user 8 "
    "| embedding_layer.token_embedding_table.item.embedding item 8",
    "DIN": "embedding_layer.token_embedding_table.item.embedding item 8",  # features of users are never read
    "FPMC": "UI_emb user 8 | IU_emb item 8 | LI_emb item 8 | IL_emb item 8",
    **dict.fromkeys(["GRU4RecKG", "KSR"], "item_embedding item 8 | entity_embedding item 8"),
    "RepeatNet": "item_matrix item 8 | explore_recommendation_decoder.matrix_for_explore item 16",
}

#: Models whose loss for a user also moves rows of other users: they propagate over a graph, penalise whole tables,
#: or draw users as negatives.
OTHER_USERS = {
    *("LightGCN", "NGCF", "DGCF", "NCL", "SGL", "SpectralCF", "GCMC", "KGAT", "KGIN", "MCCLK"),
    *("ConvNCF", "Caser", "CDAE", "LINE"),
}
#: Models whose loss moves rows of items that the rows are not about: these too, and all that score every item.
OTHER_ITEMS = {
    *("LightGCN", "NGCF", "DGCF", "NCL", "SGL", "SpectralCF", "GCMC", "KGAT", "KGIN", "MCCLK"),
    *("KGCN", "KGNNLS", "RippleNet", "ConvNCF", "FISM", "NAIS", "CDAE", "DiffRec", "LDiffRec"),
    *("MacridVAE", "MultiDAE", "MultiVAE", "RaCT", "RecVAE", "ENMF"),
    *("BERT4Rec", "Caser", "CORE", "FDSA", "FEARec", "FOSSIL", "GCSAN", "GRU4Rec", "GRU4RecCPR", "GRU4RecF"),
    *("GRU4RecKG", "HGN", "HRM", "KSR", "LightSANs", "NARM", "NextItNet", "NPE", "RepeatNet", "S3Rec"),
    *("SASRec", "SASRecCPR", "SASRecF", "SHAN", "SINE", "SRGNN", "STAMP"),
}
