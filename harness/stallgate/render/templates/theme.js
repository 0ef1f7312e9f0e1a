"use strict";
// The reader's choice, or the system's; before anything is painted.
(function () {
  var root = document.documentElement;
  function chosen() { try { return localStorage.getItem("stallgate-theme"); } catch (error) { return null; } }
  function show() {
    var dark = chosen() ? chosen() === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "dark" : "light";
  }
  show();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  addEventListener("beforeprint", function () { root.dataset.theme = "light"; });
  addEventListener("afterprint", show);
  addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("[data-theme-switch]").forEach(function (button) {
      button.hidden = false;
      button.addEventListener("click", function () {
        try { localStorage.setItem("stallgate-theme", root.dataset.theme === "dark" ? "light" : "dark"); } catch (error) { /* a file may have no storage */ }
        root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
      });
    });
  });
})();
