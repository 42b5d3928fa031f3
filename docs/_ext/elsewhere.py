"""Links to the documentation of other packages, made from the name alone, without a network."""

from docutils import nodes

PAGES = {
    "matplotlib": "https://matplotlib.org/stable/api/_as_gen/{name}.html",
    "numpy": "https://numpy.org/doc/stable/reference/generated/{name}.html",
    "pandas": "https://pandas.pydata.org/docs/reference/api/{name}.html",
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{name}.html",
    "torch": "https://docs.pytorch.org/docs/stable/generated/{name}.html",
}


def resolve(app, env, node, contnode):
    """Give a link to what another package documents; None for everything else."""
    name = node.get("reftarget", "")
    page = PAGES.get(name.partition(".")[0])
    if node.get("refdomain") != "py" or page is None:
        return None
    return nodes.reference("", "", contnode, internal=False, refuri=page.format(name=name))


def is_foreign(app, what, name, obj, skip, options):
    """Leave out methods that are inherited from other packages, torch.nn.Module's for instance."""
    inner = getattr(obj, "fget", None) or getattr(obj, "__func__", obj)
    module = getattr(inner, "__module__", None) or ""
    if what != "module" and not module.startswith("sklearn_emma"):
        return True
    return skip


def setup(app):
    """Register with Sphinx."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-skip-member", is_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
