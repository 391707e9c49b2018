
  // -- what a power budget buys ---------------------------------------------------------------------------------------------

  const PREFIXES = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];
  function amount(value, unit) {
    const [size, prefix] = PREFIXES.find(([factor, sign]) => value >= factor && !(unit === "tokens/s" && sign === "k")) || [1, ""];
    return `${Number((value / size).toPrecision(4))} ${prefix}${unit}`;
  }
  // whole cards that do the most within so many watts: a knapsack over steps of a four-thousandth of the budget
  function mix(cards, watts) {
    const steps = 4000, step = watts / steps;
    const size = cards.map((card) => Math.ceil(card.watts / step - 1e-9));
    const best = new Float64Array(steps + 1), last = new Int32Array(steps + 1).fill(-1);
    for (let n = 1; n <= steps; n += 1) {
      best[n] = best[n - 1];
      cards.forEach((card, k) => {
        if (size[k] <= n && best[n - size[k]] + card.rate > best[n] * (1 + 1e-12)) { best[n] = best[n - size[k]] + card.rate; last[n] = k; }
      });
    }
    const counts = new Map();
    for (let n = steps; n > 0;) {
      if (last[n] < 0) n -= 1;
      else { counts.set(last[n], (counts.get(last[n]) || 0) + 1); n -= size[last[n]]; }
    }
    return counts;
  }
  function spend() {
    const goal = page.budget.goals[Number(by("budget-goal").value)], watts = 1000 * Number(by("budget-number").value);
    const counts = mix(goal.cards, watts), parts = [];
    let rate = 0, drawn = 0;
    for (const [k, count] of [...counts].sort(([, a], [, b]) => b - a)) {
      const card = goal.cards[k];
      parts.push(`${count} × ${card.name}${card.setting ? ` (${card.setting})` : ""}`);
      rate += count * card.rate;
      drawn += count * card.watts;
    }
    by("budget-answer").textContent = parts.length ? `${parts.join(" + ")}: ${amount(rate, goal.unit)}` : _("Not one card fits.");
    by("budget-drawn").textContent = parts.length ? _("They draw {power} kW at their own meters; hosts, cooling and idle cards come on top.", { power: Number((drawn / 1000).toPrecision(4)) }) : "";
    const rows = goal.cards.map((card) => {
      const count = Math.floor(watts / card.watts + 1e-9);
      return [card.name, card.setting || "–", `${Number(card.watts.toPrecision(4))} W`, String(count), amount(count * card.rate, goal.unit), amount(card.rate / card.watts * 1e6, goal.unit)];
    });
    fill("budget-cards", [_("Card"), _("Setting"), _("Draws"), _("Cards that fit"), _("Together"), _("Per MW")], rows);
  }
  if (page.budget) {
    page.budget.goals.forEach((goal, n) => by("budget-goal").append(new Option(_("most {unit} of {task}", { unit: goal.unit, task: goal.task }), String(n))));
    const goal = page.budget.goals.findIndex((item) => item.task === state.get("goal"));
    by("budget-goal").value = String(Math.max(0, goal));
    by("budget-goal").addEventListener("change", () => { state.set("goal", page.budget.goals[Number(by("budget-goal").value)].task); spend(); });
    // the slider is logarithmic: 100 W to 10 MW
    const kw = (position) => Number((10 ** position).toPrecision(2));
    const put = (value) => { by("budget-number").value = value; by("budget").value = Math.log10(value); by("budget").setAttribute("aria-valuetext", `${value} kW`); };
    const asked = Number(state.get("kw"));
    put(asked >= 0.1 && asked <= 10000 ? asked : 5);
    by("budget").addEventListener("input", () => { put(kw(Number(by("budget").value))); by("budget-hint").hidden = true; state.set("kw", by("budget-number").value); spend(); });
    by("budget-number").addEventListener("input", () => {
      const value = Number(by("budget-number").value), fits = value >= 0.1 && value <= 10000;
      by("budget-hint").hidden = fits;
      by("budget-number").toggleAttribute("aria-invalid", !fits);
      if (!fits) return;
      by("budget").value = Math.log10(value);
      state.set("kw", String(value));
      spend();
    });
    spend();
  }

