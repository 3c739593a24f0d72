"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = (selector) => document.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const rows = all("#runs tbody tr");
const shown = () => rows.filter((row) => !row.hidden && row.querySelector("input").checked).map((row) => +row.dataset.run);
const updates = []; // what is drawn anew when other runs are chosen

// tables: a click on a header sorts
for (const button of all("thead button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement, body = header.closest("table").tBodies[0];
    const order = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order === 1 ? "ascending" : "descending");
    const cell = (row) => row.cells[Math.min(header.cellIndex, row.cells.length - 1)]; // the last one may be a wide one
    const value = (row) => cell(row).dataset.value ?? cell(row).textContent;
    const isNumber = header.classList.contains("number");
    const isMissing = (text) => text === "" || text === "–" || (isNumber && Number.isNaN(Number(text)));
    const sorted = [...body.rows].sort((first, second) => {
      const a = value(first), b = value(second);
      if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);
      return order * (isNumber ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    });
    body.append(...sorted);
  });
}
find("#all")?.addEventListener("change", (event) => find("#runs").classList.toggle("all", event.target.checked));
find("#filter")?.addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  find("#count").textContent = rows.filter((row) => !row.hidden).length + " of " + rows.length;
  updates.forEach((update) => update());
});
for (const box of all("#runs tbody input")) box.addEventListener("change", () => updates.forEach((update) => update()));
find("#differing")?.addEventListener("change", (event) => find("#config").classList.toggle("all", event.target.checked));

// curves
const colours = ["#3b7dc4", "#e07b39", "#3d9a5b", "#c94c5a", "#8e6bbf", "#a0705a", "#d37fb5", "#7d8590", "#b0a02c", "#2fa6b3"];
const dashes = ["solid", "dash", "dot", "dashdot"];
const line = (place) => ({ color: colours[place % 10], dash: dashes[Math.floor(place / 10) % 4], width: 2 });
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const layout = (more) => ({
  paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: css("--ink"), family: "system-ui, sans-serif" },
  margin: { l: 64, r: 16, t: 16, b: 60 }, ...more,
});
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;"); // Plotly reads its own kind of HTML
const axis = (more) => ({ gridcolor: css("--line"), zerolinecolor: css("--line"), linecolor: css("--line"), ...more });
const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

const isNarrow = () => innerWidth < 700;
const legend = (names) => isNarrow() ? { orientation: "h", y: -0.2, yanchor: "top", font: { size: 10 } } :
  names > 6 ? { y: 1, yanchor: "top" } : { orientation: "h", y: 1, yanchor: "bottom" };
const short = (name) => isNarrow() && name.length > 30 ? name.slice(0, 14) + "…" + name.slice(-14) : name;

