'use strict';

const regions = ['NA', 'EU', 'FE'];
const pollMilliseconds = 1000;
const element = (id) => document.getElementById(id);

// MARK: Words

const number = new Intl.NumberFormat('en', {maximumFractionDigits: 1});
const fraction = new Intl.NumberFormat('en', {maximumFractionDigits: 2});
const decimal = (value) => (Math.abs(value) < 1 ? fraction : number).format(value);

function seconds(value) {
  if (value === null || value === undefined) return '–';
  if (value < 1) return `${decimal(value * 1000)} ms`;
  return duration(value);
}

function duration(value) {
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  const index = units.findIndex(([, size]) => Math.abs(value) >= size);
  if (index < 0 || index === 3) return `${decimal(value)} s`;
  const [unit, size] = units[index];
  const [smaller, smallerSize] = units[index + 1];
  const whole = Math.trunc(value / size);
  return `${whole} ${unit} ${Math.trunc((value - whole * size) / smallerSize)} ${smaller}`;
}

const clock = (unixTime) => new Date(unixTime * 1000).toLocaleTimeString([], {hour12: false});
const zone = new Date().toLocaleTimeString('en', {timeZoneName: 'short'}).split(' ').at(-1);
const circuits = {closed: {text: 'closed', look: 'good'}, halfOpen: {text: 'half-open', look: 'warn'}, open: {text: 'open', look: 'bad'}};
const tokens = {valid: {text: 'valid', look: 'good'}, none: {text: 'never obtained', look: 'bad'}, expired: {text: 'expired', look: 'bad'}};

function statuses(counts) {
  const entries = Object.entries(counts);
  return entries.length ? entries.map(([status, count]) => `${status}: ${decimal(count)}`).join(', ') : 'none yet';
}

// MARK: Elements

/// Cells are texts, or objects of a text and, where wanted, a look (a class) and a smaller text below.
function rows(table, lines) {
  const body = element(table);
  const labels = [...body.parentElement.querySelectorAll('th')].map((cell) => cell.textContent);
  body.replaceChildren(...lines.map((cells) => {
    const row = document.createElement('tr');
    row.setAttribute('role', 'row');
    cells.forEach((cell, index) => {
      const {text, look, below} = typeof cell === 'object' ? cell : {text: cell};
      const box = row.insertCell();
      box.setAttribute('role', 'cell');
      box.dataset.label = labels[index];
      const content = document.createElement('span');
      content.textContent = text;
      if (look) content.className = look;
      if (below) {
        const small = document.createElement('small');
        small.textContent = below;
        content.append(small);
      }
      box.append(content);
    });
    return row;
  }));
}

function figures(pairs) {
  element('figures').replaceChildren(...pairs.map(([name, value]) => {
    const pair = document.createElement('div');
    const term = document.createElement('dt');
    const description = document.createElement('dd');
    term.textContent = name;
    description.textContent = value;
    pair.append(term, description);
    return pair;
  }));
}

