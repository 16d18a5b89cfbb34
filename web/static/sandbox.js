// New messages appear by themselves: the server tells of each by an event, and the part of the page that shows it is fetched anew.
'use strict';

function refresh(fresh) {
  return fetch(location.href, { headers: { Accept: 'text/html' } })
    .then((answer) => answer.text())
    .then((html) => {
      const arrived = new DOMParser().parseFromString(html, 'text/html');
      for (const part of document.querySelectorAll('[data-live]')) {
        const other = arrived.getElementById(part.id);
        if (other) part.replaceWith(document.adoptNode(other));
      }
      const row = fresh && document.getElementById('message-' + fresh);
      if (row) row.classList.add('new');
    });
}

const events = document.body.dataset.events;
if (events) {
  const source = new EventSource(events);
  source.addEventListener('message', (event) => refresh(JSON.parse(event.data).number));
  source.addEventListener('resumed', () => refresh());
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-copy]');
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent;
  const done = () => { button.textContent = button.dataset.done; };
  if (navigator.clipboard) {
    navigator.clipboard.writeText(text).then(done);
  } else {
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    done();
  }
});
