  // -- tables that the reader sorts, searches, narrows and copies ---------------------------------------------------------

  function board(controls) {
    const id = controls.dataset.board, table = by(id), body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells], rows = [...body.rows], names = heads.map((head) => head.textContent);
    const search = by(`${id}-search`), facet = by(`${id}-facet`), said = controls.querySelector("[role=status]");
    const facetColumn = names.indexOf(controls.dataset.facet);
    const plainText = (text) => text.toLowerCase().replace(/\s+/g, " ").trim();
    const texts = rows.map((row) => plainText([...row.cells].map((cell) => cell.textContent).join(" ")));
    const key = (name) => `${id.replace("-board", "")}-${name}`;
    const hidden = new Set(state.get(key("hide")) ? state.get(key("hide")).split("\t") : controls.dataset.hidden.split("\t").filter(Boolean));

    const sortValue = (cell) => {
      const text = cell.dataset.sort !== undefined ? cell.dataset.sort : cell.textContent.trim();
      if (text === "" || text === "–") return null;
      return Number.isNaN(Number(text)) ? text.toLowerCase() : Number(text);
    };
    // what is missing comes last whichever way a column is sorted
    function sort(column, down) {
      const keyed = rows.map((row, n) => [sortValue(row.cells[column]), n, row]);
      keyed.sort(([a, m], [b, n]) => {
        if (a === null || b === null) return (a === null) - (b === null) || m - n;
        const order = typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
        return (down ? -order : order) || m - n;
      });
      body.append(...keyed.map(([, , row]) => row));
      heads.forEach((head, n) => (n === column ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
    }
    function narrow() {
      const phrase = plainText(search.value), wanted = facet ? facet.value : "";
      let shown = 0;
      rows.forEach((row, n) => {
        const fits = texts[n].includes(phrase) && (!wanted || row.cells[facetColumn].textContent.trim() === wanted);
        row.hidden = !fits;
        shown += fits;
      });
      said.textContent = shown === rows.length ? "" : _("{shown} of {all} rows", { shown, all: rows.length });
    }
    function columns() {
      for (const row of table.rows) [...row.cells].forEach((cell, n) => { cell.hidden = hidden.has(names[n]); });
    }

    heads.forEach((head, column) => {
      const press = document.createElement("button");
      press.type = "button";
      press.className = "sort";
      press.textContent = names[column];
      head.replaceChildren(press);
      press.addEventListener("click", () => {
        const was = head.getAttribute("aria-sort"), numbers = rows.some((row) => typeof sortValue(row.cells[column]) === "number");
        const down = was ? was === "ascending" : numbers;
        sort(column, down);
        state.set(key("sort"), `${down ? "-" : ""}${names[column]}`);
      });
    });
    const list = controls.querySelector(".columns div");
    names.slice(1).forEach((name) => {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox";
      box.checked = !hidden.has(name);
      label.append(box, ` ${name}`);
      list.append(label);
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(name); else hidden.add(name);
        columns();
        state.set(key("hide"), [...hidden].join("\t") || "\t");
      });
    });
    if (facet) {
      for (const value of [...new Set(rows.map((row) => row.cells[facetColumn].textContent.trim()))]) facet.append(new Option(value));
      facet.value = state.get("task") && [...facet.options].some((item) => item.value === state.get("task")) ? state.get("task") : "";
      facet.addEventListener("change", () => { state.set("task", facet.value); narrow(); });
    }
    search.value = state.get(key("find"));
    search.addEventListener("input", () => { state.set(key("find"), search.value); narrow(); });

    const plain = (cell) => [...cell.childNodes].map((node) => node.textContent.trim()).filter(Boolean).join(" ").replace(/\s+/g, " ");
    function copied(kind) {
      const visible = [table.tHead.rows[0], ...[...body.rows].filter((row) => !row.hidden)]
        .map((row) => [...row.cells].filter((cell) => !cell.hidden).map(plain));
      if (kind === "csv") {
        // a text that a spreadsheet would run as a formula is kept a text
        const safe = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
        return visible.map((row) => row.map((text) => `"${safe(text).replaceAll('"', '""')}"`).join(",")).join("\r\n") + "\r\n";
      }
      const lines = visible.map((row) => `| ${row.map((text) => text.replaceAll("\\", "\\\\").replaceAll("|", "\\|").replaceAll("<", "&lt;")).join(" | ")} |`);
      lines.splice(1, 0, `|${visible[0].map(() => " --- |").join("")}`);
      return `${lines.join("\n")}\n`;
    }
    for (const press of controls.querySelectorAll("[data-copy]")) {
      press.addEventListener("click", async () => {
        const text = copied(press.dataset.copy);
        press.dataset.copied = text;
        try {
          await navigator.clipboard.writeText(text);
        } catch {
          // a page from a file may have no clipboard: the old way
          const area = document.createElement("textarea");
          area.value = text;
          document.body.append(area);
          area.select();
          document.execCommand("copy");
          area.remove();
          press.focus();
        }
        said.textContent = _("Copied.");
      });
    }
    const sorted = state.get(key("sort"));
    if (names.includes(sorted.replace(/^-/, ""))) sort(names.indexOf(sorted.replace(/^-/, "")), sorted.startsWith("-"));
    columns();
    narrow();
  }
  for (const controls of document.querySelectorAll("[data-board]")) board(controls);

  // -- tables that other parts fill ------------------------------------------------------------------------------------------

  const make = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  function rowOf(cells, head = "td") {
    const row = make("tr");
    cells.forEach((text, n) => row.append(n === 0 ? make("th", text, { scope: "row" }) : make(head, text)));
    return row;
  }
  function fill(id, header, rows) {
    const table = by(id);
    table.tHead.replaceChildren(make("tr"));
    for (const text of header) table.tHead.rows[0].append(make("th", text, { scope: "col" }));
    table.tBodies[0].replaceChildren(...rows.map((cells) => rowOf(cells)));
    table.closest(".scroll").hidden = !rows.length;
  }
