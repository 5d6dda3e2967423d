// Opened as a file, a page may not fetch others: the search then lists pages without excerpts of their text.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
