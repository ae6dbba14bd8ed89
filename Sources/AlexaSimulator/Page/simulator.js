'use strict';

const element = (id) => document.getElementById(id);

function rows(body, lines) {
  body.replaceChildren(...lines.map((cells) => {
    const row = document.createElement('tr');
    for (const cell of cells) row.insertCell().textContent = cell;
    return row;
  }));
}

const statuses = (counts) =>
  Object.entries(counts).map(([status, count]) => `${status === '0' ? 'none' : status}: ${count}`).join(', ') || '0';

const attempt = ({dueSeconds, status}) => `${dueSeconds} s: ${status ?? 'no answer'}`;

const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

function show(counters, deliveries, messages, faults) {
  rows(element('accepted'), messages.map(({userId, region, data, expiresAfterSeconds, requestId}) =>
    [userId, region, text(data), `${expiresAfterSeconds} s`, requestId]));
  const set = Object.entries(faults).filter(([, fault]) => fault !== null);
  element('no-faults').hidden = set.length > 0;
  element('fault-table').hidden = set.length === 0;
  rows(element('faults'), set.map(([target, fault]) => [target, text(fault)]));

  rows(element('messages'), ['NA', 'EU', 'FE'].map((region) => {
    const {received, accepted, refused} = counters.messages[region];
    return [region, received, accepted, statuses(refused)];
  }));
  element('tokens').textContent = `${counters.tokenFetches} requests; by status ${statuses(counters.tokenAnswers)}`;
  const {pending, acknowledged, expired, attempts} = counters.deliveries;
  element('deliveryCounters').textContent =
    `${attempts} attempts; ${acknowledged} acknowledged, ${pending} under way, ${expired} expired`;
  rows(element('deliveries'), deliveries.map(({userId, region, state, attempts}) =>
    [userId, region, state, attempts.map(attempt).join(', ')]));
}

async function json(path) {
  const response = await fetch(path, {cache: 'no-store'});
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

async function look() {
  try {
    show(...await Promise.all([json('/_simulator/counters'), json('/_simulator/deliveries?newest=50'),
      json('/_simulator/messages?newest=50'), json('/_simulator/faults')]));
    element('state').textContent = 'Live, looked at every second';
  } catch (error) {
    element('state').textContent = `The simulator does not answer: ${error.message}`;
  }
  setTimeout(look, 1000);
}

look();
