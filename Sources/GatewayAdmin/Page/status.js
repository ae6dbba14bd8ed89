'use strict';

const regions = ['NA', 'EU', 'FE'];
const pollMilliseconds = 1000;
const element = (id) => document.getElementById(id);

// MARK: Words

const number = new Intl.NumberFormat('en', {maximumFractionDigits: 1});
const decimal = (value) => number.format(value);

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

const clock = (unixTime) => new Date(unixTime * 1000).toLocaleTimeString();
const circuits = {closed: {text: 'closed', look: 'good'}, halfOpen: {text: 'half-open', look: 'warn'}, open: {text: 'open', look: 'bad'}};
const tokens = {valid: {text: 'valid', look: 'good'}, none: {text: 'never had one', look: 'bad'}, expired: {text: 'expired', look: 'bad'}};

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

/// Draws one line a region; `value` takes it from a point of the history, null where there is none.
function plot(id, report, value, text) {
  const [width, height, span] = [600, 180, 300];
  const series = regions.map((region) => report.history.map((point) => [point.time, value(point.regions[region])]));
  const highest = Math.max(0, ...series.flat().map(([, y]) => y ?? 0));
  const top = (highest || 1) * 1.1;
  element(id).replaceChildren(...series.map((points, index) => line(regions[index], points.map(([time, y]) => [
    width - (report.time - time) / span * width, y === null || y === undefined ? null : height - 2 - y / top * height,
  ]).filter(([x]) => x >= -10))));
  element(`${id}-top`).textContent = highest > 0 ? `highest ${text(highest)}` : '';
  const last = report.history.at(-1);
  element(`${id}-summary`).textContent = last
    ? regions.map((region) => `${region} ${text(value(last.regions[region]))}`).join(' · ') : 'nothing to show yet';
}

function legend() {
  element('legend').replaceChildren(...regions.map((region) => {
    const item = document.createElement('li');
    const sample = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    sample.setAttribute('viewBox', '0 0 32 10');
    sample.setAttribute('aria-hidden', 'true');
    sample.append(line(region, [[0, 5], [32, 5]]));
    item.append(sample, region);
    return item;
  }));
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
    `version ${report.version}, up for ${duration(report.time - report.startedAt)}, as of ${clock(report.time)}`;

  const last = report.history.at(-1);
  const perSecond = last ? regions.reduce((sum, region) => sum + last.regions[region].answered, 0) : 0;
  const answers = report.regions.flatMap((region) => Object.entries(region.answers));
  const count = (wanted) => answers.reduce((sum, [status, n]) => sum + (wanted(status) ? n : 0), 0);
  figures([
    ['Messages a second', decimal(perSecond)],
    ['In flight', decimal(report.inFlight)],
    ['Accepted by Amazon', decimal(count((status) => status === '202'))],
    ['Not accepted', decimal(count((status) => status !== '202'))],
    ['Answered again', decimal(report.replayed)],
    ['Refused here', decimal(report.refused)],
    ['Users gone', decimal(report.usersGone)],
  ]);
  plot('rate', report, (region) => region.answered, decimal);
  plot('latency', report, (region) => region.p99 ?? null, seconds);
  plot('refused', report, (region) => region.refused, decimal);

  rows('region-rows', report.regions.map((region) => [
    region.name, circuits[region.circuit], statuses(region.answers), seconds(region.median), seconds(region.p99),
    `${region.connections.busy} busy, ${region.connections.idle} idle, ${region.connections.connecting} opening`,
    decimal(region.inFlightLimit), region.outcomeUnknown > 0 ? {text: decimal(region.outcomeUnknown), look: 'warn'} : '0',
  ]));
  rows('token-rows', report.skills.map((skill) => [
    skill.name, tokens[skill.token], seconds(skill.age),
    skill.expiresIn > 0 ? `${duration(skill.expiresIn)} more` : '–',
    skill.failedFetches > 0 ? {text: `${skill.fetches}, of which ${skill.failedFetches} failed`, look: 'warn'} : `${skill.fetches}`,
  ]));
  store(report.store);
  element('no-problems').hidden = report.problems.length > 0;
  element('problem-table').hidden = report.problems.length === 0;
  rows('problem-rows', report.problems.map((problem) => [
    clock(problem.time), decimal(problem.count), problem.region ?? '–', String(problem.status),
    {text: problem.problem, below: problem.detail}, problem.proxyStatus,
  ]));
}

function store({kind, up, records, retention, backlog, problems}) {
  const parts = [kind === 'redis' ? 'Redis' : 'Memory of this process', up ? 'reachable' : 'NOT reachable'];
  if (records !== undefined && records !== null) parts.push(`${decimal(records)} records here`);
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
    if (trouble.hidden) trouble.textContent = `The gateway has not answered since ${new Date().toLocaleTimeString()} (${error.message}). What is below is old.`;
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
  currentTarget.textContent = isPaused ? 'Go on' : 'Pause';
});

legend();
run();
