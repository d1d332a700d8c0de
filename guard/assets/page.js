// The live page. The guard makes all HTML; this puts it in place, draws charts, and sends the orders of the
// switches. See guard/src/admin/page.rs.

/* global uPlot */

const $ = (selector) => document.querySelector(selector);
const root = document.documentElement;

// === What the stream brings takes the place of what stands there ===

// Changes `old` into `now`, node by node, so that focus, selection and scrolling stay where they are. Rows of tables
// are told apart by `data-key`.
function become(old, now) {
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName || old.id !== now.id) {
    old.replaceWith(now);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== now.data) old.data = now.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!now.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...now.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  becomeWithin(old, now);
}

function becomeWithin(old, now) {
  const key = (node) => node?.dataset?.key;
  const known = new Map([...old.children].filter(key).map((child) => [key(child), child]));
  const wanted = [...now.childNodes];
  wanted.forEach((child, at) => {
    let here = old.childNodes[at];
    if (here && key(child) !== key(here)) {
      const moved = known.get(key(child));
      here = old.insertBefore(moved ?? child, here);
      if (!moved) return;
    }
    if (here) become(here, child);
    else old.append(child);
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

function put(element, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  becomeWithin(element, template.content);
}

// === Charts ===

const MINUTES = 10;
const samples = [];

const of = (get) => () => samples.map((sample) => get(sample) ?? null);
const seconds = of((sample) => sample.unix_ms / 1000);

// What each chart shows: lines by the name of their colour, and the words below its title.
const TIMED = {
  throughput: {
    lines: [
      { label: "statements", colour: "main", fill: true, get: of((s) => s.rates.statements) },
      { label: "refused", colour: "alarm", get: of((s) => s.rates.refused) },
      { label: "cancelled", colour: "warn", get: of((s) => s.rates.cancelled) },
    ],
    said: (s) => `now ${Math.round(s.rates.statements)}, ${Math.round(s.rates.refused)} refused`,
  },
  inflight: {
    lines: [
      { label: "in flight", colour: "main", fill: true, get: of((s) => s.in_flight) },
      { label: "limit", colour: "warn", get: of((s) => s.limit) },
      { label: "knee", colour: "other", dash: [4, 4], get: of((s) => s.knee) },
    ],
    said: (s) => `now ${s.in_flight}` + (s.limit == null ? "" : ` of ${s.limit}`),
  },
  latency: {
    // On the scale of a logarithm nothing is zero.
    isLog: true,
    lines: [
      { label: "half within", colour: "main", get: of((s) => s.rates.service_p50_ms || null) },
      { label: "99 % within", colour: "warn", get: of((s) => s.rates.service_p99_ms || null) },
      { label: "99 % wait", colour: "other", get: of((s) => s.rates.wait_p99_ms || null) },
    ],
    said: (s) => (s.rates.service_p99_ms == null ? "" : `now 99 % within ${s.rates.service_p99_ms.toPrecision(2)} ms`),
  },
  waiting: {
    lines: [
      { label: "for a turn", colour: "warn", fill: true, get: of((s) => s.queued) },
      { label: "for a lock", colour: "alarm", get: of((s) => s.blocked) },
    ],
    said: (s) => `now ${s.queued} for a turn, ${s.blocked} for a lock`,
  },
  pressure: {
    lines: [{ label: "pressure", colour: "main", fill: true, get: of((s) => s.pressure) }],
    said: (s) => `now ${s.pressure.toFixed(2)}; 1 is just borne`,
  },
};

const charts = new Map();
const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

function axes() {
  const look = { stroke: colour("faint"), font: "12px system-ui", grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  const short = (value) => (value == null ? "" : value >= 1000 ? `${+(value / 1000).toPrecision(3)}k` : `${+value.toPrecision(3)}`);
  return { x: { ...look, size: 30, space: 70 }, y: { ...look, size: 46, values: (_, all) => all.map(short) } };
}

const figure = (_, value) => (value == null ? "–" : `${Math.round(value * 10) / 10}`);

function timed({ lines, isLog }) {
  const { x, y } = axes();
  // A minute at least, and what is known beyond that.
  const span = (_, from, to) => (to == null ? [0, 60] : [Math.min(from, to - 60), to]);
  const clock = (_, all) => all.map((at) => new Date(at * 1000).toTimeString().slice(0, at % 60 === 0 ? 5 : 8));
  return {
    scales: { x: { range: span }, y: isLog ? { distr: 3, range: decades } : { range: fromZero } },
    axes: [{ ...x, values: clock }, isLog ? { ...y, splits: powers } : y],
    cursor: { drag: { x: false, y: false }, sync: { key: "time" } },
    series: [{ value: (_, at) => (at == null ? "–" : new Date(at * 1000).toTimeString().slice(0, 8)) }].concat(
      lines.map(({ label, colour: name, fill, dash }) => ({
        label, dash, value: figure, width: 1.5, points: { show: false },
        stroke: colour(name), fill: fill && `${colour(name)}22`,
      })),
    ),
  };
}

const fromZero = (_, from, to) => [0, Math.max((to ?? 0) * 1.1, 1)];
const decades = (_, from, to) =>
  from == null ? [0.1, 100] : [10 ** Math.floor(Math.log10(from)), 10 ** Math.ceil(Math.log10(to * 1.01))];
const powers = (_, __, from, to) => {
  const first = Math.round(Math.log10(from));
  return Array.from({ length: Math.round(Math.log10(to)) - first + 1 }, (_, at) => 10 ** (first + at));
};

// Each second is a point; the limit and the knee are lines across.
function scatter() {
  const { x, y } = axes();
  const across = (chart) => {
    const last = samples.at(-1);
    for (const [at, name] of [[last?.limit, "warn"], [last?.knee, "other"]]) {
      if (at == null || at > chart.scales.x.max) continue;
      const { ctx, bbox } = chart;
      const left = chart.valToPos(at, "x", true);
      ctx.save();
      ctx.strokeStyle = colour(name);
      ctx.lineWidth = 2;
      ctx.setLineDash([5, 5]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      ctx.restore();
    }
  };
  const upTo = (_, from, to) => [0, Math.max(to ?? 0, samples.at(-1)?.limit ?? 0, 1) * 1.05];
  return {
    scales: { x: { time: false, range: upTo }, y: { range: fromZero } },
    axes: [x, y],
    cursor: { drag: { x: false, y: false } },
    hooks: { draw: [across] },
    series: [
      { label: "in flight", value: figure },
      { label: "statements a second", value: figure, stroke: colour("main"), paths: () => null, points: { show: true, size: 5, fill: colour("main") } },
    ],
  };
}

function knee() {
  const points = samples.map((s) => [s.in_flight, s.rates.statements]).sort((a, b) => a[0] - b[0]);
  return [points.map((point) => point[0]), points.map((point) => point[1])];
}

const data = (name) => (name === "knee" ? knee() : [seconds(), ...TIMED[name].lines.map((line) => line.get())]);

function drawAll() {
  for (const { plot } of charts.values()) plot.destroy();
  charts.clear();
  for (const name of [...Object.keys(TIMED), "knee"]) {
    const place = $(`#chart-${name} .plot`);
    const size = { width: place.clientWidth, height: 180, padding: [8, 24, 0, 0] };
    const shape = name === "knee" ? scatter() : timed(TIMED[name]);
    charts.set(name, { place, plot: new uPlot({ ...shape, ...size }, data(name), place) });
  }
}

function showSamples() {
  const last = samples.at(-1);
  for (const [name, { plot }] of charts) {
    plot.setData(data(name));
    const said = name === "knee" ? kneeSaid(last) : TIMED[name].said(last);
    $(`#chart-${name} .said`).textContent = said;
  }
}

function kneeSaid(last) {
  const knee = last.knee == null ? "no knee found yet" : `knee at ${Math.round(last.knee)}`;
  return last.limit == null ? knee : `limit ${last.limit}, ${knee}`;
}

function note(sample) {
  if (sample.unix_ms <= (samples.at(-1)?.unix_ms ?? 0)) return;
  samples.push(sample);
  if (samples.length > MINUTES * 60) samples.shift();
}

async function remember() {
  const answer = await fetch("/api/v1/history");
  samples.length = 0;
  for (const sample of await answer.json()) note(sample);
}

// === The stream ===

let heard = Date.now();

function listen() {
  const stream = new EventSource("/page/stream");
  stream.onopen = async () => {
    await remember();
    if (samples.length > 0) showSamples();
  };
  stream.addEventListener("page", (event) => {
    const told = JSON.parse(event.data);
    heard = Date.now();
    put($("#glance"), told.glance);
    put($("#tables"), told.tables);
    announce(told);
    note(told.sample);
    if (samples.length > 0) showSamples();
    showLink();
  });
  // The browser tries again by itself, unless it was refused: the login is over, or there are too many.
  stream.onerror = async () => {
    if (stream.readyState !== EventSource.CLOSED) return;
    const answer = await fetch("/page/page.js").catch(() => null);
    if (answer?.status === 401) location.assign("/login");
    else setTimeout(listen, 3000);
  };
}

// Told to who cannot see it when it becomes better or worse; the figures change too often to be read out.
function announce({ level, headline }) {
  if (root.dataset.level !== level) $("#announce").textContent = `${level}: ${headline}`;
  root.dataset.level = level;
  document.title = level === "calm" ? "Tidegate" : `${level} – Tidegate`;
}

function showLink() {
  const silent = Math.round((Date.now() - heard) / 1000);
  root.classList.toggle("stale", silent > 3);
  $("#link").textContent = silent > 3 ? `no answer for ${silent} s; what is shown is old` : "live";
}

// === Switches ===

const off = $("#off");
const on = $("#on");
let target = "";

document.addEventListener("click", ({ target: clicked }) => {
  const button = clicked.closest("button");
  if (button?.dataset.flip === "off") ask(off, button.dataset.target);
  if (button?.dataset.flip === "on") ask(on, button.dataset.target);
  if (button && "close" in button.dataset) button.closest("dialog").close();
});

function ask(dialog, which) {
  target = which;
  dialog.querySelector(".failed").textContent = "";
  if (dialog === off) {
    const form = off.querySelector("form").elements;
    form.target.value = which;
    form.reason.value = "";
    form.author.value = localStorage.getItem("author") ?? "";
    sayWhat();
  } else {
    $("#on-target").textContent = which;
  }
  dialog.showModal();
  const first = dialog === on ? ".sure" : which === "" ? "#off-target" : "#off-reason";
  dialog.querySelector(first).focus();
}

// The button says what it will do.
function sayWhat() {
  const { target: of, keep, time } = off.querySelector("form").elements;
  const what = keep.value === "0" ? "off" : `down to ${keep.selectedOptions[0].text}`;
  const until = time.selectedOptions[0].text;
  const end = time.value === "" ? until : `for ${until}`;
  off.querySelector(".sure").textContent = `Turn ${of.value || "it"} ${what} ${end}`;
}
off.addEventListener("input", sayWhat);

off.addEventListener("submit", (event) => {
  const { target: of, keep, time, reason, author } = event.target.elements;
  localStorage.setItem("author", author.value);
  send(event, off, "POST", {
    target: of.value,
    keep_ratio: Number(keep.value),
    ttl_ms: time.value === "" ? null : Number(time.value),
    reason: reason.value,
    author: author.value,
  });
});
on.addEventListener("submit", (event) => send(event, on, "DELETE", { target }));

async function send(event, dialog, method, order) {
  event.preventDefault();
  const sure = dialog.querySelector(".sure");
  sure.disabled = true;
  try {
    const answer = await fetch("/api/v1/switches", {
      method,
      headers: { "X-Tidegate": "1", "Content-Type": "application/json" },
      body: JSON.stringify(order),
    });
    if (!answer.ok) throw new Error((await answer.json()).error);
    dialog.close();
    $("#announce").textContent = `${order.target} is turned ${method === "POST" ? "off or down" : "on again"}`;
  } catch (error) {
    dialog.querySelector(".failed").textContent = `Not done: ${error.message}`;
  } finally {
    sure.disabled = false;
  }
}

// === Begin ===

root.classList.add("js");
$("#charts").hidden = false;
drawAll();
listen();
setInterval(showLink, 1000);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
new ResizeObserver(() => {
  for (const { plot, place } of charts.values()) {
    if (plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height: 180 });
  }
}).observe($("#charts"));
