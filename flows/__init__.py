"""The order of things: which step follows which. Each flow reads like a sentence."""
