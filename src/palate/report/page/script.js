"use strict";
// Everything works without this script but the theme button, copying, the tips of marks and the search.
// Text is set as text, never as markup.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Light and dark: the system's choice until the button is pressed, and forgotten with the page.
  const toggle = document.querySelector("[data-theme-toggle]");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const nameToggle = () => { toggle.textContent = isDark() ? "Light" : "Dark"; };
  toggle.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameToggle(); });
  system.addEventListener("change", nameToggle);
  nameToggle();
  toggle.hidden = false;

  // Copying a command; where the clipboard is refused, it is selected instead.
  for (const button of all("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const command = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(command.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(command);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  // Tips: by pointer, by touch, and by arrow keys once a plot has the focus.
  const tip = document.getElementById("tip");
  let current = null;
  const hide = () => {
    current?.classList.remove("current");
    current = null;
    tip.hidden = true;
  };
  const show = (mark) => {
    if (mark === current) return;
    hide();
    current = mark;
    mark.classList.add("current");
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    place();
  };
  const place = () => {
    if (!current) return;
    const box = current.getBoundingClientRect();
    const left = box.left + box.width / 2 - tip.offsetWidth / 2;
    const above = Math.max(box.top, 0) - tip.offsetHeight - 8;
    tip.style.left = `${Math.max(8, Math.min(left, root.clientWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${above >= 8 ? above : Math.max(8, Math.min(box.bottom + 8, innerHeight - tip.offsetHeight - 8))}px`;
    tip.style.visibility = box.bottom < 0 || box.top > innerHeight ? "hidden" : "visible";
  };
  for (const plot of all("svg.plot")) {
    const marks = all("[data-tip]", plot);
    const point = (event) => {
      const mark = event.target.closest("[data-tip]");
      if (mark) show(mark); else hide();
    };
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerdown", point);
    plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    plot.addEventListener("focus", () => { if (marks.length && plot.matches(":focus-visible")) show(marks[0]); });
    plot.addEventListener("blur", () => { if (plot.contains(current)) hide(); });
    plot.addEventListener("keydown", (event) => {
      const at = marks.indexOf(current);
      const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
      if (next === undefined || !marks.length) return;
      event.preventDefault();
      show(marks[(next + marks.length) % marks.length]);
    });
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  // The tip follows its mark: moving the focus to a plot scrolls the page after the tip is shown.
  addEventListener("scroll", place, { passive: true });
  addEventListener("resize", place);

  // Searching the figures by name or value.
  const facts = document.querySelector("[data-facts]");
  const search = facts.querySelector("input");
  const rows = all("tbody tr", facts).map((row) => [row, row.textContent.toLowerCase()]);
  search.parentElement.hidden = false;
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    let found = 0;
    for (const [row, text] of rows) {
      row.hidden = !text.includes(wanted);
      found += row.hidden ? 0 : 1;
    }
    facts.querySelector("output").textContent = wanted ? `${found} of ${rows.length}` : "";
  });
})();
