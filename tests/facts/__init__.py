"""Facts of whole plans that are known by construction: however they are told, they agree with it and with each other."""