/// A line through points; it ends where a point has no value, and goes on behind. A lone point is a short stroke.
function line(region, points) {
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  const has = (index) => points[index] !== undefined && points[index][1] !== null;
  path.setAttribute('class', region);
  path.setAttribute('d', points.map(([x, y], index) => {
    if (!has(index)) return '';
    const step = `${has(index - 1) ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    return has(index - 1) || has(index + 1) ? step : `${step}h3`;
  }).join(''));
  return path;
}

// MARK: Plots

const [width, height, span] = [600, 180, 300];
const sum = (point, value) => regions.reduce((total, region) => total + value(point.regions[region]), 0);
const byRegion = (value) => regions.map((name) => ({name, look: name, value: (point) => value(point.regions[name]) ?? null}));

/// Each draws a line for each of its series; `value` takes it from a point of the history, null where there is none.
const plots = {
  outcomes: {
    unit: '/s', text: (value) => decimal(value),
    series: [
      {name: 'accepted', look: 'accepted', value: (point) => sum(point, (region) => region.answered - region.refused)},
      {name: 'replayed', look: 'again', value: (point) => point.replayed},
      {name: 'not accepted by Amazon', look: 'amazon', value: (point) => sum(point, (region) => region.refused)},
      {name: 'refused here, 4xx', look: 'refused', value: (point) => point.refusedHere - point.failedHere},
      {name: 'failed here, 5xx', look: 'failed', value: (point) => point.failedHere},
    ],
  },
  rate: {unit: '/s', text: (value) => decimal(value), series: byRegion((region) => region.answered)},
  latency: {unit: '', text: seconds, series: byRegion((region) => region.p99)},
};

/// The least of 1, 2 and 5 times a power of ten that is not below the value: where an axis ends.
function axisEnd(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((end) => end >= value * 0.999);
}

/// Unix time at which somebody looks, by pointer or keyboard; null: the latest.
let cursor = null;
let shown = null;

function draw() {
  for (const [id, plot] of Object.entries(plots)) drawPlot(id, plot, shown);
}

function drawPlot(id, {unit, text, series}, {history, time: now}) {
  const points = history.filter(({time}) => now - time <= span);
  const values = series.map(({value}) => points.map(value));
  const highest = Math.max(0, ...values.flat().map((value) => value ?? 0));
  const top = highest > 0 ? axisEnd(highest) : 1;
  const x = (time) => width - (now - time) / span * width;
  const lines = series.map(({look}, index) => line(look, points.map(({time}, place) => {
    const value = values[index][place];
    return [x(time), value === null ? null : height - 2 - value / top * (height - 4)];
  })));
  const at = cursor === null ? points.length - 1 : nearest(points, cursor);
  if (cursor !== null && at >= 0) lines.push(line('cursor', [[x(points[at].time), 0], [x(points[at].time), height]]));
  element(id).replaceChildren(...lines);
  list(`${id}-ticks`, [top, top / 2, 0].map((value) => `${text(value)}${unit}`), 'li');
  list(`${id}-times`, [now - span, now - span / 2, now].map(clock), 'span');
  const legend = element(`${id}-values`);
  legend.replaceChildren(...series.map(({name, look}, index) => {
    const item = document.createElement('span');
    const value = at >= 0 ? values[index][at] : null;
    item.append(sample(look), `${name} ${value === null ? '–' : text(value) + unit}`);
    return item;
  }));
  const when = document.createElement('span');
  when.textContent = at < 0 ? 'no data yet' : `at ${clock(points[at].time)}`;
  legend.append(when);
  // A screen reader hears the values that somebody has asked for, and not each second those of now.
  legend.setAttribute('aria-live', cursor === null ? 'off' : 'polite');
}

function nearest(points, time) {
  const distance = (index) => Math.abs(points[index].time - time);
  return points.reduce((best, _, index) => (best < 0 || distance(index) < distance(best) ? index : best), -1);
}

function list(id, texts, tag) {
  element(id).replaceChildren(...texts.map((text) => {
    const item = document.createElement(tag);
    item.textContent = text;
    return item;
  }));
}

function sample(look) {
  const image = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  image.setAttribute('viewBox', '0 0 32 10');
  image.setAttribute('aria-hidden', 'true');
  image.append(line(look, [[0, 5], [32, 5]]));
  return image;
}

/// By pointer, or step by step by the keyboard; Escape, and leaving, go back to the latest values.
function makeReadable(image) {
  const look = (time) => {
    cursor = time;
    if (shown) draw();
  };
  image.addEventListener('pointermove', ({clientX}) => {
    const {left, width: wide} = image.getBoundingClientRect();
    if (shown) look(shown.time - span + (clientX - left) / wide * span);
  });
  image.addEventListener('pointerleave', () => look(null));
  image.addEventListener('blur', () => look(null));
  image.addEventListener('keydown', (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (event.key === 'Escape') return look(null);
    if (!step || !shown?.history.length) return undefined;
    event.preventDefault();
    const last = shown.history.length - 1;
    const place = cursor === null ? last : nearest(shown.history, cursor);
    return look(shown.history[Math.min(last, Math.max(0, place + step))].time);
  });
}

// MARK: The report

function show(report) {
  const look = {ready: 'good', degraded: 'warn', 'not ready': 'bad', draining: 'warn'}[report.state];
  const word = report.state[0].toUpperCase() + report.state.slice(1);
  const badge = element('state');
  if (badge.textContent !== word) badge.textContent = word;
  badge.className = `badge ${look}`;
  document.title = report.state === 'ready' ? 'Skillgate' : `${word} – Skillgate`;
  const reasons = element('reasons');
  reasons.hidden = report.reasons.length === 0;
  reasons.replaceChildren(...report.reasons.map((reason) => {
    const item = document.createElement('li');
    item.textContent = reason;
    return item;
  }));
  element('about').textContent =
    `${report.host}, version ${report.version}, up for ${duration(report.time - report.startedAt)}, as of ${clock(report.time)} ${zone}`;

  const last = report.history.at(-1);
  const answers = report.regions.flatMap((region) => Object.entries(region.answers));
  const count = (wanted) => answers.reduce((total, [status, n]) => total + (wanted(status) ? n : 0), 0);
  figures([
    ['Responses per second', decimal(last ? sum(last, (region) => region.answered) + last.refusedHere + last.replayed : 0)],
    ['In flight', decimal(report.inFlight)],
    ['Accepted by Amazon', decimal(count((status) => status === '202'))],
    ['Not accepted', decimal(count((status) => status !== '202'))],
    ['Replayed', decimal(report.replayed)],
    ['Refused here', decimal(report.refused)],
    ['Users gone', decimal(report.usersGone)],
  ]);
  shown = report;
  draw();

  rows('region-rows', report.regions.map((region) => [
    region.name, circuits[region.circuit],
    {text: statuses(region.lastMinute.answers), below: statuses(region.answers)},
    {text: seconds(region.lastMinute.median), below: seconds(region.median)},
    {text: seconds(region.lastMinute.p99), below: seconds(region.p99)},
    `${region.connections.busy} busy, ${region.connections.idle} idle, ${region.connections.connecting} opening${version(region)}`,
    limit(region), region.outcomeUnknown > 0 ? {text: decimal(region.outcomeUnknown), look: 'warn'} : '0',
  ]));
  rows('caller-rows', report.callers.map((caller) => [
    caller.name, decimal(caller.perSecond), counted(caller.refused), counted(caller.refusedByAmazon), decimal(caller.replayed),
    caller.maximumInFlight === undefined ? 'not limited' : `${caller.inFlight} of ${caller.maximumInFlight}`,
    caller.lastSeen === undefined ? 'not since the start' : clock(caller.lastSeen),
  ]));
  rows('token-rows', report.skills.map((skill) => [
    skill.name, tokens[skill.token], seconds(skill.age),
    skill.expiresIn > 0 ? duration(skill.expiresIn) : '–',
    skill.failedFetches > 0 ? {text: `${skill.fetches}, of which ${skill.failedFetches} failed`, look: 'warn'} : `${skill.fetches}`,
  ]));
  element('deliveries').hidden = report.deliveries.length === 0;
  rows('delivery-rows', report.deliveries.map((delivery) => [
    delivery.skill, decimal(delivery.received), seconds(delivery.median), seconds(delivery.p99),
    decimal(delivery.pending), counted(delivery.unreceived),
  ]));
  store(report.store);
  element('no-problems').hidden = report.problems.length > 0;
  element('problem-table').hidden = report.problems.length === 0;
  rows('problem-rows', report.problems.map((problem) => [
    clock(problem.time), decimal(problem.count), problem.region ?? '–', String(problem.status),
    {text: problem.problem, below: problem.detail}, problem.proxyStatus,
  ]));
}

const counted = (count) => (count > 0 ? {text: decimal(count), look: 'warn'} : '0');

function version({httpVersion}) {
  return httpVersion === 'h2' ? ', HTTP/2' : '';
}

/// The limit of a region beside its maximum, and those of skills that have one of their own.
function limit({inFlightLimit, inFlightMaximum, skillLimits}) {
  const skills = Object.entries(skillLimits).map(([skill, value]) => `${skill}: ${value}, after Amazon answered 429`);
  return {
    text: `${decimal(inFlightLimit)} of ${decimal(inFlightMaximum)}`,
    look: inFlightLimit < inFlightMaximum || skills.length > 0 ? 'warn' : undefined, below: skills.join('; ') || undefined,
  };
}

function store({kind, up, records, retention, backlog, problems}) {
  const parts = [kind === 'redis' ? 'Redis' : 'In this process’s memory', up ? 'reachable' : 'NOT reachable'];
  if (records !== undefined && records !== null) parts.push(`${decimal(records)} local records`);
  parts.push(`accepted messages remembered for ${duration(retention)}`);
  if (backlog) parts.push(`${decimal(backlog)} outcomes not confirmed yet`);
  parts.push(...problems);
  const text = element('store');
  text.textContent = parts.join(', ');
  text.className = !up ? 'bad' : problems.length > 0 ? 'warn' : '';
}

// MARK: Time

let isPaused = false;

async function look() {
  const trouble = element('trouble');
  try {
    const response = await fetch('/api/status', {cache: 'no-store', signal: AbortSignal.timeout(5000)});
    if (!response.ok) throw new Error(`status ${response.status}`);
    const report = await response.json();
    // The pause may have begun while the answer was on its way.
    if (!isPaused) show(report);
    trouble.hidden = true;
    document.body.classList.remove('stale');
  } catch (error) {
    if (trouble.hidden) trouble.textContent = `The gateway has not responded since ${new Date().toLocaleTimeString()} (${error.message}). The figures below are out of date.`;
    trouble.hidden = false;
    document.body.classList.add('stale');
  }
}

async function run() {
  if (!isPaused && !document.hidden) await look();
  setTimeout(run, pollMilliseconds);
}

element('pause').addEventListener('click', ({currentTarget}) => {
  isPaused = !isPaused;
  currentTarget.setAttribute('aria-pressed', String(isPaused));
  currentTarget.textContent = isPaused ? 'Resume' : 'Pause';
});

for (const id of Object.keys(plots)) makeReadable(element(id));
run();
