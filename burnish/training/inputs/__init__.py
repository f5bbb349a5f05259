"""One check before training, for every input: options, atomic files, and whether they suit model and data.

`options.py` checks the values that were given, before RecBole's config touches them; `heads.py` what the first lines of
the files say, and `needs.py` whether a model finds in them what it reads; `cells.py` watches the files being read, and
`journal.py` counts what RecBole's filters drop and says it in one line.
"""