function smooth(values, weight) { // as TensorBoard does: an exponential average without the bias of its start
  let sum = 0, total = 0;
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

function points(run, metric, over) {
  const x = data.curves[run].x[over], y = Object.hasOwn(data.curves[run].y, metric) ? data.curves[run].y[metric] : [];
  const known = y.map((value, i) => [x[i], value]).filter(([a, b]) => a !== null && b !== null);
  return [known.map(([a]) => a), known.map(([, b]) => b)];
}

function drawCurves() {
  const metric = find("#metric").value, over = find("#over").value, weight = +find("#smoothing").value;
  const isGrouped = find("#grouped").checked, groups = new Map(), traces = [], ends = [];
  find("#smoothing-value").textContent = weight.toFixed(2);
  for (const run of shown()) {
    const key = isGrouped ? data.groups[run] : run;
    if (data.curves[run]) groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  for (const [key, runs] of groups) {
    const style = line(runs[0]);
    const add = (name, trace) => {
      traces.push({ ...trace, line: style, name: plain(name) });
      ends.push(name + " ends at " + trace.y[trace.y.length - 1].toPrecision(5));
    };
    const curves = runs.map((run) => points(run, metric, over)).map(([x, y]) => [x, weight ? smooth(y, weight) : y]);
    if (runs.length === 1) {
      const [[x, y]] = curves;
      if (x.length) add(short(data.labels[runs[0]]), { x, y, mode: x.length < 40 ? "lines+markers" : "lines", marker: { size: 4 } });
      continue;
    }
    // mean and standard deviation wherever all of them are
    const present = curves.filter(([x]) => x.length).length;
    const places = new Map();
    curves.forEach(([x, y]) => y.forEach((value, i) => {
      const place = over === "seconds" ? i : x[i];
      places.set(place, [...(places.get(place) ?? []), [x[i], value]]);
    }));
    const sorted = [...places.keys()].sort((a, b) => a - b).map((place) => places.get(place)).filter((found) => found.length === present);
    const mean = (numbers) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
    const x = sorted.map((found) => mean(found.map(([a]) => a)));
    const y = sorted.map((found) => mean(found.map(([, b]) => b)));
    const spread = sorted.map((found, i) =>
      Math.sqrt(found.reduce((sum, [, b]) => sum + (b - y[i]) ** 2, 0) / Math.max(1, present - 1)));
    if (!x.length) continue;
    traces.push({ x: [...x, ...x.slice().reverse()], fill: "toself", fillcolor: style.color + "33", mode: "none",
      y: [...y.map((v, i) => v + spread[i]), ...y.map((v, i) => v - spread[i]).reverse()], hoverinfo: "skip",
      legendgroup: String(key), showlegend: false });
    add(short(data.groupLabels[runs[0]]) + " (mean of " + present + " runs)", { x, y, mode: x.length < 40 ? "lines+markers" : "lines", marker: { size: 4 }, legendgroup: String(key) });
  }
  const tasks = new Set(shown().filter((run) => Object.hasOwn(data.curves[run].y, metric)).map((run) => data.tasks[run]));
  tasks.delete(null); // of broken runs nothing is known
  find("#task-note").hidden = tasks.size < 2;
  const names = { epoch: "epoch", step: "step", seconds: "time of training, s" };
  const isLog = find("#log").checked;
  const positive = traces.every((trace) => trace.y.every((value) => value > 0));
  find("#curve-note").textContent = !traces.length ? "None of the runs has " + metric + " over " + names[over] + "." :
    isLog && !positive ? "A logarithmic axis needs positive numbers: it is linear." : "";
  const most = Math.max(0, ...traces.flatMap((trace) => trace.x)), ticks = over === "epoch" && most <= 12 ? { dtick: 1 } : {};
  find("#curves").style.height = 440 + (isNarrow() ? 29 * ends.length : 0) + "px";
  Plotly.react("curves", traces, layout({
    xaxis: axis({ title: { text: names[over] }, ...ticks }), legend: legend(ends.length),
    yaxis: axis({ title: { text: plain(metric) }, type: isLog && positive ? "log" : "linear" }), hovermode: "closest",
    showlegend: true, uirevision: metric + over + isLog,
  }), config);
  find("#curves").setAttribute("aria-label", metric + " of " + groups.size + " runs over " + names[over] +
    ": " + ends.join(", "));
}
if (find("#curves")) {
  for (const id of ["#metric", "#over", "#smoothing", "#grouped", "#log"]) find(id).addEventListener("input", drawCurves);
  updates.push(drawCurves);
  find("#curves").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event, { xaxis, yaxis } = find("#curves")._fullLayout;
    const right = { ArrowRight: 0.1, ArrowLeft: -0.1 }[key] ?? 0, up = { ArrowUp: 0.1, ArrowDown: -0.1 }[key] ?? 0;
    const size = { "+": 0.7, "=": 0.7, "-": 1 / 0.7, "−": 1 / 0.7 }[key] ?? 1; // = is + without shift
    const range = ({ range: [low, high] }, move) => {
      const middle = (low + high) / 2 + move * (high - low), half = size * (high - low) / 2;
      return [middle - half, middle + half];
    };
    if (key === "0") Plotly.relayout("curves", { "xaxis.autorange": true, "yaxis.autorange": true });
    else if (right || up || size !== 1) Plotly.relayout("curves", { "xaxis.range": range(xaxis, right), "yaxis.range": range(yaxis, up) });
    else return;
    event.preventDefault();
  });
}

