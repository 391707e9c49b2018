  // -- two cards side by side -------------------------------------------------------------------------------------------

  const pairs = page.compare;
  function compareTwo() {
    const one = Number(by("compare-baseline").value), other = Number(by("compare-card").value);
    const [a, b] = [pairs.cards[one], pairs.cards[other]];
    const { settings = [], rows = [] } = pairs.pairs[`${one}-${other}`] || {};
    by("compare-same").hidden = settings.length > 0 || one === other;
    fill("compare-settings", [_("Setting that differs"), _("{card} (baseline)", { card: a }), b], settings);
    fill("compare-figures", [_("Figure"), _("Setting"), _("{card} (baseline)", { card: a }), b, _("Ratio"), _("Verdict")], rows.map(
      ([task, metric, role, mine, theirs, ratio, verdict, reason]) => [
        `${pairs.tasks[task]}: ${pairs.headings[metric]}`, role, mine, theirs, ratio || "–",
        [verdict, ratio ? "" : reason].filter(Boolean).join(": "),
      ]));
    by("compare-none").hidden = rows.length > 0;
  }
  if (pairs) {
    const choosers = [["compare-baseline", "baseline", 0], ["compare-card", "card", 1]];
    for (const [id, name, start] of choosers) {
      pairs.cards.forEach((card, n) => by(id).append(new Option(card, String(n))));
      const wanted = pairs.cards.indexOf(state.get(name));
      by(id).value = String(wanted >= 0 ? wanted : start);
      by(id).addEventListener("change", () => { state.set(name, pairs.cards[Number(by(id).value)]); compareTwo(); });
    }
    compareTwo();
  }
