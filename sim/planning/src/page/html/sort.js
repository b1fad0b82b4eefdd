
// Tables marked for it sort by a click on a heading: up, down, and as they were. Figures by their
// value, words by the reader's language; what has no value stays below. Without this script every
// table is whole, in the order it was written.
"use strict";
for (const table of document.querySelectorAll("table[data-sort]")) {
  const body = table.tBodies[0];
  const written = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const words = new Intl.Collator(undefined, { numeric: true });
  const sorted = (column, way) => written.slice().sort((one, other) => {
    const [a, b] = [one.cells[column], other.cells[column]];
    const [x, y] = [a.dataset.value, b.dataset.value];
    if (x !== undefined && y !== undefined) return way * (Number(x) - Number(y));
    if (x !== undefined || y !== undefined) return x !== undefined ? -1 : 1;
    return way * words.compare(a.textContent, b.textContent);
  });
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      for (const other of heads) other.removeAttribute("aria-sort");
      if (was === "descending") {
        body.append(...written);
        return;
      }
      const way = was === "ascending" ? "descending" : "ascending";
      head.setAttribute("aria-sort", way);
      body.append(...sorted(column, way === "ascending" ? 1 : -1));
    });
  });
}
