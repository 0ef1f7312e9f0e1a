"use strict";
// Tables marked data-sortable are sorted by a click on a heading; an input marked data-filter="ID" narrows the rows of
// table ID; a link marked data-export="ID" saves that table as it was measured. A dot with data-point and the row with
// the same data-row point at each other: a filter dims the dots of hidden rows. Without scripts all rows are there.
(function () {
  function value(cell) { return cell ? (cell.dataset.value !== undefined ? cell.dataset.value : cell.textContent.trim()) : ""; }
  function compare(a, b) {
    var x = parseFloat(a), y = parseFloat(b), numbers = !isNaN(x) && !isNaN(y);
    if (isNaN(x) !== isNaN(y)) { return isNaN(x) ? 1 : -1; }  // gaps last
    return numbers ? x - y : a.localeCompare(b);
  }
  function sort(table, column, heading) {
    var down = heading.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
    table.querySelectorAll("thead th").forEach(function (th) { th.removeAttribute("aria-sort"); });
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    Array.from(table.querySelectorAll("tr.group")).forEach(function (row) { row.remove(); });  // an order over all groups
    Array.from(body.rows)
      .map(function (row) { return [value(row.cells[column]), row]; })
      .sort(function (a, b) {
        var gap = isNaN(parseFloat(a[0])) !== isNaN(parseFloat(b[0]));  // gaps are last in either direction
        return down && !gap ? compare(b[0], a[0]) : compare(a[0], b[0]);
      })
      .forEach(function (pair) { body.appendChild(pair[1]); });
  }
  document.querySelectorAll("table[data-sortable]").forEach(function (table) {
    table.querySelectorAll("thead th").forEach(function (heading, column) {
      var button = document.createElement("button");
      button.type = "button";
      while (heading.firstChild) { button.appendChild(heading.firstChild); }
      heading.appendChild(button);
      button.addEventListener("click", function () { sort(table, column, heading); });
    });
  });
  var dots = {};
  document.querySelectorAll("[data-point]").forEach(function (dot) {
    (dots[dot.dataset.point] = dots[dot.dataset.point] || []).push(dot);
  });
  function dotsOf(row) { return dots[row.dataset.row] || []; }
  function unfold(each) { for (; each; each = each.parentElement) { if (each.tagName === "DETAILS") { each.open = true; } } }
  document.querySelectorAll("[data-row]").forEach(function (row) {
    var both = dotsOf(row).concat(row);
    if (both.length === 1) { return; }
    both.forEach(function (each) {
      each.addEventListener("mouseenter", function () { both.forEach(function (e) { e.classList.add("picked"); }); });
      each.addEventListener("mouseleave", function () { both.forEach(function (e) { e.classList.remove("picked"); }); });
      if (each !== row) { each.addEventListener("click", function () { unfold(row); row.scrollIntoView({ block: "center" }); }); }
    });
  });
  document.querySelectorAll("input[data-filter]").forEach(function (input) {
    var table = document.getElementById(input.dataset.filter);
    input.parentElement.hidden = false;
    input.addEventListener("input", function () {
      var words = input.value.toLowerCase().split(/\s+/);
      var asked = words.some(Boolean);
      Array.from(table.tBodies[0].rows).forEach(function (row) {
        if (row.className === "group") { row.hidden = asked; return; }
        var text = row.textContent.toLowerCase();
        row.hidden = !words.every(function (word) { return text.includes(word); });
        dotsOf(row).forEach(function (dot) { dot.classList.toggle("dim", row.hidden); });
      });
    });
  });
  function quoted(text) { return /[",\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text; }
  function rows(table) {
    return Array.from(table.rows).filter(function (row) { return row.className !== "group"; }).map(function (row) { return Array.from(row.cells).map(function (cell) {
      return row.parentElement.tagName === "THEAD" ? cell.textContent.trim().replace(/\s+/g, " ") : value(cell); }); });
  }
  function records(table) {
    var all = rows(table), names = all[0];
    return all.slice(1).map(function (row) {
      return Object.fromEntries(row.map(function (text, i) { return [names[i], text]; })); });
  }
  document.querySelectorAll("a[data-export]").forEach(function (link) {
    link.addEventListener("click", function (event) {
      var table = document.getElementById(link.dataset.export), json = link.download.endsWith(".json");
      var text = json ? JSON.stringify(records(table), null, 2)
        : rows(table).map(function (row) { return row.map(quoted).join(","); }).join("\r\n");
      var address = URL.createObjectURL(new Blob([text], { type: json ? "application/json" : "text/csv" }));
      var save = document.createElement("a");
      save.href = address; save.download = link.download; save.click();
      setTimeout(function () { URL.revokeObjectURL(address); }, 1000);
      event.preventDefault();
    });
  });
})();
