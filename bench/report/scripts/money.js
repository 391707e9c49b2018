  // -- money: the formulas of bench/analysis/economics.py, in the same order of operations ---------------------------------------

  const kw = (watts, host, i) => (watts * i.sensor_gain + host) / i.psu_efficiency / 1000;
  const busy = (i) => i.utilisation * i.ai_uptime;
  const mineKw = (i) => kw(i.mine_w, i.host_power_mining, i), idleMiningKw = (i) => kw(i.idle_w, i.host_power_mining, i);
  const aiKw = (i) => kw(i.ai_w, i.host_power_ai, i), idleAiKw = (i) => kw(i.idle_w, i.host_power_ai, i);
  const formula = {
    miningRevenue: (i) => i.hashprice * i.hash_th_per_s * i.uptime * (1 - i.pool_fee) / 24000,
    miningKwh: (i) => i.pue_mining * (i.uptime * mineKw(i) + (1 - i.uptime) * idleMiningKw(i)),
    miningNet: (i) => formula.miningRevenue(i) - i.electricity * formula.miningKwh(i),
    aiRevenue: (i) => i.rent * busy(i) * (1 - i.market_fee),
    aiKwh: (i) => i.pue_ai * (busy(i) * aiKw(i) + (1 - busy(i)) * idleAiKw(i)),
    aiNet: (i) => formula.aiRevenue(i) - i.electricity * formula.aiKwh(i) - i.ai_extra,
    advantage: (i) => formula.aiNet(i) - formula.miningNet(i),
    idleGain: (i) => {
      const earned = i.hashprice * i.hash_th_per_s * (1 - i.pool_fee) / 24000;
      return (1 - i.utilisation) * i.uptime * (earned - i.electricity * i.pue_ai * kw(i.mine_w - i.idle_w, 0, i));
    },
  };

  // name → numerator and denominator; none where the denominator is 0
  const breakEvens = {
    rent: (i) => [formula.miningNet(i) + i.electricity * formula.aiKwh(i) + i.ai_extra, busy(i) * (1 - i.market_fee)],
    electricity: (i) => [
      formula.aiRevenue(i) - i.ai_extra - formula.miningRevenue(i), formula.aiKwh(i) - formula.miningKwh(i),
    ],
    utilisation: (i) => [
      formula.miningNet(i) + i.electricity * i.pue_ai * idleAiKw(i) + i.ai_extra,
      (i.rent * (1 - i.market_fee) - i.electricity * i.pue_ai * (aiKw(i) - idleAiKw(i))) * i.ai_uptime,
    ],
    hashprice: (i) => [
      (formula.aiNet(i) + i.electricity * formula.miningKwh(i)) * 24000, i.hash_th_per_s * i.uptime * (1 - i.pool_fee),
    ],
    mining_power: (i) => [formula.miningRevenue(i), formula.miningKwh(i)],
    ai_power: (i) => [formula.aiRevenue(i) - i.ai_extra, formula.aiKwh(i)],
  };
  const breakEven = (name, i) => { const [above, below] = breakEvens[name](i); return below ? above / below : null; };

  // least and greatest possible value, and what it means to lie outside; as POSSIBLE in Python
  const possible = {
    rent: [0, Infinity, _("any rent is enough"), _("no rent is enough")],
    utilisation: [0, 1, _("any utilisation is enough"), _("no utilisation is enough")],
    hashprice: [0, Infinity, _("any hashprice is enough"), _("no hashprice is enough")],
  };
  function impossible(name, value, i) {
    if (value === null || !Number.isFinite(value) || !(name in possible)) return null;
    const [low, high, any, none] = possible[name];
    if (low <= value && value <= high) return null;
    return (value < low) === (breakEvens[name](i)[1] > 0) ? any : none;
  }

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

  // prices that the reader changed stay when another card is chosen; the rest are the card's own
  const changed = new Map();

  function startMoney() {
    scenario = { ...moneyCard().inputs, ...Object.fromEntries(changed) };
    // a rent that the price file does not have is asked for
    for (const [name, value] of Object.entries(scenario)) if (value === null) scenario[name] = NaN;
    for (const field of money.sliders) for (const input of sliders(field)) input.value = Number.isNaN(scenario[field]) ? "" : scenario[field];
    showMoney();
  }

  function write(out, value, decimals, words = null) {
    for (const cell of document.querySelectorAll(`[data-out="${out}"]`)) {
      cell.textContent = words ?? written(value, decimals);
      cell.dataset.value = value === null || !Number.isFinite(value) ? "" : String(value);
    }
  }

  function showMoney() {
    const shared = Object.fromEntries(["electricity", "hashprice"].map((field) => [field, scenario[field]]));
    const found = { mining: miningSide(scenario), ai: aiSide(scenario), asic: miningSide({ ...money.asic.inputs, ...shared }) };
    for (const [use, values] of Object.entries(found)) {
      for (const [key, value] of Object.entries(values)) write(`${use}.${key}`, value, money.decimals[key]);
    }
    for (const name of Object.keys(breakEvens)) {
      const value = breakEven(name, scenario);
      write(`break_even.${name}`, value, money.decimals[name], impossible(name, value, scenario));
    }
    const gap = formula.advantage(scenario), gain = formula.idleGain(scenario);
    const hourly = (value) => ({ amount: `${written(Math.abs(value), 4)} ${money.currency}/h` });
    document.getElementById("money-verdict").textContent = Number.isNaN(scenario.rent) ? _("Enter the card's rent: the price file has none.")
      : formula.miningNet(scenario) < 0 && formula.aiNet(scenario) < 0 ? _("Switch it off: at these prices both uses lose money.")
      : gap === 0 ? _("At these prices both uses earn the same.")
      : gap > 0 ? _("Renting out for AI nets {amount} more than mining.", hourly(gap))
        : _("Mining nets {amount} more than renting out for AI.", hourly(gap));
    document.getElementById("money-idle").textContent = gain > 0
      ? _("Mining in the hours that are not rented adds {amount}.", hourly(gain))
      : _("Mining in the hours that are not rented loses {amount}: leave the card idle.", hourly(gain));
  }

  // -- money: the chart ----------------------------------------------------------------------------------------------

  const SVG = "http://www.w3.org/2000/svg";
  function part(parent, name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  function roundSteps(low, high) {
    const span = (high - low) / 5, decade = 10 ** Math.floor(Math.log10(span));
    const step = [1, 2, 2.5, 5, 10].map((size) => size * decade).find((size) => size >= span * 0.999);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n <= Math.floor(high / step + 1e-9); n += 1) found.push(Number((n * step).toPrecision(12)));
    return found;
  }

  // the same geometry as bench/report/svg.py: x in per cent of the plot area, y in pixels
  function drawMoney() {
    const box = document.getElementById("plot-money");
    if (!box) return;
    const field = money.over[Number(document.getElementById("money-view").value)].field;
    const drawing = box.querySelector("svg.drawing"), area = drawing.querySelector(".area");
    const height = Number(area.dataset.height), left = 70;
    const [slider] = sliders(field), low = Number(slider.min), high = Number(slider.max);
    const xs = Array.from({ length: 61 }, (_, step) => low + (high - low) * step / 60);
    const lines = [[_("mining"), formula.miningNet, ""], [_("AI, rented out"), formula.aiNet, "7 4"]].map(
      ([name, net, dash]) => ({ name, dash, ys: xs.map((x) => net({ ...scenario, [field]: x })) }))
      .filter((line) => line.ys.every(Number.isFinite));
    const all = lines.flatMap((line) => line.ys), margin = (Math.max(...all) - Math.min(...all) || 1) * 0.08;
    const bottom = Math.min(...all) - margin, top = Math.max(...all) + margin;
    const across = (x) => `${(100 * (x - low) / (high - low)).toFixed(2)}%`;
    const down = (y) => height - (y - bottom) / (top - bottom) * height;
    area.replaceChildren();
    drawing.style.marginLeft = `${left}px`;
    drawing.style.width = `calc((100% - ${left + 12}px) * var(--zoom, 1))`;
    for (const y of roundSteps(bottom, top)) {
      part(area, "line", { class: y === 0 ? "frame" : "grid", x1: 0, x2: "100%", y1: down(y), y2: down(y) });
      part(area, "text", { class: "ytick", x: 0, dx: -6, y: down(y) + 4 }, String(y).replace("-", "−"));
    }
    roundSteps(low, high).forEach((x, n) => {
      part(area, "line", { class: "grid", x1: across(x), x2: across(x), y1: 0, y2: height });
      part(area, "text", { class: n % 2 ? "xtick minor" : "xtick", x: across(x), y: height + 17, "text-anchor": x > low + 0.96 * (high - low) ? "end" : "middle" }, String(x).replace("-", "−"));
    });
    part(area, "line", { class: "frame", x1: 0, x2: "100%", y1: height, y2: height });
    part(area, "text", { class: "ytitle", x: 0, dx: 6 - left, y: -11 }, _("Net ({currency}/h)", { currency: money.currency }));
    part(area, "text", { class: "xtitle", x: "50%", y: height + 38 }, money.over.find((item) => item.field === field).title);
    const plot = part(area, "svg", { width: "100%", height, viewBox: `0 0 1000 ${height}`, preserveAspectRatio: "none" });
    const series = `s${moneyCard().series % 8}`;
    for (const { name, dash, ys } of lines) {
      const d = ys.map((y, n) => `${n ? "L" : "M"}${(1000 * n / 60).toFixed(1)} ${down(y).toFixed(1)}`).join("");
      part(plot, "path", { class: `line ${series}`, d, "stroke-width": 2.5, "stroke-dasharray": dash, "data-line": name });
      const end = ys[ys.length - 1] >= ys[0] ? ys.length - 1 : 0;
      part(area, "text", {
        class: "name", x: end ? "100%" : "0%", dx: end ? -6 : 6, "text-anchor": end ? "end" : "start",
        y: Math.max(12, down(ys[end]) - 8),
      }, name);
    }
    if (Number.isFinite(scenario[field])) {
      const now = across(scenario[field]);
      part(area, "line", { class: "limit rule", x1: now, x2: now, y1: 0, y2: height });
      part(area, "text", { class: "small", x: now, dx: 4, y: height - 6 }, _("now"));
    }
    const even = breakEven(field, scenario);
    if (even !== null && even >= low && even <= high) {
      const y = formula.miningNet({ ...scenario, [field]: even });
      const mark = part(area, "use", { class: `mark ${series}`, href: "#diamond", x: across(even), y: down(y) });
      mark.dataset.tip = _("break-even at {value}", { value: written(even, money.decimals[field]) });
      part(area, "text", { class: "name", x: across(even), dx: 10, y: down(y) + 18 }, mark.dataset.tip);
    }
    box.dataset.lines = JSON.stringify(lines.map((line) => line.ys));
  }

  function checked(input) {
    const value = Number(input.value), low = Number(input.min), high = Number(input.max);
    const hint = document.getElementById(`money-${input.dataset.slider}-hint`);
    let text = "";
    if (input.value === "" || !Number.isFinite(value)) text = _("Enter a number.");
    else if (value < low || value > high) text = _("Enter a value from {low} to {high}.", { low, high });
    hint.textContent = text;
    hint.hidden = !text;
    input.toggleAttribute("aria-invalid", Boolean(text));
    if (text) input.setAttribute("aria-invalid", "true");
    return text ? null : value;
  }

  function setPrice(field, value) {
    scenario[field] = value;
    changed.set(field, value);
    for (const input of sliders(field)) { input.value = value; checked(input); }
  }

  if (money) {
    let waiting = false;
    for (const field of money.sliders) {
      for (const input of sliders(field)) {
        input.addEventListener("input", () => {
          const value = checked(input);
          if (value === null) return;
          scenario[field] = value;
          changed.set(field, value);
          for (const other of sliders(field)) if (other !== input) { other.value = input.value; other.removeAttribute("aria-invalid"); }
          showMoney();
          state.set(field, String(value));
          // figures change at once; the plot at most once a frame
          if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; drawMoney(); }); }
        });
      }
    }
    const again = () => { startMoney(); drawMoney(); };
    document.getElementById("money-card").addEventListener("change", (event) => {
      state.set("money", event.target.value === "0" ? "" : moneyCard().name);
      again();
    });
    document.getElementById("money-reset").addEventListener("click", () => {
      changed.clear();
      for (const field of money.sliders) {
        state.set(field, "");
        document.getElementById(`money-${field}-hint`).hidden = true;
        for (const input of sliders(field)) input.removeAttribute("aria-invalid");
      }
      again();
    });
    document.getElementById("money-view").addEventListener("change", drawMoney);
    for (const field of money.sliders) {
      const asked = state.get(field), [slider] = sliders(field);
      const value = Number(asked);
      if (asked && Number.isFinite(value) && value >= Number(slider.min) && value <= Number(slider.max)) changed.set(field, value);
    }
    const asked = money.cards.findIndex((card) => card.name === state.get("money"));
    if (asked > 0) document.getElementById("money-card").value = String(asked);
    again();
  }
