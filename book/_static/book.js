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

// A figure on real data beside its twin on signals: where there is no room for both, tabs.
document.addEventListener("DOMContentLoaded", () => {
  const names = {signals: "MNIST-1D", images: "Real data"};
  document.querySelectorAll(".twins").forEach((twins, number) => {
    const panes = [...twins.querySelectorAll(":scope > .pane")], list = document.createElement("div");
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", "data");
    const tabs = panes.map((pane, i) => {
      const tab = list.appendChild(document.createElement("button"));
      tab.type = "button";
      tab.textContent = names[[...pane.classList].find(name => name in names)];
      tab.id = `twin-${number}-${i}`;
      pane.id ||= `pane-${number}-${i}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", pane.id);
      pane.setAttribute("role", "tabpanel");
      pane.setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", () => choose(i));
      tab.addEventListener("keydown", event => {
        const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (step) { const next = (i + step + panes.length) % panes.length; choose(next); tabs[next].focus(); }
      });
      return tab;
    });
    const choose = chosen => panes.forEach((pane, i) => {
      pane.classList.toggle("chosen", i === chosen);
      tabs[i].setAttribute("aria-selected", i === chosen);
      tabs[i].tabIndex = i === chosen ? 0 : -1;
    });
    twins.prepend(list);
    twins.classList.add("tabbed");
    twins.showPane = pane => choose(panes.indexOf(pane));
    choose(0);
  });
  const open = () => {  // what an address leads to is shown, wherever it is folded away
    const there = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!there) return;
    const pane = there.closest(".pane");
    if (pane) pane.parentElement.showPane(pane);
    for (let e = there.closest("details"); e; e = e.parentElement.closest("details")) e.open = true;
    there.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
  if (matchMedia("(max-width: 700px)").matches)  // on a phone a card says its verdicts, and opens to their intervals
    for (const details of document.querySelectorAll(".claim details[open]")) details.open = false;
});
