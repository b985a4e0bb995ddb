"""What is taken where nobody chose: known here to every room, so that a command need not load a model to name it in its help."""

#: The shipped model that draws the heart. heart-v2 since it was held against CTs of other hospitals that it had not seen (its card).
DEFAULT_MODEL = "heart-v2"
