"use strict";
// Sorting, filtering, columns and theme; the state is in the address. Without this script every page shows everything.
(() => {
  const root = document.documentElement;
  root.classList.add("on");

  const kept = {
    get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem("theme", theme); } catch { /* a private window */ } },
  };
  if (kept.get()) root.dataset.theme = kept.get();
  document.querySelector(".theme")?.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    kept.set(root.dataset.theme);
  });

  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  let state = new URLSearchParams(location.hash.slice(1));
  const put = (key, value) => {
    if (value) state.set(key, value); else state.delete(key);
    history.replaceState(null, "", `#${state}`);
  };

  // Tables

  const tables = all("table[data-table]");
  const filters = all("[data-filter]");
  const place = (table, key) => all("thead tr:first-child th", table).findIndex((head) => head.dataset.key === key);
  const body = (table) => [...table.tBodies[0].rows];

  const sort = (table, key, way) => {
    const at = place(table, key);
    if (at < 0) return;
    const sign = way === "desc" ? -1 : 1;
    const value = (row) => {
      const cell = row.cells[at], drawn = cell.tagName === "TD" && cell.firstElementChild?.matches("i, svg, sup");
      const text = cell.dataset.v ?? (drawn ? cell.firstChild.nodeValue ?? "" : cell.textContent).trim().replaceAll(",", "");
      return text === "" ? null : isNaN(text) ? text.toLowerCase() : Number(text);
    };
    const compare = (a, b) => {
      if (a === b) return 0;
      if (a === null || b === null) return a === null ? 1 : -1;  // what has no value comes last, whichever the way
      const order = typeof a === typeof b ? (a < b ? -1 : 1) : typeof a === "number" ? -1 : 1;
      return sign * order;
    };
    const rows = body(table).map((row) => [value(row), row]);
    rows.sort((a, b) => compare(a[0], b[0]));
    table.tBodies[0].append(...rows.map(([, row]) => row));
    all("thead tr:first-child th", table).forEach((head, i) => {
      if (i === at) head.setAttribute("aria-sort", way === "desc" ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  };

  const filter = () => {
    const wanted = Object.fromEntries(filters.map((one) => [one.dataset.filter, one.type === "checkbox" ? one.checked : one.value]));
    let shown = 0, of = 0;
    for (const table of tables) {
      const columns = ["recipe", "family", "kind", "source"].map((key) => [place(table, key), wanted[key]]).filter(([at, text]) => at >= 0 && text);
      const name = place(table, "name"), text = (wanted.q ?? "").toLowerCase();
      for (const row of body(table)) {
        const fits = columns.every(([at, value]) => row.cells[at].textContent === value)
          && (!text || row.cells[name].textContent.toLowerCase().includes(text))
          && (wanted.people !== false || ["human", "simulated"].includes(wanted.kind) || text || !row.classList.contains("person"));
        const reference = row.classList.contains("reference");
        row.hidden = !fits && !(reference && row.cells[name].querySelector("a") === null);
        of += 1;
        shown += !row.hidden;
      }
    }
    for (const count of all("[data-count]")) count.textContent = `${shown} of ${of} rows`;
  };

  const columns = (table) => {
    for (const box of all("[data-column]")) {
      const at = place(table, box.dataset.column);
      if (at >= 0) for (const row of table.rows) row.cells[at]?.classList.toggle("off", !box.checked);
    }
  };

  for (const table of tables) {
    for (const head of all("thead tr:first-child th[data-key]", table)) {
      const button = document.createElement("button"), link = head.querySelector("a");
      button.type = "button";
      if (link) {
        button.setAttribute("aria-label", `sort by ${link.textContent}`);
        link.after(button);
      } else {
        button.append(head.firstChild);
        head.prepend(button);
      }
      button.addEventListener("click", () => {
        const first = head.dataset.way ?? "asc", other = first === "asc" ? "desc" : "asc";
        const now = { ascending: "asc", descending: "desc" }[head.getAttribute("aria-sort")];
        const way = now === first ? other : first;
        sort(table, head.dataset.key, way);
        put(`sort-${table.dataset.table}`, `${head.dataset.key}.${way}`);
      });
    }
  }
  for (const one of filters) {
    one.addEventListener("input", () => {
      put(one.dataset.filter, one.type === "checkbox" ? (one.checked ? "1" : "") : one.value);
      filter();
    });
  }
  const boxes = all("[data-column]");
  if (innerWidth < 700) for (const box of boxes) if (["recipe", "parameters", "paper"].includes(box.dataset.column)) box.checked = false;
  const usual = new Map(boxes.map((box) => [box, box.checked]));
  for (const box of boxes) {
    box.addEventListener("change", () => {
      for (const twin of boxes) if (twin.dataset.column === box.dataset.column) twin.checked = box.checked;
      const changed = new Set(boxes.filter((one) => one.checked !== usual.get(one)).map((one) => one.dataset.column));
      put("columns", [...changed].join(" "));
      tables.forEach(columns);
    });
  }
  document.querySelector("form.filters")?.addEventListener("submit", (event) => event.preventDefault());
  document.querySelector("[data-reset]")?.addEventListener("click", () => {
    state = new URLSearchParams();
    put("", "");
    restore();
  });

  // Stimuli: everybody's answers to an image

  const held = document.getElementById("answers");
  if (held) {
    const answers = JSON.parse(held.textContent), dialog = document.getElementById("answer"), inside = dialog.querySelector("div");
    const make = (tag, text, name) => Object.assign(document.createElement(tag), { textContent: text, className: name ?? "" });
    const show = (at, title) => {
      const right = answers.category[at];
      inside.replaceChildren(make("h2", `${title}: ${right}`));
      for (const group of answers.groups) {
        const list = document.createElement("ul");
        answers.codes[at].forEach((code, i) => {
          const observer = answers.observers[i];
          if (code < 0 || group !== observer.group) return;
          const item = document.createElement("li"), link = make("a", observer.name), word = answers.words[code];
          link.href = `../observers/${observer.page}.html`;
          item.append(link, make("span", ` ${word}${word === right ? " \u2713" : ""}`, word === right ? "rightly" : "wrong"));
          list.append(item);
        });
        if (list.children.length) inside.append(make("h3", `${group} (${list.children.length})`), list);
      }
      dialog.showModal();
    };
    for (const cell of all("[data-image]")) {
      const button = make("button", cell.textContent);
      button.type = "button";
      button.addEventListener("click", () => show(Number(cell.dataset.image), button.textContent));
      cell.replaceChildren(button);
    }
  }
  for (const button of all("button[data-sort]")) {
    button.addEventListener("click", () => {
      const [key, way] = button.dataset.sort.split(".");
      sort(tables[0], key, way);
      put(`sort-${tables[0].dataset.table}`, button.dataset.sort);
    });
  }

  const restore = () => {
    for (const one of filters) {
      const value = state.get(one.dataset.filter) ?? "";
      if (one.type === "checkbox") one.checked = value === "1"; else one.value = value;
    }
    const changed = new Set((state.get("columns") ?? "").split(" "));
    for (const box of boxes) box.checked = usual.get(box) !== changed.has(box.dataset.column);
    for (const table of tables) {
      const wanted = state.get(`sort-${table.dataset.table}`) ?? table.dataset.start ?? "place.asc", dot = wanted.lastIndexOf(".");
      sort(table, wanted.slice(0, dot), wanted.slice(dot + 1));
      columns(table);
    }
    if (tables.length && filters.length) filter();
  };
  addEventListener("hashchange", () => {
    state = new URLSearchParams(location.hash.slice(1));
    restore();
  });
  if (tables.length) restore();
})();
