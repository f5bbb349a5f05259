"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, place) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.hasAttribute("aria-sort") && other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const body of table.tBodies) sortBody(body, place, down ? -1 : 1);
    });
  });
}
function sortBody(body, place, turn) {
  const rows = [...body.rows].filter((row) => row.cells.length > place && !row.classList.contains("group"));
  const key = (row) => {
    const cell = row.cells[place];
    const value = cell.dataset.value;
    return value === undefined ? cell.textContent.trim() : value === "" ? null : Number(value);
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return turn * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  };
  rows.map((row) => [key(row), row]).sort((a, b) => compare(a[0], b[0])).forEach(([, row]) => body.append(row));
}
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.drawings")) one.open = true;
});
