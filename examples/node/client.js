// An XDS.b client in Node without any package: submit (ITI-41, MTOM), find (ITI-18), retrieve (ITI-43).
//
//   node client.js URL PATIENT_CX FILE
//
// The SOAP packages of npm know no MTOM in SOAP 1.2; the package is a few lines, and then every byte is yours to look at.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const SOAP = 'http://www.w3.org/2003/05/soap-envelope';
const WSA = 'http://www.w3.org/2005/08/addressing';
const CRLF = '\r\n';

const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
const unescape = (text) =>
  text.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&apos;/g, "'").replace(/&#(\d+);/g, (_, n) => String.fromCodePoint(n)).replace(/&amp;/g, '&');
// A UUID written as an OID under 2.25 is a unique id that needs no registration (ITU-T X.667).
const newOid = () => '2.25.' + BigInt('0x' + crypto.randomUUID().replace(/-/g, '')).toString();

function envelope(action, to, body) {
  return `<s:Envelope xmlns:s="${SOAP}" xmlns:a="${WSA}"><s:Header>` +
    `<a:Action s:mustUnderstand="1">${action}</a:Action><a:MessageID>urn:uuid:${crypto.randomUUID()}</a:MessageID>` +
    `<a:To>${escape(to)}</a:To></s:Header><s:Body>${body}</s:Body></s:Envelope>`;
}

// A MIME package: the envelope first, then every document as it is. XOP names a part by its Content-ID.
function mtom(xml, documents, action) {
  const boundary = 'MIMEBoundary-' + crypto.randomUUID();
  const pieces = [`--${boundary}`, 'Content-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"',
    'Content-Transfer-Encoding: binary', 'Content-ID: <root@carnet.example>', '', xml, ''].join(CRLF);
  const buffers = [Buffer.from(pieces)];
  for (const [id, mimeType, bytes] of documents) {
    buffers.push(Buffer.from([`--${boundary}`, `Content-Type: ${mimeType}`, 'Content-Transfer-Encoding: binary',
      `Content-ID: <${id}>`, '', ''].join(CRLF)), bytes, Buffer.from(CRLF));
  }
  buffers.push(Buffer.from(`--${boundary}--${CRLF}`));
  return {
    type: `multipart/related; boundary="${boundary}"; type="application/xop+xml"; start="<root@carnet.example>"; ` +
      `start-info="application/soap+xml"; action="${action}"`,
    body: Buffer.concat(buffers),
  };
}

// An answer may be plain or a package, whatever the question was: {xml, parts} either way.
async function post(url, type, body) {
  const answer = await fetch(url, { method: 'POST', headers: { 'Content-Type': type }, body });
  const bytes = Buffer.from(await answer.arrayBuffer());
  const contentType = answer.headers.get('content-type') || '';
  if (!contentType.startsWith('multipart/related')) return { xml: bytes.toString('utf8'), parts: {} };
  const boundary = Buffer.from('--' + /boundary="?([^";]+)/.exec(contentType)[1]);
  const parts = {};
  let root;
  for (let at = bytes.indexOf(boundary); ;) {
    const next = bytes.indexOf(boundary, at + boundary.length);
    if (next < 0) break;
    const part = bytes.subarray(at + boundary.length + 2, next - 2);
    const split = part.indexOf(CRLF + CRLF);
    const id = /content-id:\s*<([^>]*)>/i.exec(part.subarray(0, split).toString('latin1'));
    const content = part.subarray(split + 4);
    if (root === undefined) root = content.toString('utf8');
    else parts[id[1]] = content;
    at = next;
  }
  return { xml: root, parts };
}

// A fault says that the message was not understood; a RegistryResponse with Failure that it was refused, with every reason.
function outcome(xml) {
  const fault = /<[\w.-]*:?Reason>\s*<[\w.-]*:?Text[^>]*>([^<]*)/.exec(xml);
  if (fault) return { status: 'Fault', errors: [unescape(fault[1])] };
  const status = /status="[^"]*:ResponseStatusType:(\w+)"/.exec(xml);
  const errors = [...xml.matchAll(/<[\w.-]*:?RegistryError\b([^>]*)>/g)].map(([, attributes]) => {
    const value = (name) => unescape((new RegExp(`${name}="([^"]*)"`).exec(attributes) || ['', ''])[1]);
    return `${value('errorCode')}: ${value('codeContext')}`;
  });
  return { status: status ? status[1] : 'not a registry response', errors };
}

