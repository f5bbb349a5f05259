"""Every check on many backbones, and the page that reports it: for maintainers, and so not in the wheel."""
