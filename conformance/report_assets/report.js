'use strict';
// The messages of cases are packed (deflate, base64); they are unpacked when a case is opened.
async function unpack(text) {
  const octets = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([octets]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Response(stream).text();
}
for (const details of document.querySelectorAll('details.case')) {
  details.addEventListener('toggle', () => {
    const place = details.querySelector('[data-packed]');
    if (!details.open || !place) return;
    const packed = place.dataset.packed;
    place.removeAttribute('data-packed');
    unpack(packed).then((html) => { place.innerHTML = html; }, () => { place.textContent = document.body.dataset.openError; });
  });
}
let status = 'all';
function filter() {
  const words = document.getElementById('search').value.toLowerCase();
  for (const one of document.querySelectorAll('details.case')) {
    const wanted = (status === 'all' || one.dataset.status === status) && one.dataset.text.includes(words);
    one.hidden = !wanted;
  }
}
document.getElementById('search').addEventListener('input', filter);
for (const button of document.querySelectorAll('button[data-status]')) {
  button.addEventListener('click', () => {
    status = button.dataset.status;
    for (const other of document.querySelectorAll('button[data-status]')) other.setAttribute('aria-pressed', other === button);
    filter();
  });
}
function openTarget() {
  const one = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (one && one.tagName === 'DETAILS') { one.hidden = false; one.open = true; one.scrollIntoView(); }
}
addEventListener('hashchange', openTarget);
openTarget();