async function submit(base, patientId, file, documentId) {
  const bytes = fs.readFileSync(file);
  const mimeType = file.endsWith('.xml') ? 'text/xml' : file.endsWith('.pdf') ? 'application/pdf' : 'text/plain';
  const values = { patientId, documentId, setId: newOid(), mimeType, title: path.basename(file),
    now: new Date().toISOString().replace(/\D/g, '').slice(0, 14) }; // DTM is UTC
  const metadata = fs.readFileSync(path.join(__dirname, '..', 'submission.xml'), 'utf8')
    .replace(/@(\w+)@/g, (_, name) => escape(values[name]));
  const url = base + '/xds/repository';
  const action = 'urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b';
  const body = `<x:ProvideAndRegisterDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007">${metadata}` +
    '<x:Document id="Document01"><i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:document@carnet.example"/>' +
    '</x:Document></x:ProvideAndRegisterDocumentSetRequest>';
  const message = mtom(envelope(action, url, body), [['document@carnet.example', mimeType, bytes]], action);
  return outcome((await post(url, message.type, message.body)).xml);
}

async function find(base, patientId) {
  const url = base + '/xds/registry';
  const slot = (name, value) => `<r:Slot name="${name}"><r:ValueList><r:Value>${escape(value)}</r:Value></r:ValueList></r:Slot>`;
  const body = '<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">' +
    '<q:ResponseOption returnComposedObjects="true" returnType="LeafClass"/>' +
    '<r:AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d">' + // FindDocuments
    slot('$XDSDocumentEntryPatientId', `'${patientId}'`) + // strings stand in single quotes, lists in brackets
    slot('$XDSDocumentEntryStatus', "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')") +
    '</r:AdhocQuery></q:AdhocQueryRequest>';
  const action = 'urn:ihe:iti:2007:RegistryStoredQuery';
  const { xml } = await post(url, `application/soap+xml; charset=UTF-8; action="${action}"`, envelope(action, url, body));
  const found = [...xml.matchAll(/<(?:[\w.-]+:)?ExtrinsicObject\b[\s\S]*?<\/(?:[\w.-]+:)?ExtrinsicObject>/g)].map(([entry]) => ({
    uniqueId: /identificationScheme="urn:uuid:2e82c1f6-[^"]*"[^>]*value="([^"]*)"|value="([^"]*)"[^>]*identificationScheme="urn:uuid:2e82c1f6-/.exec(entry).slice(1).find(Boolean),
    repository: /name="repositoryUniqueId"[\s\S]*?Value>([^<]*)</.exec(entry)[1],
  }));
  return { ...outcome(xml), found };
}

async function retrieve(base, { uniqueId, repository }) {
  const url = base + '/xds/repository';
  const action = 'urn:ihe:iti:2007:RetrieveDocumentSet';
  const body = '<x:RetrieveDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007"><x:DocumentRequest>' +
    `<x:RepositoryUniqueId>${repository}</x:RepositoryUniqueId><x:DocumentUniqueId>${uniqueId}</x:DocumentUniqueId>` +
    '</x:DocumentRequest></x:RetrieveDocumentSetRequest>';
  const message = mtom(envelope(action, url, body), [], action); // asked in MTOM, answered in MTOM
  const { xml, parts } = await post(url, message.type, message.body);
  const include = /href="cid:([^"]*)"/.exec(xml);
  const inline = /<[\w.-]*:?Document>([^<]*)</.exec(xml);
  const bytes = include ? parts[decodeURIComponent(include[1])] : inline ? Buffer.from(inline[1], 'base64') : undefined;
  return { ...outcome(xml), bytes };
}

async function main([base, patientId, file]) {
  const documentId = newOid();
  const stored = await submit(base, patientId, file, documentId);
  console.log('submit  ', stored.status, stored.errors.join('\n          '));
  if (stored.status !== 'Success') return 1;

  const { status, found } = await find(base, patientId);
  const mine = found.find((entry) => entry.uniqueId === documentId);
  console.log('find    ', status, `${found.length} documents`, mine ? '' : ', but not the one submitted');
  if (!mine) return 1;

  const got = await retrieve(base, mine);
  const same = got.bytes && got.bytes.equals(fs.readFileSync(file));
  console.log('retrieve', got.status, same ? 'the same bytes' : 'OTHER BYTES');
  if (!same) return 1;

  // What a refusal looks like: a unique id that exists, with other content. Read every error, not only the first.
  const refused = await submit(base, patientId, __filename, documentId);
  console.log('refused ', refused.status, '\n          ' + refused.errors.join('\n          '));
  return refused.status === 'Failure' && refused.errors.length ? 0 : 1;
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code; });
