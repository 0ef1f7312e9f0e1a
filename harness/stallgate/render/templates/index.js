"use strict";
// The list of runs is narrowed by the selects in #facets and by the words in the filter; of what matches, a page is
// shown, and #more shows the next. Without scripts all rows are there. The form #compare is for a served page, whose
// script shows it.
(function () {
  var PAGE = 200, facets = document.getElementById("facets"), table = document.getElementById("runs");
  if (!facets || !table) { return; }
  var body = table.tBodies[0], more = document.getElementById("more"), room = PAGE;
  var selects = Array.from(facets.querySelectorAll("select"));
  function matches(row, select) {
    return !select.value || (row.dataset[select.dataset.facet] || "").split("|").includes(select.value);
  }
  function narrow() {
    var kept = 0, all = body.rows.length;
    Array.from(body.rows).forEach(function (row) {
      var fits = !row.hidden && selects.every(function (select) { return matches(row, select); });
      kept += fits;
      var shown = fits && kept <= room ? "" : "none";
      if (row.style.display !== shown) { row.style.display = shown; }
    });
    var words = kept === all ? "" : kept + " of " + all + " runs";
    if (kept > room) { words = "the first " + room + " of " + (words || all + " runs"); }
    document.getElementById("shown").textContent = words;
    more.hidden = kept <= room;
    more.textContent = "Show " + Math.min(PAGE, kept - room) + " more of " + (kept - room);
  }
  function anew() { room = PAGE; narrow(); }
  facets.hidden = selects.length === 0 && body.rows.length <= PAGE;
  selects.forEach(function (select) { select.addEventListener("change", anew); });
  more.addEventListener("click", function () { room += PAGE; narrow(); });
  // tables.js filters by words and sorts: what it leaves is narrowed after it
  document.querySelector('[data-filter="runs"]').addEventListener("input", function () { setTimeout(anew); });
  table.tHead.addEventListener("click", function () { setTimeout(anew); });
  table.classList.add("paged");
  narrow();  // a browser keeps what was chosen when the page is loaded again
})();
