  const page = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const by = (id) => document.getElementById(id);
  // a text in the page's language, with {name} replaced
  const _ = (text, values = {}) => (page.words[text] ?? text).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
  // page.html#only=pick shows one plot alone; &height=640 is what a picture of it has, of which a window may show less
  const [, only, pictureHeight] = location.hash.match(/^#only=([a-z-]+)(?:&height=(\d+))?$/) || [];
  root.dataset.scripted = "true";

  // -- the view in the address: page.html#cards=…&task=… reproduces what is shown --------------------------------------

  const state = (() => {
    const held = new URLSearchParams(location.hash.includes("=") && !only ? location.hash.slice(1) : "");
    return {
      get: (name) => held.get(name) || "",
      set: (name, value) => {
        if (value) held.set(name, value); else held.delete(name);
        if (only) return;
        const text = held.toString();
        try { history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search); } catch { /* a sandbox may forbid it */ }
      },
    };
  })();

  // -- theme ---------------------------------------------------------------------------------------------------------

  const darkSystem = matchMedia("(prefers-color-scheme: dark)");
  const button = by("theme");
  const THEMES = ["automatic", "light", "dark"];
  const stored = () => { try { return localStorage.getItem("bitwatt-theme"); } catch { return null; } };
  let asked = [state.get("theme"), stored()].find((name) => THEMES.includes(name)) || "automatic";
  if (only) asked = "light";

  function showTheme() {
    root.dataset.theme = asked === "automatic" ? (darkSystem.matches ? "dark" : "light") : asked;
    const [short, label] = {
      automatic: [_("auto"), _("Theme: automatic. Change it.")], light: [_("light"), _("Theme: light. Change it.")],
      dark: [_("dark"), _("Theme: dark. Change it.")],
    }[asked];
    button.textContent = `◐ ${short}`;
    button.setAttribute("aria-label", label);
  }
  button.addEventListener("click", () => {
    asked = THEMES[(THEMES.indexOf(asked) + 1) % THEMES.length];
    try { localStorage.setItem("bitwatt-theme", asked); } catch { /* a page from a file may have no storage */ }
    state.set("theme", asked === "automatic" ? "" : asked);
    showTheme();
  });
  darkSystem.addEventListener("change", showTheme);

  // -- figures: choose a view, zoom, read a mark, save ------------------------------------------------------------------

  const viewState = (id) => `view-${id}`;
  function show(id) {
    const box = by(`plot-${id}`), chosen = by(`${id}-view`).value;
    if (!shown.has(id)) {
      const first = document.createElement("template");
      first.dataset.height = parseInt(box.style.height, 10);
      first.content.append(...[...box.childNodes].map((node) => node.cloneNode(true)));
      shown.set(id, first);
    }
    const view = chosen === "0" ? shown.get(id) : document.querySelector(`template[data-of="${id}"][data-view="${chosen}"]`);
    box.style.height = `${view.dataset.height}px`;
    box.replaceChildren(view.content.cloneNode(true));
    zoom(id, 1);
    state.set(viewState(id), chosen === "0" ? "" : chosen);
  }
  const shown = new Map();
  for (const chooser of document.querySelectorAll("[data-chooser]")) {
    const id = chooser.dataset.chooser;
    if (id === "money") continue;
    chooser.addEventListener("change", () => show(id));
    const wanted = state.get(viewState(id));
    if (wanted && [...chooser.options].some((option) => option.value === wanted)) { chooser.value = wanted; show(id); }
  }

  function zoom(id, factor) {
    const box = by(`plot-${id}`);
    box.style.setProperty("--zoom", factor);
    box.classList.toggle("zoomed", factor > 1);
    document.querySelector(`[data-unzoom="${id}"]`).hidden = factor === 1;
  }
  for (const item of document.querySelectorAll("[data-zoom]")) {
    const id = item.dataset.zoom, of = () => Number(by(`plot-${id}`).style.getPropertyValue("--zoom")) || 1;
    item.addEventListener("click", () => zoom(id, Math.min(8, of() * 2)));
    document.querySelector(`[data-unzoom="${id}"]`).addEventListener("click", () => { zoom(id, 1); item.focus(); });
  }

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  function readMark(event) {
    const mark = event.target.closest ? event.target.closest("use.mark") : null;
    tip.hidden = true;
    if (!mark) return;
    const title = mark.querySelector("title");
    if (title) { mark.dataset.tip = title.textContent; title.remove(); }
    if (!mark.dataset.tip) return;
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const at = mark.getBoundingClientRect(), size = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(at.left + 14, innerWidth - size.width - 4)) + scrollX}px`;
    tip.style.top = `${Math.max(4, at.top - size.height - 8) + scrollY}px`;
  }
  document.addEventListener("pointerover", readMark);
  document.addEventListener("click", readMark);

  // a drawing that stands alone: sizes in pixels, colours written in, with title, date and source
  const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-weight", "text-anchor", "display", "paint-order", "stroke-linejoin"];
  function alone(id) {
    const source = by(`plot-${id}`).querySelector("svg.drawing"), inner = source.clientWidth || parseFloat(getComputedStyle(source).width);
    const left = parseFloat(source.style.marginLeft), width = left + inner + 12;
    const height = Number(source.getAttribute("height")), around = 64;
    const copy = source.cloneNode(true);
    const originals = source.querySelectorAll("*"), copies = copy.querySelectorAll("*");
    originals.forEach((node, n) => {
      const style = getComputedStyle(node), to = copies[n];
      for (const name of STYLES) if (style.getPropertyValue(name)) to.style.setProperty(name, style.getPropertyValue(name));
      to.removeAttribute("class");
    });
    const whole = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    whole.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    whole.setAttribute("width", width);
    whole.setAttribute("height", height + around);
    whole.setAttribute("font-family", getComputedStyle(document.body).fontFamily);
    const ink = getComputedStyle(document.body).color;
    const add = (name, attributes, text) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      if (text) made.textContent = text;
      whole.append(made);
    };
    add("rect", { width: "100%", height: "100%", fill: getComputedStyle(by(`${id}-figure`)).backgroundColor });
    add("text", { x: 10, y: 24, "font-size": 16, "font-weight": 600, fill: ink }, by(`${id}-title`).textContent);
    const chooser = by(`${id}-view`), chosen = chooser ? chooser.options[chooser.selectedIndex] : null;
    const group = chosen && chosen.parentNode.label ? `${chosen.parentNode.label}: ` : "";
    if (chosen) add("text", { x: 10, y: 42, "font-size": 12, fill: ink }, group + chosen.textContent);
    add("text", { x: 10, y: height + around - 6, "font-size": 11, fill: ink }, `${page.cards} · ${page.source}`);
    const moved = document.createElementNS("http://www.w3.org/2000/svg", "g");
    moved.setAttribute("transform", `translate(${left} 44)`);
    copy.removeAttribute("style");
    copy.setAttribute("width", inner);
    copy.setAttribute("overflow", "visible");
    moved.append(copy);
    whole.append(by("symbols").cloneNode(true), moved);
    return { text: new XMLSerializer().serializeToString(whole), width, height: height + around };
  }

  function download(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  async function picture(id, kind) {
    const { text, width, height } = alone(id);
    if (kind === "svg") return new Blob([text], { type: "image/svg+xml" });
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * width;
    canvas.height = 2 * height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
  for (const saver of document.querySelectorAll("[data-save]")) {
    saver.addEventListener("click", async () => {
      const { save, of } = saver.dataset;
      download(await picture(of, save), `bitwatt-${of}.${save}`);
    });
  }

  const filter = by("only-flagged");
  if (filter) filter.addEventListener("change", () => by("checks-table").classList.toggle("only", filter.checked));

