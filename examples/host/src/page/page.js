"use strict";
(() => {
  const live = document.getElementById("live");
  const stale = document.getElementById("stale");
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/live" + location.search, { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      update(live, fresh.content);
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  };
  // Takes over what differs and leaves the rest alone: focus, scroll position and selection stay.
  const update = (old, fresh) => {
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    after.forEach((node, index) => {
      const known = before[index];
      if (!known) old.append(node);
      else if (known.nodeName !== node.nodeName || !sameAttributes(known, node)) known.replaceWith(node);
      else if (node.nodeType === Node.TEXT_NODE) known.data === node.data || (known.data = node.data);
      else update(known, node);
    });
    before.slice(after.length).forEach((node) => node.remove());
  };
  const sameAttributes = (a, b) =>
    a.nodeType !== Node.ELEMENT_NODE ||
    (a.attributes.length === b.attributes.length &&
      [...a.attributes].every(({ name, value }) => b.getAttribute(name) === value));
  setInterval(refresh, 2000);
  document.addEventListener("visibilitychange", refresh);
})();
