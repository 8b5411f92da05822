"use strict";
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const find = (id) => document.getElementById(id);
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const SVG = "http://www.w3.org/2000/svg";
  // Names of classes and members are text, never markup: all elements are made here.
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "path", "line", "text", "circle", "g", "title"].includes(tag);
    const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }
  const colour = (name) => {
    const place = data.curves.findIndex((curve) => curve.name === name);
    return place < 0 ? "var(--ink)" : `var(--s${place % 20})`;
  };
  // Long names often differ at their ends only.
  const short = (name) => (name.length > 15 ? `${name.slice(0, 6)}…${name.slice(-7)}` : name);
  const percent = (share, digits = 2) => (share === null ? "–" : (100 * share).toFixed(digits));
  document.documentElement.classList.add("js");
  all(".live").forEach((element) => (element.hidden = false));
  all(".static").forEach((element) => (element.hidden = true));

  function pills(place, type, group, choices, changed) {
    find(place).replaceChildren(...choices.map(({ value, label, on, own }) =>
      make("label", own ? { class: "own", style: `--c: ${own}` } : {},
        make("input", { type, name: group, value, checked: on, onchange: changed }), make("span", {}, label))));
  }
  const chosen = (group) => all(`input[name=${group}]:checked`).map((input) => input.value);

  // Side by side
  const pictures = {}; // label → split → network → its picture
  for (const figure of all(".picture[data-label]")) {
    const { label, split, key } = figure.dataset;
    ((pictures[label] ??= {})[split] ??= {})[key.slice(key.indexOf("/") + 1)] = figure.querySelector("img");
  }
  let flipped = 0, busy = false;
  function chooseKind() {
    const splits = Object.keys(pictures[chosen("kind")[0]]), [before] = chosen("compared");
    find("compare-split").hidden = splits.length < 2;
    pills("compare-splits", "radio", "compared", splits.map((value, place) =>
      ({ value, label: value, on: splits.includes(before) ? value === before : !place })), showPanes);
    showPanes();
  }
  function showPanes() {
    const [kind] = chosen("kind"), [split] = chosen("compared"), [view] = chosen("view"), [zoom] = chosen("zoom");
    const inputs = all("input[name=network]"), of = pictures[kind][split], label = split ? `${kind}, ${split}` : kind;
    inputs.forEach((input) => (input.parentNode.hidden = !(input.value in of)));
    const names = chosen("network").filter((name) => name in of);
    const panes = find("panes");
    panes.className = view === "flip" ? "panes flip" : "panes";
    panes.style.setProperty("--n", Math.min(3, Math.max(1, names.length)));
    flipped = names.length ? flipped % names.length : 0;
    panes.replaceChildren(...names.map((name, place) => {
      const image = make("img", { src: of[name].src, alt: of[name].alt, width: of[name].getAttribute("width"),
        height: of[name].getAttribute("height"), style: `--ratio: ${of[name].getAttribute("width") / of[name].getAttribute("height")}` });
      const view = make("div", { class: "view", tabindex: 0, role: "region", "aria-label": `${label}, ${name}` }, image);
      view.style.setProperty("--zoom", zoom);
      view.addEventListener("scroll", () => {
        if (busy) return;
        busy = true;
        all(".view", panes).forEach((other) => { if (other !== view) { other.scrollLeft = view.scrollLeft; other.scrollTop = view.scrollTop; } });
        requestAnimationFrame(() => (busy = false));
      });
      const pane = make("figure", { class: place === flipped ? "pane shown" : "pane", style: `--c: ${colour(name)}` },
        make("figcaption", {}, name, make("small", {}, label)), view);
      if (panes.classList.contains("flip")) {
        view.addEventListener("keydown", (event) => {
          const step = { ArrowRight: 1, ArrowLeft: -1, Enter: 1 }[event.key];
          if (step) { event.preventDefault(); flip(step); }
        });
        image.addEventListener("click", () => flip(1));
      }
      return pane;
    }));
    find("compare-note").textContent = !names.length ? "Choose a network."
      : view === "flip" ? `Click the picture, or focus it and press the arrow keys, to flip through ${names.length} networks in place.`
      : "";
  }
  function flip(step) {
    const panes = all(".pane"), places = all(".view");
    const { scrollTop, scrollLeft } = places[flipped];
    flipped = (flipped + step + panes.length) % panes.length;
    panes.forEach((pane, place) => pane.classList.toggle("shown", place === flipped));
    Object.assign(places[flipped], { scrollTop, scrollLeft });
    places[flipped].focus({ preventScroll: true });
  }
  if (Object.keys(pictures).length) {
    pills("compare-kinds", "radio", "kind", Object.keys(pictures).map((value, place) => ({ value, label: value, on: !place })), chooseKind);
    pills("compare-members", "checkbox", "network", data.members.map((name, place) =>
      ({ value: name, label: name, on: place < 3 && name !== "ensemble", own: colour(name) })), showPanes);
    pills("compare-view", "radio", "view", [{ value: "beside", label: "Side by side", on: true }, { value: "flip", label: "Flip through" }], showPanes);
    pills("compare-zoom", "radio", "zoom", [["1", "Fit"], ["1.6", "160 %"], ["2.5", "250 %"]].map(([value, label]) => ({ value, label, on: value === "1" })), showPanes);
    chooseKind();
  } else find("compare").hidden = true;

  // Image by image
  const { images, files, tile, columns } = data.answers, groups = new Map(data.answers.groups), sheet = find("sheet");
  const rows = Math.ceil(images.length / columns), FIRST = 24;
  let group = null, limit = FIRST;
  const groupOf = (image) => image[2].map(([said]) => (said === image[1] ? "r" : "w")).join("");
  const mark = (right) => make("span", { class: right ? "r" : "w-mark", "aria-hidden": "true" }, right ? "✓" : "✗");
  function groupName(key) {
    const right = data.members.filter((_, place) => key[place] === "r");
    if (right.length === data.members.length) return data.members.length > 1 ? "all right" : "right";
    return right.length ? `only ${right.join(", ")} right` : data.members.length > 1 ? "all wrong" : "wrong";
  }
  function drawGroups() {
    const columns = `repeat(${data.members.length}, minmax(0, 1fr)) 4.6em`;
    const place = find("groups");
    place.style.setProperty("--columns", columns);
    place.classList.toggle("upright", data.members.length > 4);
    place.replaceChildren(
      make("div", { class: "head", "aria-hidden": "true" }, ...data.members.map((name) => make("span", { title: name }, short(name))), make("span", { class: "many" }, "images")),
      ...[...groups].map(([key, count]) => make("button",
        { type: "button", "aria-pressed": String(key === group), "aria-label": `${groupName(key)}: ${count} images`,
          onclick: () => { group = key === group ? null : key; limit = FIRST; drawGroups(); drawCards();
            all("button", place)[[...groups.keys()].indexOf(key)].focus(); } },
        ...[...key].map((letter) => mark(letter === "r")), make("span", { class: "many" }, count.toLocaleString("en")))));
  }
  function drawCards() {
    const wanted = find("answer-class").value;
    const found = images.map((image, place) => ({ image, place })).filter(({ image }) =>
      (group === null ? groupOf(image).includes("w") : groupOf(image) === group) && (wanted === "" || image[1] === Number(wanted)));
    const size = 112 / Math.max(...tile), width = Math.round(tile[0] * size), height = Math.round(tile[1] * size);
    find("cards").replaceChildren(...found.slice(0, limit).map(({ image: [index, truth, said], place }) => {
      const picture = make("span", { class: "tile", role: "img", "aria-label": `Test image ${index}, ${data.classes[truth]}` });
      Object.assign(picture.style, { width: `${width}px`, height: `${height}px`, backgroundImage: `url(${sheet.src})`,
        backgroundSize: `${columns * width}px ${rows * height}px`,
        backgroundPosition: `-${(place % columns) * width}px -${Math.floor(place / columns) * height}px` });
      return make("li", {}, picture, make("h4", {}, data.classes[truth], make("small", {}, `#${index}`)),
        make("div", { class: "says" }, ...said.flatMap(([answer, sure, truly], network) => {
          const right = answer === truth;
          return [mark(right),
            make("span", { class: "who" }, short(data.members[network])),
            make("span", { class: "what", title: `${data.members[network]}: ${data.classes[answer]}, ${(sure / 10).toFixed(1)} %; true class ${(truly / 10).toFixed(1)} %` }, right ? "" : data.classes[answer]),
            make("span", { class: "p" }, `${Math.round(sure / 10)} %`)];
        }), ...(files.length ? [make("span", { class: "file", title: files[place] }, files[place].replace(/^.*\//, ""))] : [])));
    }));
    const name = group === null ? (data.members.length > 1 ? "At least one is wrong" : "Wrong") : groupName(group).replace(/^./, (letter) => letter.toUpperCase());
    const everywhere = group === null ? [...groups].filter(([key]) => key.includes("w")).reduce((sum, [, count]) => sum + count, 0) : groups.get(group);
    find("answer-count").textContent = wanted === ""
      ? `${name}: ${everywhere.toLocaleString("en")} test images, ${found.length} of them on this page.`
      : `${name}, ${data.classes[wanted]}: ${found.length} on this page.`;
    const more = find("more-cards");
    more.hidden = found.length <= limit;
    more.textContent = `Show all ${found.length}`;
  }
  find("answer-class").append(make("option", { value: "" }, "all"), ...data.classes.map((name, place) => make("option", { value: place }, name)));
  find("answer-class").addEventListener("change", () => { limit = FIRST; drawCards(); });
  find("more-cards").addEventListener("click", () => { limit = Infinity; drawCards(); });
  drawGroups();
  drawCards();

  // Learning curves
  const epochs = [...new Set(data.curves.flatMap((curve) => curve.epochs))].sort((a, b) => a - b);
  let epoch = null;
  const shown = () => {
    const members = chosen("curve"), splits = chosen("split");
    return data.curves.filter((curve) => members.includes(curve.name)).flatMap((curve) => splits.map((split) => ({ curve, split })));
  };
  function ticks(low, high, log) {
    const found = [];
    if (log) {
      const steps = high / low > 100 ? [1] : high / low > 8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
        for (const step of steps) { const value = step * 10 ** power; if (value >= low && value <= high) found.push(value); }
      if (found.length > 1) return found;
      found.length = 0;
    }
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough) ?? power;
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
    return found;
  }
  function drawChart(place, quantity) {
    const svg = place.querySelector("svg"), width = Math.max(260, place.clientWidth - 24), height = Math.round(Math.min(320, Math.max(220, width * 0.6)));
    const [left, right, top, bottom] = [50, 12, 10, 30], log = quantity === "loss" && chosen("scale")[0] === "log";
    const lines = shown();
    const values = lines.flatMap(({ curve, split }) => [...curve[split][quantity], ...(curve[split].bands?.[quantity].flat() ?? [])]).filter((value) => value !== null && (!log || value > 0));
    let low = Math.min(...values), high = Math.max(...values);
    if (!values.length) [low, high] = [0.1, 1];
    if (low === high) [low, high] = [low * 0.95, high * 1.05 || 1];
    const air = log ? (high / low) ** 0.04 : 0.04 * (high - low);
    [low, high] = log ? [low / air, high * air] : [low - air, high + air];
    const [first, last] = [epochs[0], epochs[epochs.length - 1]];
    const x = (value) => left + (first === last ? 0.5 : (value - first) / (last - first)) * (width - left - right);
    const scale = log ? Math.log : (value) => value;
    const y = (value) => top + (scale(high) - scale(value)) / (scale(high) - scale(low)) * (height - top - bottom);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const parts = ticks(low, high, log).flatMap((value) => [
      make("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      make("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, quantity === "accuracy" ? `${+(100 * value).toFixed(2)} %` : String(+value.toPrecision(3)))]);
    const marked = last - first <= 8 ? epochs : ticks(first, last, false).filter(Number.isInteger);
    parts.push(...marked.map((value) => make("text", { x: x(value), y: height - 8, "text-anchor": "middle" }, value)));
    for (const { curve, split } of lines) {
      const band = curve[split].bands?.[quantity];
      if (band) {
        const edge = (end) => curve.epochs.map((at, index) => `${x(at)} ${y(Math.max(band[index][end] ?? low, log ? low : -Infinity))}`);
        parts.push(make("path", { class: "band", style: `fill: ${colour(curve.name)}`, d: `M${edge(0).join("L")}L${edge(1).reverse().join("L")}Z` }));
      }
      let path = "", pen = "M";
      curve[split][quantity].forEach((value, index) => {
        if (value === null || (log && value <= 0)) { pen = "M"; return; }
        path += `${pen}${x(curve.epochs[index]).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = "L";
      });
      parts.push(make("path", { class: split, stroke: colour(curve.name), d: path || "M0 0" }));
      if (split === "train" && curve.epochs.length === 1 && path) // a line of one point is not to be seen
        parts.push(make("circle", { cx: x(curve.epochs[0]), cy: y(curve[split][quantity][0]), r: 3, fill: colour(curve.name) }));
      const kept = curve.epochs.indexOf(curve.best), best = curve[split][quantity][kept];
      if (split === "validation" && kept >= 0 && best !== null)
        parts.push(make("circle", { cx: x(curve.best), cy: y(best), r: 5, fill: "var(--card)", stroke: colour(curve.name), "stroke-width": 2 }));
    }
    if (epoch !== null) {
      parts.push(make("line", { class: "cross", x1: x(epoch), x2: x(epoch), y1: top, y2: height - bottom }));
      for (const { curve, split } of lines) {
        const value = curve[split][quantity][curve.epochs.indexOf(epoch)];
        if (value !== undefined && value !== null) parts.push(make("circle", { cx: x(epoch), cy: y(value), r: 3.5, fill: colour(curve.name) }));
      }
    }
    svg.replaceChildren(...parts);
    svg.near = (clientX) => {
      const box = svg.getBoundingClientRect(), at = (clientX - box.left) / box.width * width;
      return epochs.reduce((best, each) => (Math.abs(x(each) - at) < Math.abs(x(best) - at) ? each : best));
    };
  }
  function drawValues() {
    const splits = chosen("split"), columns = ["accuracy", "loss"].flatMap((quantity) => splits.map((split) => [split, quantity]));
    find("curve-values").replaceChildren(
      make("caption", {}, epoch === null ? "At the epoch that was kept" : `After epoch ${epoch}`),
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "member"), make("th", { scope: "col", class: "n" }, "epoch"),
        ...columns.map(([split, quantity]) => make("th", { scope: "col", class: "n" }, `${split} ${quantity}`)))),
      make("tbody", {}, ...data.curves.filter((curve) => chosen("curve").includes(curve.name)).map((curve) => {
        const at = curve.epochs.indexOf(epoch ?? curve.best);
        return make("tr", {}, make("th", { scope: "row" }, make("span", { class: "swatch", style: `--c: ${colour(curve.name)}` }), curve.name),
          make("td", { class: "n" }, epoch ?? curve.best),
          ...columns.map(([split, quantity]) => {
            const value = at < 0 ? null : curve[split][quantity][at];
            return make("td", { class: "n" }, value === null ? "–" : quantity === "accuracy" ? `${percent(value)} %` : value.toFixed(4));
          }));
      })));
  }
  function drawCurves() {
    all(".chart").forEach((place) => drawChart(place, place.dataset.quantity));
    drawValues();
  }
  function at(next) {
    if (next !== epoch) { epoch = next; drawCurves(); }
  }
  for (const quantity of ["accuracy", "loss"]) {
    const svg = make("svg", { tabindex: 0, role: "img", "aria-label": `Chart of ${quantity} by epoch; arrow keys read its values in the table below`,
      onpointermove: (event) => at(svg.near(event.clientX)), onpointerdown: (event) => at(svg.near(event.clientX)),
      onpointerleave: (event) => { if (event.pointerType === "mouse") at(null); },
      onkeydown: (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], place = epoch === null ? (event.key === "ArrowLeft" ? epochs.length : -1) : epochs.indexOf(epoch);
        if (step) at(epochs[Math.min(epochs.length - 1, Math.max(0, place + step))]);
        else if (event.key === "Home") at(epochs[0]);
        else if (event.key === "End") at(epochs[epochs.length - 1]);
        else if (event.key === "Escape") at(null);
        else return;
        event.preventDefault();
      } });
    find("charts").append(make("div", { class: "chart", "data-quantity": quantity },
      make("h3", {}, quantity === "accuracy" ? "Accuracy " : "Loss ", make("small", {}, quantity === "accuracy" ? "by epoch; dashed: train" : "nats, by epoch; dashed: train")), svg));
  }
  pills("curve-members", "checkbox", "curve", data.curves.map(({ name }) => ({ value: name, label: name, on: true, own: colour(name) })), drawCurves);
  pills("curve-splits", "checkbox", "split", ["train", "validation"].map((value) => ({ value, label: value, on: true })), drawCurves);
  pills("curve-scale", "radio", "scale", [{ value: "log", label: "logarithmic", on: true }, { value: "linear", label: "linear" }], drawCurves);
  find("curve-values").setAttribute("aria-live", "polite");
  drawCurves();
  new ResizeObserver(drawCurves).observe(find("charts"));

  // Any picture in full size; the arrows go to the same picture of the next network.
  const viewer = find("viewer");
  let present = null;
  function view(figure) {
    const image = figure.querySelector("img"), large = find("viewer-image");
    present = figure;
    large.src = image.src;
    large.alt = image.alt;
    large.width = image.getAttribute("width");
    find("viewer-caption").textContent = figure.dataset.caption;
    const alone = siblings().length < 2;
    find("viewer-back").hidden = find("viewer-next").hidden = alone;
    if (!viewer.open) viewer.showModal();
  }
  const siblings = () => all(`.picture[data-key^="${present.dataset.key.split("/")[0]}/"]`);
  function turn(step) {
    const others = siblings();
    if (others.length > 1) view(others[(others.indexOf(present) + step + others.length) % others.length]);
  }
  for (const figure of all(".picture")) {
    const image = figure.querySelector("img");
    image.tabIndex = 0;
    image.setAttribute("role", "button");
    image.setAttribute("aria-haspopup", "dialog");
    image.addEventListener("click", () => view(figure));
    image.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault(); // or the same key press would go on to the button that the viewer gives the focus to
      view(figure);
    });
  }
  find("viewer-close").addEventListener("click", () => viewer.close());
  find("viewer-back").addEventListener("click", () => turn(-1));
  find("viewer-next").addEventListener("click", () => turn(1));
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && event.target.tagName !== "DIV") { event.preventDefault(); turn(step); }
  });

  // The rest: copying, printing, links into folded parts, the section that is being read
  find("copy").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(find("yaml").textContent); find("copy").textContent = "Copied"; }
    catch { getSelection().selectAllChildren(find("yaml")); find("copy").textContent = "Selected"; }
  });
  let closed = [];
  addEventListener("beforeprint", () => { closed = all("details:not([open])"); closed.forEach((one) => (one.open = true)); });
  addEventListener("afterprint", () => closed.forEach((one) => (one.open = false)));
  function unfold() {
    const target = location.hash && find(decodeURIComponent(location.hash.slice(1)));
    if (target?.tagName === "DETAILS") target.open = true;
  }
  addEventListener("hashchange", unfold);
  unfold();
  const links = all("nav a"), visible = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) visible[isIntersecting ? "add" : "delete"](target.id);
    const current = links.find((link) => visible.has(link.hash.slice(1)));
    if (current) links.forEach((link) => (link === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
  }, { rootMargin: "-64px 0px -60% 0px" });
  all("main > section").forEach((section) => observer.observe(section));
})();
