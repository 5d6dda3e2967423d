// Opened as a file, a page may not fetch others: the search then lists pages without excerpts of their text.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Choosing among the cards of claims; the page's address keeps the choice.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector(".choose-claims");
  if (!form) return;
  const claims = [...document.querySelectorAll(".claim[data-group]")], kept = new URLSearchParams(location.search);
  for (const select of form.elements) if (kept.has(select.name)) select.value = kept.get(select.name);
  const show = () => {
    const [verdict, where, chapter] = ["verdict", "where", "chapter"].map(name => form.elements[name].value);
    for (const claim of claims) {
      const stands = claim.dataset.stands.split(" ").map(one => one.split("="));
      claim.hidden = (chapter && claim.dataset.group !== chapter)
        || !stands.some(([data, found]) => (!where || data === where) && (!verdict || found === verdict));
    }
    form.querySelector("output").textContent = `${claims.filter(claim => !claim.hidden).length} of ${claims.length} claims`;
  };
  form.addEventListener("change", () => {
    show();
    const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", `${location.pathname}${chosen.size ? `?${chosen}` : ""}${location.hash}`);
  });
  show();
});
