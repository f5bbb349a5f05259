"""How good predicted ratings, and the rankings by them, are: protocols, floors, paired comparisons, a study.

`python -m burnish.benchmarks.reviews PLAN.yaml` trains and compares models; `protocols.py` has the rankings,
`error_tables.py` the errors of ratings, `floors.py` what costs no model, and `paired.py` the intervals.
"""
