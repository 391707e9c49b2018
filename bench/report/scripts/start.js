
  // -- start ---------------------------------------------------------------------------------------------------------

  if (only && by(`${only}-figure`)) {
    const figure = by(`${only}-figure`);
    for (const item of [document.body, figure.closest("section"), figure]) item.classList.add("only");
    const height = figure.getBoundingClientRect().height, room = Number(pictureHeight) || innerHeight;
    if (height > room) figure.style.zoom = room / height;
  }
  showTheme();
  // printed, a page shows all of its tables
  const opened = [];
  addEventListener("beforeprint", () => { for (const item of document.querySelectorAll("details:not([open])")) { item.open = true; opened.push(item); } });
  addEventListener("afterprint", () => { for (const item of opened.splice(0)) item.open = false; });
  root.dataset.ready = "true";
