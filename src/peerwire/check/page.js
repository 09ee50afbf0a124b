"use strict";
// Keys: Escape closes a transcript, left and right go to the next client, up and down to the next
// row that is shown. The page does without.
(() => {
  const target = () => document.getElementById(location.hash.slice(1));
  const shown = () => {
    const section = target();
    return section && section.matches("article section") ? section : null;
  };
  const sideways = (section, step) => {
    const all = [...section.parentElement.querySelectorAll("section")];
    return all[all.indexOf(section) + step];
  };
  const downwards = (section, step) => {
    const column = section.id.split("--").slice(1).join("--");
    const ids = [...document.querySelectorAll("tr.case")]
      .filter((row) => row.offsetParent !== null)
      .map((row) => `${row.id}--${column}`);
    const here = ids.indexOf(section.id);
    const rest = step > 0 ? ids.slice(here + 1) : ids.slice(0, Math.max(here, 0)).reverse();
    return rest.map((id) => document.getElementById(id)).find(Boolean);
  };
  const moves = {
    ArrowLeft: [sideways, -1],
    ArrowRight: [sideways, 1],
    ArrowUp: [downwards, -1],
    ArrowDown: [downwards, 1],
  };
  const back = (section) => section.id.split("--")[0];
  let opened = null;
  addEventListener("keydown", (event) => {
    const section = shown();
    if (!section || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.key === "Escape") location.hash = back(section);
    else if (moves[event.key]) {
      const [move, step] = moves[event.key];
      const next = move(section, step);
      if (next) location.replace(`#${next.id}`);
    } else return;
    event.preventDefault();
  });
  const follow = () => {
    for (const tab of document.querySelectorAll("nav a[aria-current]")) tab.removeAttribute("aria-current");
    const section = shown();
    if (section) {
      const tab = section.parentElement.querySelector(`nav a[href="#${section.id}"]`);
      tab.setAttribute("aria-current", "true");
      section.focus({ preventScroll: true });
      opened = section.id;
    } else if (opened) {
      const cell = document.querySelector(`td a[href="#${opened}"]`);
      opened = null;
      if (cell) cell.focus({ preventScroll: true });
    }
  };
  addEventListener("hashchange", follow);
  follow();
})();
