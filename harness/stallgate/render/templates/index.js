"use strict";
// The list of runs is narrowed by the selects in #facets. The form #compare is for a served page, whose script shows it.
(function () {
  var facets = document.getElementById("facets"), table = document.getElementById("runs");
  if (!facets || !table) { return; }
  var selects = Array.from(facets.querySelectorAll("select")), rows = Array.from(table.tBodies[0].rows);
  function matches(row, select) {
    return !select.value || (row.dataset[select.dataset.facet] || "").split("|").includes(select.value);
  }
  function narrow() {
    var kept = 0;
    rows.forEach(function (row) {
      var shown = selects.every(function (select) { return matches(row, select); });
      row.style.display = shown ? "" : "none";
      kept += shown;
    });
    document.getElementById("shown").textContent = kept === rows.length ? "" : kept + " of " + rows.length + " runs";
  }
  facets.hidden = selects.length === 0;
  selects.forEach(function (select) { select.addEventListener("change", narrow); });
  narrow();  // a browser keeps what was chosen when the page is loaded again
})();
