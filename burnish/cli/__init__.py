"""The command line: `burnish VERB`.  One module a verb; heavy libraries are imported inside the verbs."""
