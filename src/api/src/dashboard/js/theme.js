// Sets the theme before the first paint: the stored choice, or else that of the system.
(function () {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("vajra.theme"); } catch { return null; }
  };
  const apply = () => {
    const theme = chosen() || (system.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    window.dispatchEvent(new Event("vajra-theme"));
  };
  window.vajraTheme = {
    current: () => document.documentElement.dataset.theme,
    toggle() {
      const next = this.current() === "dark" ? "light" : "dark";
      try { localStorage.setItem("vajra.theme", next); } catch { /* not stored; applies to this page only */ }
      document.documentElement.dataset.theme = next;
      window.dispatchEvent(new Event("vajra-theme"));
    },
  };
  system.addEventListener("change", apply);
  apply();
  // Errors, for debugging.
  window.vajraErrors = [];
  const note = (text) => { if (window.vajraErrors.length < 100) window.vajraErrors.push(String(text)); };
  window.addEventListener("error", (e) => note(e.message || (e.target && e.target.src)), true);
  window.addEventListener("unhandledrejection", (e) => note((e.reason && e.reason.stack) || e.reason));
  window.addEventListener("securitypolicyviolation", (e) => note(`policy: ${e.violatedDirective} ${e.blockedURI}`));
})();
