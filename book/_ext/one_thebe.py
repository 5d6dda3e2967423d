"""Drop exact duplicates of inline scripts: the theme adds one twice, which is an error in every page's console."""


def _once(app, pagename, templatename, context, doctree):
    seen, kept = set(), []
    for script in context.get("script_files", []):
        body = getattr(script, "attributes", {}).get("body")
        if body is None or body not in seen:
            kept.append(script)
        seen.add(body)
    context["script_files"] = kept


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", _once, priority=900)
    return {"parallel_read_safe": True}