// accuracy of classes: differences to the baseline
const scale = (most) => ({ zmid: 0, zmin: -most, zmax: most, colorscale: [[0, "#c94c5a"], [0.5, css("--paper")], [1, "#3b7dc4"]] });
function drawClasses() {
  const runs = shown().filter((run) => data.classes.perClass[run]), names = data.classes.names.map(plain);
  const real = runs.map((run) => data.classes.perClass[run]);
  Plotly.react("classes", [{ type: "heatmap", x: names, y: runs.map((run) => plain(short(data.labels[run]))), z: real, colorscale: "Viridis",
    zmin: 0, zmax: 1, hovertemplate: "%{y}, class %{x}: %{z:.0%}<extra></extra>", colorbar: { tickformat: ".0%" } }], layout({
    height: 120 + 26 * runs.length, xaxis: axis({ type: "category", tickangle: 0, dtick: 1, tickfont: { size: 10 } }),
    yaxis: axis({ type: "category", autorange: "reversed", automargin: true }) }), config);
}
function drawConfusion() {
  const run = +find("#confused").value, base = data.classes.baseline, names = data.classes.names;
  const share = (counts) => counts.map((row) => {
    const sum = row.reduce((a, b) => a + b, 0) || 1;
    return row.map((count) => count / sum);
  });
  const mine = share(data.classes.confusion[run]), other = share(data.classes.confusion[base]);
  const z = mine.map((row, i) => row.map((value, j) => value - other[i][j]));
  const changes = z.flatMap((row, i) => row.map((value, j) => [value, i, j])).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
  const axes = { x: names.map(plain), y: names.map(plain) };
  Plotly.react("confusion", [{ type: "heatmap", ...axes, z, ...scale(Math.max(0.05, Math.abs(changes[0][0]))),
    hovertemplate: "generated as %{y}, read as %{x}: %{z:+.1%}<extra></extra>", colorbar: { tickformat: "+.0%" } }], layout({
    height: 620, xaxis: axis({ type: "category", title: { text: "read as" } }),
    yaxis: axis({ type: "category", autorange: "reversed", title: { text: "generated as" } }) }), config);
  const texts = changes.slice(0, 8).filter(([value]) => value).map(([value, i, j]) => names[i] +
    (i === j ? " read right " : " read as " + names[j] + " ") + (value > 0 ? "+" : "−") + Math.abs(100 * value).toFixed(0) + " %");
  find("#confusion-note").textContent = texts.length ? "Largest changes: " + texts.join("; ") : "No change.";
}
if (find("#classes")) updates.push(drawClasses);
if (find("#confusion")) {
  find("#confused").addEventListener("change", drawConfusion);
  updates.push(drawConfusion);
}

// pictures: one kind at a time, over the epochs
function drawPictures() {
  const kind = find("input[name=kind]:checked").value, pictures = data.pictures.shown[kind], visible = new Set(shown());
  const epochs = [...new Set(pictures.flat().map(([epoch]) => epoch))].sort((a, b) => a - b);
  const slider = find("#epoch"), last = epochs.length - 1;
  if (slider.dataset.kind !== kind) {
    Object.assign(slider, { max: last, value: last });
    slider.dataset.kind = kind;
  }
  const epoch = epochs[Math.min(+slider.value, last)];
  slider.parentElement.hidden = last < 1;
  find("#epoch-value").textContent = epoch;
  slider.setAttribute("aria-valuetext", "epoch " + epoch);
  for (const figure of all(".gallery figure[data-run]")) {
    const run = +figure.dataset.run, mine = pictures[run] ?? [];
    figure.hidden = !visible.has(run);
    const [at, place] = [...mine].reverse().find(([e]) => e <= epoch) ?? mine[0] ?? [];
    const image = figure.querySelector("img"), none = figure.querySelector(".none");
    image.hidden = image.parentElement.hidden = place === undefined;
    none.hidden = !image.hidden;
    figure.querySelector(".epoch").textContent = at ? "epoch " + at : "";
    if (place === undefined) continue;
    const { src, width, height } = data.pictures.images[place];
    if (image.src !== src) Object.assign(image, { src, width, height });
    image.alt = data.pictures.kinds[kind] + " of " + data.labels[run] + (at ? " after epoch " + at : "");
  }
}
if (find(".gallery")) {
  for (const input of all("input[name=kind], #epoch")) input.addEventListener("input", drawPictures);
  updates.push(drawPictures);

  // a click enlarges a picture; the arrows go to those of other runs
  const dialog = find("#large"), large = find("#large img");
  let opened;
  const enlarge = (button) => {
    opened = button;
    const { src, alt } = button.firstChild, { naturalWidth: width, naturalHeight: height } = button.firstChild;
    const fit = Math.max(1, Math.min((innerWidth * 0.96 - 24) / width, (innerHeight * 0.96 - 80) / height)); // else it scrolls
    const scale = fit < 2 ? fit : Math.floor(fit);
    Object.assign(large, { src, alt, hidden: false, width: scale * width, height: scale * height, className: fit < 2 ? "" : "pixels" });
    find("#large-caption").textContent = alt;
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => { // after the last run comes the first
    const pictures = all(".gallery figure:not([hidden]) button.picture:not([hidden])");
    enlarge(pictures[(pictures.indexOf(opened) + by + pictures.length) % pictures.length]);
  };
  for (const button of all(".gallery button.picture")) button.addEventListener("click", () => enlarge(button));
  for (const button of all("#large button")) button.addEventListener("click", () => +button.value ? step(+button.value) : dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside the picture
  dialog.addEventListener("close", () => opened.focus());
}

updates.forEach((update) => update());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => updates.forEach((update) => update()));
