"""Pictures for reports, as PNG."""

from base64 import b64encode
from io import BytesIO

INCHES, DOTS = (8, 3.5), 110


def bars(title: str, unit: str, counts: dict[str, int]) -> bytes:
    """A bar for each count, on a logarithmic scale, with the count above it."""
    from matplotlib.figure import Figure  # half a second of import that other tasks do not pay

    figure = Figure(figsize=INCHES, dpi=DOTS, layout="constrained")
    axes = figure.subplots()
    drawn = axes.bar(range(len(counts)), list(counts.values()), color="#4c72b0")
    axes.bar_label(drawn, [f"{count:,}" if count else "" for count in counts.values()], fontsize=8)
    axes.set_xticks(range(len(counts)), list(counts), rotation=30, ha="right", fontsize=8)
    axes.set(title=title, ylabel=unit, yscale="symlog", ylim=(0, 3 * max(counts.values(), default=1) + 1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(written := BytesIO(), format="png", metadata={"Software": None})
    return written.getvalue()


def as_uri(png: bytes) -> str:
    """A picture as a URI that holds it, so that nothing has to serve it."""
    return f"data:image/png;base64,{b64encode(png).decode()}"
