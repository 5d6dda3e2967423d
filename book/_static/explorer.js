// The explorer: choices, chart, table and record of what kdlib/explorer.py wrote beside this script.
(() => {
  const data = window.kdlibExplorer, root = document.querySelector(".explorer");
  if (!data || !root) return;
  const one = (selector, inside = root) => inside.querySelector(selector), form = one("form");
  const METRIC = Object.fromEntries(data.metrics.map((name, i) => [name, i + 4])), PAGE = 25;
  const settings = data.conditions.map(other => Object.fromEntries(Object.entries({...data.usual, ...other}).filter(([, v]) => v !== null)));
  const runs = data.runs.map(row => ({fields: settings[row[0]], file: data.files[row[1]], trial: row[2], key: row[3], row}));
  const value = (run, name) => run.row[METRIC[name]] * (data.shares.includes(name) ? 100 : 1) / data.parts;
  const told = (run, name) => data.shares.includes(name) ? `${value(run, name).toFixed(1)} %` : value(run, name).toFixed(3);
  const words = name => data.words[name] || name.replaceAll("_", " ");
  const kept = new URLSearchParams(location.search), names = Object.keys(data.choices);
  let shown = runs, selected = runs.find(run => run.key === (data.twins[kept.get("run")] ?? kept.get("run"))), first = 0, order = ["", 1], unfolded = false, drawn;

  // Elements are made, never parsed from text.
  const make = (tag, text = "", more = {}) => Object.assign(document.createElement(tag), {textContent: text}, more);

  for (const part of document.querySelectorAll(".explorer .live, .surfaces .live")) part.hidden = false;
  one(".still").classList.add("replaced");
  for (const name of names) {
    const values = [...new Set(settings.map(fields => fields[name]))];
    values.sort((a, b) => typeof a === "number" ? a - b : String(a).localeCompare(b));
    for (const v of values) form.elements[name].append(new Option(name === "amount" ? `× ${v}` : v, v));
  }
  for (const field of form.elements) if (field.name && kept.has(field.name)) {
    if ([...field.options].some(option => option.value === kept.get(field.name))) field.value = kept.get(field.name);
  }

  const keep = () => {
    const chosen = new URLSearchParams([...new FormData(form)].filter(([name, v]) => v && !(name === "view" && v === "agreement")));
    if (selected) chosen.set("run", selected.key);
    history.replaceState(null, "", `${location.pathname}${chosen.size ? `?${chosen}` : ""}${location.hash}`);
  };

  // The theme's own colours, whichever it is.
  const theme = () => {
    const style = getComputedStyle(document.documentElement);
    const text = style.getPropertyValue("--pst-color-text-base").trim() || "#222", grid = style.getPropertyValue("--pst-color-border").trim() || "#ddd";
    const label = {labelColor: text, titleColor: text, labelFontSize: 12, titleFontSize: 13};
    return {axis: {...label, gridColor: grid, domainColor: text, tickColor: text}, legend: label, view: {stroke: null}, font: "inherit"};
  };
  const embed = (element, spec, datasets) => vegaEmbed(element, {...spec, datasets}, {
    actions: false, renderer: "canvas", config: theme(), tooltip: {theme: document.documentElement.dataset.theme}});

  const chart = one(".chart");
  let latest = 0;
  const draw = async () => {
    const turn = ++latest, view = data.views[form.elements.view.value];
    const point = run => ({x: value(run, view.x), y: value(run, view.y), m: data.marks.includes(String(run.fields.m)) ? String(run.fields.m) : "other",
      words: `${run.key}: ${run.fields.data}, m = ${run.fields.m}, ${told(run, view.x)} / ${told(run, view.y)}`});
    const points = shown.map(point), all = points.flatMap(p => [p.x, p.y]);
    const lowest = Math.max(Math.min(...points.map(p => p.x)), Math.min(...points.map(p => p.y)));
    const highest = Math.min(Math.max(...points.map(p => p.x)), Math.max(...points.map(p => p.y)));
    const ends = view.diagonal && all.length && highest > lowest ? [lowest, highest].map(v => ({x: v, y: v})) : [];
    const made = await embed(chart, view.spec, {runs: points, diagonal: ends, selected: selected ? [point(selected)] : []});
    if (turn !== latest) return made.finalize();
    drawn?.finalize();
    drawn = made;
    chart.setAttribute("aria-label", `${view.title}, of ${shown.length} runs; the table below has their numbers`);
    one(".diagonal").textContent = view.diagonal ? `On the dashed diagonal ${view.diagonal}. A click or a touch selects the nearest run.` : "A click or a touch selects the nearest run.";
    made.view.addEventListener("click", event => {  // a finger is wider than a point
      const box = chart.querySelector("canvas").getBoundingClientRect(), [left, top] = made.view.origin();
      const x = made.view.scale("x"), y = made.view.scale("y");
      const far = points.map(p => Math.hypot(x(p.x) + left - event.clientX + box.left, y(p.y) + top - event.clientY + box.top));
      const nearest = far.indexOf(Math.min(...far));
      if (far[nearest] < 24) {
        select(shown[nearest]);
        toRecord();
      }
    });
    chart.dataset.drawn = shown.length;
  };

  const COLUMNS = {run: run => run.key, ...Object.fromEntries(names.map(name => [name, run => run.fields[name]])),
    trial: run => run.trial, agreement: run => value(run, "agreement"), "unseen_agreement": run => value(run, "unseen_agreement"),
    specific: run => value(run, "agreement") - value(run, "unseen_agreement"), accuracy: run => value(run, "accuracy"),
    kl: run => value(run, "kl"), ece: run => value(run, "ece")};
  const HEADS = {agreement: "own (%)", unseen_agreement: "unseen (%)", specific: "own − unseen", accuracy: "accuracy (%)", kl: "KL (nats)", ece: "ECE (%)",
    amount: "data ×"};
  const table = one("table"), pages = one(".pages");
  const inOrder = () => {
    const [by, way] = order, cell = COLUMNS[by];
    const compare = (a, b) => typeof a === "number" ? a - b : String(a).localeCompare(b);
    return cell ? [...shown].sort((a, b) => way * compare(cell(a), cell(b))) : shown;
  };
  const list = () => {
    const [by, way] = order, rows = inOrder();
    first = Math.max(0, Math.min(first, Math.floor((rows.length - 1) / PAGE) * PAGE));
    const head = make("tr"), body = make("tbody");
    for (const name of Object.keys(COLUMNS)) {
      const th = make("th", "", {scope: "col"}), button = make("button", HEADS[name] || words(name), {type: "button"});
      if (by === name) th.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      button.dataset.sort = name;
      th.append(button);
      head.append(th);
    }
    for (const run of rows.slice(first, first + PAGE)) {
      const tr = make("tr", "", {className: run === selected ? "chosen" : ""});
      for (const [name, read] of Object.entries(COLUMNS)) {
        const v = read(run), td = make(name === "run" ? "th" : "td");
        if (name === "run") {
          const button = make("button", v, {type: "button"});
          button.dataset.run = v;
          button.setAttribute("aria-pressed", run === selected);
          td.scope = "row";
          td.append(button);
        } else td.textContent = name in METRIC || name === "specific" ? v.toFixed(name === "kl" ? 3 : 1) : v;
        tr.append(td);
      }
      body.append(tr);
    }
    const top = make("thead");
    top.append(head);
    table.replaceChildren(top, body);
    const last = Math.min(first + PAGE, rows.length);
    one("span", pages).textContent = rows.length ? `rows ${first + 1} to ${last} of ${rows.length}` : "no run has all of this: choose less";
    one("[name=before]", pages).disabled = first === 0;
    one("[name=after]", pages).disabled = last >= rows.length;
  };

  const record = () => {
    const place = one(".selected");
    place.replaceChildren();
    if (!selected) return place.append(make("p", "Select a point, or a run of the table, for its record and its command."));
    const command = make("pre", `kdlib audit --key ${selected.key}`, {tabIndex: 0}), numbers = make("dl"), spec = make("dl"), all = make("details");
    const add = (list, name, v) => {
      const both = make("div");
      both.append(make("dt", words(name)), make("dd", v));
      list.append(both);
    };
    for (const name of data.metrics) add(numbers, name, told(selected, name));
    for (const [name, v] of [["trial", selected.trial], ...Object.entries(selected.fields)]) add(spec, name, v);
    all.append(make("summary", "its setting, whole"), spec);
    all.open = unfolded;
    all.addEventListener("toggle", () => { unfolded = all.open; });
    const again = make("p", "Trained again, with all that it needs, and compared:"), file = make("p");
    file.append("Its record, whole: ", make("code", `kdlib runs ${selected.key} --recorded`), `, a line of ${selected.file}`);
    const copy = make("button", "copy", {type: "button", onclick: () => navigator.clipboard.writeText(command.textContent)});
    place.append(make("h2", `Run ${selected.key}`), numbers, again, command, ...(navigator.clipboard ? [copy] : []), file, all);
  };

  const toRecord = () => one(".selected").scrollIntoView({block: "nearest"});  // which may be a screen below
  const select = run => {
    selected = run === selected ? undefined : run;
    const focused = document.activeElement?.dataset.run;
    if (selected) first = Math.floor(inOrder().indexOf(selected) / PAGE) * PAGE;
    record(), list(), keep();
    if (focused) one(`[data-run="${focused}"]`, table)?.focus();
    draw();
  };
  const show = () => {
    const chosen = names.filter(name => form.elements[name].value !== "");
    shown = runs.filter(run => chosen.every(name => String(run.fields[name]) === form.elements[name].value));
    if (selected && !shown.includes(selected)) selected = undefined;
    one("output", form).textContent = `${shown.length} of ${runs.length} students`;
    first = selected ? Math.floor(inOrder().indexOf(selected) / PAGE) * PAGE : 0;
    record(), list();
    return draw();
  };
  form.addEventListener("change", () => { show(); keep(); });
  form.addEventListener("reset", () => setTimeout(() => { show(); keep(); }));
  form.addEventListener("submit", event => event.preventDefault());
  table.addEventListener("click", event => {
    const button = event.target.closest("button");
    if (button?.dataset.run) select(runs.find(run => run.key === button.dataset.run));
    else if (button) {
      order = [button.dataset.sort, order[0] === button.dataset.sort ? -order[1] : 1];
      first = 0;
      list();
      one(`[data-sort="${order[0]}"]`, table).focus();
    }
  });
  pages.addEventListener("click", event => {
    first += {before: -PAGE, after: PAGE}[event.target.name] || 0;
    list();
  });
  show().then(() => selected && toRecord());  // an address that names a run

  // The loss surfaces.
  const place = document.querySelector(".surfaces"), slider = place && one("form", place);
  const titles = [...new Set(data.surfaces.map(s => s.of))];
  const cells = plane => {
    const edge = (axis, i) => i < 0 ? axis[0] - (axis[1] - axis[0]) / 2 : i >= axis.length - 1 ? axis.at(-1) + (axis[1] - axis[0]) / 2 : (axis[i] + axis[i + 1]) / 2;
    const more = (plane.x[1] - plane.x[0]) / 25;  // a little over the next one, or the ground shows between them
    return plane.loss.flatMap((row, j) => row.map((loss, i) => ({x: edge(plane.x, i - 1), x2: edge(plane.x, i) + more,
      y: edge(plane.y, j - 1) - more, y2: edge(plane.y, j), loss: Math.max(loss, 0.01)})));
  };
  let surface, segment, still = Promise.resolve();
  const surfaces = async () => {
    const fields = slider.elements, of = data.surfaces.filter(s => s.of === fields.of.value);
    const mine = of.filter(s => String(s.trial) === fields.trial.value), lambdas = mine.map(s => s.lambda);
    const at = mine[+fields.at.value];
    fields.at.setAttribute("aria-valuetext", `λ = ${at.lambda}`);
    one("output", slider).textContent = `λ = ${at.lambda}: barrier ${at.barrier} nats`;
    const highest = Math.max(...mine.flatMap(s => s.plane ? s.plane.loss.flat() : []));
    const plane = one(".plane", place), line = one(".segment", place);
    plane.hidden = !at.plane;
    one(".told", place).textContent = at.plane ? "" : "The plane was measured at " + mine.filter(s => s.plane).map(s => `λ = ${s.lambda}`).join(", ") + " only.";
    one(".from", place).replaceChildren(`Thick: trial ${at.trial}; thin: the others. Surface `, make("code", at.key), " of student ", make("code", at.student), ": ",
      make("code", `kdlib audit --key ${at.key}`));
    if (at.plane) {
      surface?.finalize();
      const spec = structuredClone(data.surface);
      spec.layer[0].encoding.color.scale.domain = [0.01, highest];
      const named = ["teacher", "start", "end"].map((name, i) => ({name, x: at.plane.points[i][0], y: at.plane.points[i][1]}));
      surface = await embed(plane, spec, {plane: cells(at.plane), points: named});
      plane.setAttribute("aria-label", `The loss on the plane of teacher, start and end at λ = ${at.lambda}, trial ${at.trial}`);
    }
    const rows = of.filter(s => s.lambda === at.lambda).flatMap(s => s.segment.map((loss, i) => ({t: i / (s.segment.length - 1), loss, trial: s.trial, shown: s === at})));
    segment?.finalize();
    segment = await embed(line, data.segment, {segments: rows});
    line.setAttribute("aria-label", `The loss on the segment from student to teacher at λ = ${at.lambda}: barrier ${at.barrier} nats`);
  };
  const trials = () => {
    const mine = data.surfaces.filter(s => s.of === slider.elements.of.value);
    slider.elements.trial.replaceChildren(...[...new Set(mine.map(s => s.trial))].map(t => new Option(t, t)));
    slider.elements.at.max = new Set(mine.map(s => s.lambda)).size - 1;
  };
  if (slider && titles.length) {
    slider.elements.of.append(...titles.map(t => new Option(t, t)));
    slider.elements.at.value = 0;
    trials();
    still = surfaces();
    slider.addEventListener("input", event => {
      if (event.target.name === "of") trials();
      still = still.then(surfaces);
    });
  }

  new MutationObserver(() => {
    draw();
    if (slider && titles.length) still = still.then(surfaces);
  }).observe(document.documentElement, {attributes: true, attributeFilter: ["data-theme"]});
})();
