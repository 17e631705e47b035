// Replaces the part of the page that has data-live with what the server sends,
// while somebody looks at it. Without this file the page asks for itself anew.
"use strict";
(function () {
  var part = document.querySelector("[data-live]");
  var state = document.querySelector("[data-live-state]");
  if (!part || !state || !window.EventSource) {
    return;
  }
  var source = null;
  function say(text, well) {
    state.hidden = false;
    state.textContent = text;
    state.className = well ? "live on" : "live";
  }
  function stop() {
    if (source) {
      source.close();
      source = null;
    }
  }
  function start() {
    if (source || document.hidden) {
      return;
    }
    source = new EventSource(part.getAttribute("data-live") + location.search);
    source.onopen = function () { say("live", true); };
    source.onmessage = function (event) { part.innerHTML = event.data; };
    source.onerror = function () {
      if (source && source.readyState === EventSource.CLOSED) {
        stop();
        say("not live: load the page again", false);
      } else {
        say("asking again", false);
      }
    };
  }
  document.addEventListener("visibilitychange", function () {
    if (document.hidden) { stop(); } else { start(); }
  });
  start();
})();
