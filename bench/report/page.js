"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  // page.html#only=pick shows one plot alone; &height=640 is what a picture of it has, of which a window may show less
  const [, only, alone] = location.hash.match(/^#only=([a-z-]+)(?:&height=(\d+))?$/) || [];

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
    const { legend_when_narrow: legendIfNarrow, throttle: _, over: __, rows, ...rest } = view.layout;
    const size = small ? 11 : 13;
    const out = {
      ...rest,
      height: only ? heightAlone(box) : view.height,
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

  // alone on the page, a plot takes the height that its title and its note leave
  function heightAlone(box) {
    const rest = box.closest("figure").getBoundingClientRect().height - box.getBoundingClientRect().height;
    return Math.max(300, Math.floor((Number(alone) || innerHeight) - rest));
  }

  function draw(id) {
    const box = document.getElementById(`plot-${id}`);
    const figure = page.figures[id];
    if (!box || !figure) return;
    const chooser = document.querySelector(`[data-chooser="${id}"]`);
    const chosen = figure.views[chooser ? Number(chooser.value) : 0];
    const view = id === "money" ? moneyView(chosen) : chosen;
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

  function drawAll() { for (const id of only && page.figures[only] ? [only] : Object.keys(page.figures)) draw(id); }

  // a figure is drawn anew only when it crosses between its wide and its narrow shape
  const watcher = new ResizeObserver((seen) => {
    for (const { target } of seen) {
      const id = target.dataset.figure;
      if (drawn.has(id) && drawn.get(id) !== narrow(target)) draw(id);
    }
  });

  // -- money: the formulas of bench/analysis/economics.py, in the same order of operations ---------------------------------------

  const formula = {
    miningRevenue: (i) => i.hashprice * i.hash_th_per_s * i.uptime * (1 - i.pool_fee) / 24000,
    miningKwh: (i) => i.pue * (i.uptime * i.mine_kw + (1 - i.uptime) * i.idle_kw),
    miningNet: (i) => formula.miningRevenue(i) - i.electricity * formula.miningKwh(i),
    aiRevenue: (i) => i.rent * i.utilisation * (1 - i.market_fee),
    aiKwh: (i) => i.pue * (i.utilisation * i.ai_kw + (1 - i.utilisation) * i.idle_kw),
    aiNet: (i) => formula.aiRevenue(i) - i.electricity * formula.aiKwh(i) - i.ai_extra,
    advantage: (i) => formula.aiNet(i) - formula.miningNet(i),
    idleGain: (i) => {
      const earned = i.hashprice * i.hash_th_per_s * (1 - i.pool_fee) / 24000;
      return (1 - i.utilisation) * i.uptime * (earned - i.electricity * i.pue * (i.mine_kw - i.idle_kw));
    },
  };

  // name → numerator and denominator; none where the denominator is 0
  const breakEvens = {
    rent: (i) => [formula.miningNet(i) + i.electricity * formula.aiKwh(i) + i.ai_extra, i.utilisation * (1 - i.market_fee)],
    electricity: (i) => [
      formula.aiRevenue(i) - i.ai_extra - formula.miningRevenue(i), formula.aiKwh(i) - formula.miningKwh(i),
    ],
    utilisation: (i) => [
      formula.miningNet(i) + i.electricity * i.pue * i.idle_kw + i.ai_extra,
      i.rent * (1 - i.market_fee) - i.electricity * i.pue * (i.ai_kw - i.idle_kw),
    ],
    hashprice: (i) => [
      (formula.aiNet(i) + i.electricity * formula.miningKwh(i)) * 24000, i.hash_th_per_s * i.uptime * (1 - i.pool_fee),
    ],
    mining_power: (i) => [formula.miningRevenue(i), formula.miningKwh(i)],
    ai_power: (i) => [formula.aiRevenue(i) - i.ai_extra, formula.aiKwh(i)],
  };
  const breakEven = (name, i) => { const [above, below] = breakEvens[name](i); return below ? above / below : null; };

  const side = (i, revenue, kwh, net) => {
    const energy = kwh(i), hourly = net(i);
    return {
      revenue_per_h: revenue(i), power_cost_per_h: i.electricity * energy, net_per_h: hourly,
      net_per_mwh: energy ? hourly / energy * 1000 : NaN, net_per_year: hourly * 8760,
    };
  };
  const miningSide = (i) => side(i, formula.miningRevenue, formula.miningKwh, formula.miningNet);
  const aiSide = (i) => side(i, formula.aiRevenue, formula.aiKwh, formula.aiNet);

  function written(value, decimals) {
    if (value === null || !Number.isFinite(value)) return "–";
    // a figure of which one digit at most would be left gets three decimals more
    if (value !== 0 && Math.abs(value) < 10 ** (1 - decimals)) decimals += 3;
    // toFixed rounds the exact number, as Python does; toLocaleString rounds its shortest decimal text
    const [whole, rest] = value.toFixed(decimals).split(".");
    const text = (whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest ? `.${rest}` : "")).replace("-", "−");
    return /[1-9]/.test(text) ? text : text.replace("−", "");
  }

  const money = page.money;
  let scenario = null;
  const moneyCard = () => money.cards[Number(document.getElementById("money-card").value)];
  const sliders = (field) => document.querySelectorAll(`[data-slider="${field}"]`);

  function startMoney() {
    scenario = { ...moneyCard().inputs };
    for (const field of money.sliders) for (const input of sliders(field)) input.value = scenario[field];
    tellMoney();
  }

  function tell(out, value, decimals) {
    for (const cell of document.querySelectorAll(`[data-out="${out}"]`)) {
      cell.textContent = written(value, decimals);
      cell.dataset.value = value === null ? "" : String(value);
    }
  }

  function tellMoney() {
    const shared = Object.fromEntries(["electricity", "hashprice"].map((field) => [field, scenario[field]]));
    const found = { mining: miningSide(scenario), ai: aiSide(scenario), asic: miningSide({ ...money.asic.inputs, ...shared }) };
    for (const [use, values] of Object.entries(found)) {
      for (const [key, value] of Object.entries(values)) tell(`${use}.${key}`, value, money.decimals[key]);
    }
    for (const name of Object.keys(breakEvens)) tell(`break_even.${name}`, breakEven(name, scenario), money.decimals[name]);
    const gap = formula.advantage(scenario), gain = formula.idleGain(scenario), unit = `${money.currency}/h`;
    const [winner, loser] = gap > 0 ? ["Renting out for AI", "mining"] : ["Mining", "renting out for AI"];
    document.getElementById("money-verdict").textContent = gap === 0
      ? "At these prices both uses earn the same."
      : `${winner} nets ${written(Math.abs(gap), 4)} ${unit} more than ${loser}.`;
    document.getElementById("money-idle").textContent = gain > 0
      ? `Mining in the hours that are not rented adds ${written(gain, 4)} ${unit}.`
      : `Mining in the hours that are not rented loses ${written(Math.abs(gain), 4)} ${unit}: leave the card idle.`;
  }

  function moneyTraces(view) {
    const field = view.layout.over;
    const [slider] = sliders(field);
    const low = Number(slider.min), high = Number(slider.max), xs = [];
    for (let step = 0; step <= 60; step += 1) xs.push(low + (high - low) * step / 60);
    const series = moneyCard().series;
    const line = (name, net, dash) => ({
      series, type: "scatter", mode: "lines", name, x: xs, y: xs.map((x) => net({ ...scenario, [field]: x })),
      line: { dash, width: 2.5 }, hovertemplate: `${name}: %{y:.4f} ${money.currency_label}/h at %{x:.4g}<extra></extra>`,
    });
    const traces = [line("mining", formula.miningNet, "solid"), line("AI, rented out", formula.aiNet, "dash")];
    const even = breakEven(field, scenario);
    if (even !== null && even >= low && even <= high) {
      traces.push({
        series, type: "scatter", mode: "markers", name: `break-even at ${written(even, money.decimals[field])}`,
        x: [even], y: [formula.miningNet({ ...scenario, [field]: even })], marker: { symbol: "diamond", size: 13 },
        hovertemplate: "%{x:.4g}<extra>break-even</extra>",
      });
    }
    return traces;
  }

  function moneyView(view) {
    const x = scenario[view.layout.over];
    const now = {
      series: "limit", type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: { width: 1.5, dash: "dot" },
      label: { text: "now", textposition: "end", textangle: 0, xanchor: "left", yanchor: "top", font: { size: 11 } },
    };
    return { ...view, data: moneyTraces(view), layout: { ...view.layout, shapes: [now] } };
  }

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
  if (money) {
    let waiting = false;
    for (const field of money.sliders) {
      for (const input of sliders(field)) {
        input.addEventListener("input", () => {
          if (input.value === "" || !Number.isFinite(Number(input.value))) return;
          scenario[field] = Number(input.value);
          for (const other of sliders(field)) if (other !== input) other.value = input.value;
          tellMoney();
          // figures change at once; the plot at most once a frame
          if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw("money"); }); }
        });
      }
    }
    const again = () => { startMoney(); draw("money"); };
    document.getElementById("money-card").addEventListener("change", again);
    document.getElementById("money-reset").addEventListener("click", again);
    startMoney();
  }
  const flagged = document.getElementById("only-flagged");
  if (flagged) flagged.addEventListener("change", () => document.getElementById("checks-table").classList.toggle("only", flagged.checked));

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
