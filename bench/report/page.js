"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const only = (location.hash.match(/^#only=([a-z-]+)$/) || [])[1];

  // -- theme ---------------------------------------------------------------------------------------------------------

  // Okabe and Ito's colours, darkened on white and lightened on black until each stands out by 3:1
  const PALETTES = {
    light: ["#0b62b8", "#b84a00", "#00795a", "#a2457c", "#8a6a00", "#3a3a3a", "#0e7f9e", "#7447b8"],
    dark: ["#6fb6ff", "#ff9d5c", "#3fcf9f", "#f09ac8", "#e5c13d", "#d6dbe1", "#63d3f0", "#bda0ff"],
  };
  const PLAIN = {
    light: { ink: "#16202c", soft: "#55606e", grid: "#e3e7ec", card: "#ffffff", published: "#7a8491", alarm: "#c1121f" },
    dark: { ink: "#e8edf3", soft: "#a3b0bf", grid: "#2b3643", card: "#171f29", published: "#8f9bab", alarm: "#ff7b7b" },
  };
  const darkSystem = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const THEMES = ["automatic", "light", "dark"];

  const stored = () => { try { return localStorage.getItem("bitwatt-theme"); } catch { return null; } };
  let asked = THEMES.includes(stored()) ? stored() : "automatic";
  if (only) asked = "light";
  const theme = () => (asked === "automatic" ? (darkSystem.matches ? "dark" : "light") : asked);

  function colour(series) {
    const mode = theme(), plain = PLAIN[mode], palette = PALETTES[mode];
    if (typeof series === "number") return palette[series % palette.length];
    return { published: plain.published, idle: plain.published, alarm: plain.alarm, limit: plain.soft }[series] || palette[0];
  }

  function showTheme() {
    root.dataset.theme = theme();
    button.textContent = `◐ ${asked === "automatic" ? "auto" : asked}`;
    button.setAttribute("aria-label", `Theme: ${asked}. Change it.`);
    for (const glyph of document.querySelectorAll(".glyph")) glyph.style.color = colour(Number(glyph.dataset.series));
  }

  // -- figures -------------------------------------------------------------------------------------------------------

  const drawn = new Map();
  const narrow = (box) => box.clientWidth < 560;

  function trace(source) {
    const { series, ...rest } = source;
    const ink = colour(series);
    const out = { ...rest };
    if (out.mode.includes("markers")) {
      out.marker = { ...out.marker, color: ink, line: { color: ink, width: 1.5, ...(out.marker.line || {}) } };
    }
    if (out.mode.includes("lines")) out.line = { ...out.line, color: ink };
    for (const name of ["error_x", "error_y"]) if (out[name]) out[name] = { ...out[name], color: ink };
    if (out.mode.includes("text")) out.textfont = { color: PLAIN[theme()].ink, size: 13 };
    return out;
  }

  function shape(source) {
    const { series, ...rest } = source;
    const ink = colour(series);
    return rest.type === "rect" ? { ...rest, fillcolor: ink } : { ...rest, line: { ...rest.line, color: ink } };
  }

  function layoutOf(view, box) {
    const plain = PLAIN[theme()], small = narrow(box);
    const { legend_when_narrow: legendIfNarrow, throttle: _, rows, ...rest } = view.layout;
    const size = small ? 11 : 13;
    const out = {
      ...rest,
      height: only ? Math.max(360, innerHeight - 190) : view.height,
      autosize: true,
      paper_bgcolor: plain.card,
      plot_bgcolor: plain.card,
      font: { family: getComputedStyle(document.body).fontFamily, size, color: plain.ink },
      margin: { l: 8, r: small ? 10 : 24, t: 24, b: 8, pad: 2 },
      hoverlabel: { bgcolor: plain.card, bordercolor: plain.soft, font: { color: plain.ink, size: 13 }, align: "left" },
      legend: {
        orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom",
        font: { size },
      },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      hovermode: rest.hovermode || "closest",
      shapes: (rest.shapes || []).map(shape),
    };
    if (legendIfNarrow && small) out.showlegend = true;
    // on a phone each entry of the legend takes a line: the plot itself must not pay for it
    if (small && out.showlegend && !only) out.height += 20 * Math.max(0, view.data.filter((item) => item.showlegend !== false).length - 2);
    for (const name of Object.keys(rest).filter((key) => /^[xy]axis\d*$/.test(key))) {
      out[name] = {
        gridcolor: plain.grid, zerolinecolor: plain.grid, linecolor: plain.soft, showline: true, ticks: "outside",
        tickcolor: plain.soft, ...rest[name],
        title: {
          text: small ? rest[name].title.text.replace(", logarithmic", ", log") : rest[name].title.text,
          font: { size, color: plain.soft }, standoff: small ? 6 : 12,
        },
      };
    }
    if (small && rows) {
      // on a phone the names of the rows stand above them: beside them they would take half of the plot
      const { tickvals, ticktext } = rest.yaxis;
      const folded = Math.max(...ticktext.map((text) => text.length)) * 5.7 > box.clientWidth - 30;
      out.height += (folded ? 44 : 26) * rows;
      Object.assign(out.yaxis, { showticklabels: false, ticks: "", range: [-0.5, rows - 0.2] });
      out.annotations = tickvals.map((y, place) => ({
        x: 0, xref: "paper", xanchor: "left", xshift: 3, y: y + 0.34, yref: "y", yanchor: "bottom", showarrow: false,
        align: "left", text: folded ? ticktext[place] : ticktext[place].replaceAll("<br>", ", "), font: { size: 10.5 },
      }));
    }
    if (small) for (const name of Object.keys(out)) if (out[name] && out[name].type === "log") thin(out[name]);
    return out;
  }

  // a narrow logarithmic axis keeps its decades, as long as two of them are left
  function thin(log) {
    const kept = log.tickvals.map((tick, place) => [tick, log.ticktext[place]]).filter(([tick]) => Math.log10(tick) % 1 === 0);
    if (log.tickvals.length < 6 || kept.length < 2) return;
    log.tickvals = kept.map(([tick]) => tick);
    log.ticktext = kept.map(([, text]) => text);
  }

  function draw(id) {
    const box = document.getElementById(`plot-${id}`);
    const figure = page.figures[id];
    if (!box || !figure) return;
    const chooser = document.querySelector(`[data-chooser="${id}"]`);
    const view = figure.views[chooser ? Number(chooser.value) : 0];
    const layout = layoutOf(view, box);
    box.style.height = `${layout.height}px`;
    let data = view.data.map(trace);
    if (narrow(box)) {
      const wrap = (text) => text.replace(/(.{12,32}) (?=.{6})/g, "$1<br>");
      data = data.map((item) => ({
        ...item,
        name: item.name.length > 36 ? wrap(item.name) : item.name,
        mode: view.layout.legend_when_narrow ? item.mode.replace("+text", "") : item.mode,
      }));
    }
    drawn.set(id, narrow(box));
    Plotly.react(box, data, layout, { displayModeBar: false, responsive: true, scrollZoom: false, locale: "en" });
  }

  function drawAll() { for (const id of Object.keys(page.figures)) draw(id); }

  // a figure is drawn anew only when it crosses between its wide and its narrow shape
  const watcher = new ResizeObserver((seen) => {
    for (const { target } of seen) {
      const id = target.dataset.figure;
      if (drawn.has(id) && drawn.get(id) !== narrow(target)) draw(id);
    }
  });

  // -- controls ------------------------------------------------------------------------------------------------------

  button.addEventListener("click", () => {
    asked = THEMES[(THEMES.indexOf(asked) + 1) % THEMES.length];
    try { localStorage.setItem("bitwatt-theme", asked); } catch { /* a page from a file may have no storage */ }
    showTheme();
    drawAll();
  });
  darkSystem.addEventListener("change", () => { showTheme(); drawAll(); });
  for (const chooser of document.querySelectorAll("[data-chooser]")) {
    chooser.addEventListener("change", () => draw(chooser.dataset.chooser));
  }
  for (const saver of document.querySelectorAll("[data-png]")) {
    saver.addEventListener("click", () => {
      const box = document.getElementById(`plot-${saver.dataset.png}`);
      Plotly.downloadImage(box, {
        format: "png", scale: 2, width: box.clientWidth, height: box.clientHeight, filename: `bitwatt-${saver.dataset.png}`,
      });
    });
  }
  const spoken = document.getElementById("only-spoken");
  if (spoken) spoken.addEventListener("change", () => document.getElementById("checks-table").classList.toggle("only", spoken.checked));

  // -- start ---------------------------------------------------------------------------------------------------------

  if (only && page.figures[only]) {
    const figure = document.getElementById(`${only}-figure`);
    for (const item of [document.body, figure.closest("section"), figure]) item.classList.add("only");
  }
  showTheme();
  drawAll();
  for (const box of document.querySelectorAll(".plot")) watcher.observe(box);
  root.dataset.ready = "true";
})();
