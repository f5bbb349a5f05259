"""Frequent English words that simplemma 2.0's dictionary gives an unusable lemma, such as `playe` for playing.

Found by looking through its lemmas of MiniLM's vocabulary (30,522 entries) that are not words of that vocabulary, and
of the 2,500 most frequent words of the Amazon reviews of musical instruments.
"""

from __future__ import annotations

#: Form to lemma.
CORRECTIONS = {
    form: lemma
    for lemma, forms in {
        "annex": "annexed",
        "attach": "attaches",
        "calf": "calves",
        "cancel": "cancelled cancelling",
        "cm": "cm",
        "craft": "crafted",
        "deposit": "deposited",
        "determine": "determining",
        "develop": "developed",
        "drench": "drenched",
        "fix": "fixed fixing",
        "go": "gone",
        "greed": "greed",
        "grow": "growing",
        "guard": "guarded guarding",
        "half": "halves",
        "label": "labelled labelling",
        "lens": "lenses",
        "long": "longed",
        "mix": "mixed mixes mixing",
        "model": "modelled modelling",
        "panic": "panicked panicking",
        "play": "playing",
        "prefer": "preferred preferring",
        "reed": "reed",
        "rugged": "rugged",
        "shelf": "shelves",
        "signal": "signalled signalling",
        "sing": "singing",
        "smooth": "smoothed smoothing",
        "swear": "swearing swore",
        "swing": "swinging",
        "thank": "thanked thanking",
        "thief": "thieves",
        "think": "thinking",
        "travel": "travelling",
        "unfold": "unfolded",
        "wife": "wives",
        "wing": "winged",
    }.items()
    for form in forms.split()
}
