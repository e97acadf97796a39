"""What may stand in a header. What http.client raises where it may not quotes it, and a traceback shows that to all."""


class UnusableError(ValueError):
    """What the client was given cannot be used; says what can, and quotes no secret."""


def printable(secret: str, name: str) -> str:
    """Without what a shell or a file leaves around it. Raises UnusableError where no header can hold the rest."""
    secret = secret.strip()
    if not (secret.isascii() and secret.isprintable()):
        raise UnusableError(f"{name} holds a line break or another character that none has: copy it anew")
    return secret
