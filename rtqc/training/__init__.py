"""Learning a heart model from plans with a contoured heart and from synthetic patients; the only room that knows torch.

``python -m rtqc.training DATA --work DIR --out DIR`` makes the shipped model and its card.
"""
