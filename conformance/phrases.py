"""What readers of answers, checks of plans and of files say, in French: they speak English, since they raise exceptions.

A row is a sentence with places ({0}, {1} ...) in both languages. What stands in the places is values of the message, or another
sentence of the table. A sentence that is not in the table stays as it is (it is a library's, or the target's own).
"""

from __future__ import annotations

import re
from functools import cache

_PLACE = re.compile(r"\\\{(\d)\\\}")
#: Longer sentences before the shorter ones that they hold.
PHRASES = (
    # what a check says that a file is (conformance/check_*.py)
    ("CDA document of the realm {0}: {1}", "document CDA du domaine {0} : {1}"),
    ("CDA document of the realm {0}", "document CDA du domaine {0}"),
    ("CDA document: {0}", "document CDA : {0}"),
    ("CDA document", "document CDA"),
    ("assertion {0} of {1}, issued {2}, about {3}", "assertion {0} de {1}, émise le {2}, au sujet de {3}"),
    ("signed with {0} by {1}", "signée en {0} par {1}"),
    ("{0}, judged as in {1}", "{0}, jugé comme dans {1}"),
    ("query {0}", "requête {0}"),
    ("document {0}: {1} octets", "document {0} : {1} octets"),
    ("answer without status, {0} error(s)", "réponse sans statut, {0} erreur(s)"),
    ("answer with the action {0}", "réponse avec l'action {0}"),
    ("answer without wsa:Action", "réponse sans wsa:Action"),
    ("answer {0}, {1} error(s)", "réponse {0}, {1} erreur(s)"),
    ("SOAP fault {0}: {1}", "fault SOAP {0} : {1}"),
    # conformance/nist/checks.py
    ("status {0}, expected {1} ({2})", "statut {0}, attendu {1} ({2})"),
    ("no error with the text {0} ({1})", "aucune erreur avec le texte {0} ({1})"),
    ("no error {0} ({1})", "aucune erreur {0} ({1})"),
    ("Success with errors ({0})", "Success avec des erreurs ({0})"),
    ("Failure without a RegistryErrorList", "Failure sans RegistryErrorList"),
    ("no document came back", "aucun document n'est revenu"),
    ("assertion {0}: the process equalsIgnoreCase is not known to this runner", "assertion {0} : equalsIgnoreCase est inconnu"),
    ("assertion {0} does not hold: {1}", "l'assertion {0} n'est pas vérifiée : {1}"),
    ("assertion {0}: {1}: {2}", "assertion {0} : {1} : {2}"),
    ("{0}: {1} bytes came back that differ from the {2} submitted", "{0} : les {1} octets revenus ne sont pas les {2} déposés"),
    ("{0}: not among the documents that came back", "{0} : absent des documents revenus"),
    ("{0}: mimeType {1}, expected {2}", "{0} : mimeType {1}, attendu {2}"),
    ("{0}: the bytes are not those of {1}", "{0} : les octets ne sont pas ceux de {1}"),
    ("{0}: the entry says {1}, the document is {2}", "{0} : la fiche dit {1}, le document est {2}"),
    ("{0}: neither {1} nor a submission tells what it should be", "{0} : ni {1} ni un dépôt ne dit ce que ce devrait être"),
    # conformance/nist/contents.py
    (
        "{0}: {1} DocumentEntries in the Folder expected, {2} returned",
        "{0} : {1} DocumentEntry attendues dans le Folder, {2} reçues",
    ),
    ("{0}: no HasMember from the SubmissionSet to {1}", "{0} : pas de HasMember du SubmissionSet vers {1}"),
    ("{0}: {1} expected, {2} returned", "{0} : {1} attendu(s), {2} reçu(s)"),
    ("{0} {1} returned", "{0} {1} reçus"),
    ("{0} DocumentEntries are {1}", "{0} DocumentEntry sont {1}"),
    ("{0} has status {1}", "{0} a le statut {1}"),
    ("DocumentEntry {0} is not in the answer", "la DocumentEntry {0} n'est pas dans la réponse"),
    ("DocumentEntry {0} has objectType {1}, expected {2}", "la DocumentEntry {0} a l'objectType {1}, attendu {2}"),
    ("DocumentEntry {0} is too much", "la DocumentEntry {0} est en trop"),
    ("the word {0} is not known to this runner", "le mot {0} est inconnu ici"),
    # conformance/nist/state.py, conformance/nist/runner.py
    ("{0}: that step has not been run", "{0} : cette étape n'a pas été exécutée"),
    ("{0}: that step has left no such value", "{0} : cette étape n'a pas laissé cette valeur"),
    ("{0}: the table {1} is not known to this runner", "{0} : la table {1} est inconnue ici"),
    ("{0} has no sender in this runner", "{0} n'a pas d'émetteur ici"),
    ("a step of kind {0} without MetadataFile", "une étape {0} sans MetadataFile"),
    ("answered {0}: {1}", "a répondu {0} : {1}"),
    ("listed as an exception, and it passes", "listée comme exception, et elle réussit"),
    ("listed as not yet ({0}), and it passes", "listée comme à venir ({0}), et elle réussit"),
    # conformance/wire.py
    ("no MLLP listener is named (NIST_MLLP)", "aucun écouteur MLLP n'est nommé (NIST_MLLP)"),
    ("the listener has ended the connection after {0}", "l'écouteur a fermé la connexion après {0}"),
    ("the root element is {0}", "l'élément racine est {0}"),
    ("soap:Body must hold exactly one element", "soap:Body doit contenir exactement un élément"),
    ("{0} has no RegistryResponse", "{0} ne contient pas de RegistryResponse"),
    ("DocumentResponse without Document", "DocumentResponse sans Document"),
    ("xop:Include/@href is no cid: {0}", "xop:Include/@href n'est pas un cid : {0}"),
    ("no part has the Content-ID {0}; there are {1}", "aucune partie n'a le Content-ID {0} ; il y a {1}"),
    ("no boundary in {0}", "pas de boundary dans {0}"),
    ("type is not application/xop+xml in {0}", "type n'est pas application/xop+xml dans {0}"),
    ("the package has no closing delimiter", "le paquet MIME n'a pas de délimiteur final"),
    ("a part has no end of its header: {0}", "l'en-tête d'une partie n'a pas de fin : {0}"),
    ("a part has no Content-ID: {0}", "une partie n'a pas de Content-ID : {0}"),
    ("two parts have the Content-ID {0}", "deux parties ont le Content-ID {0}"),
    ("start names {0}, the parts are {1}", "start désigne {0}, les parties sont {1}"),
    ("HTTP {0} with Content-Type {1} and no SOAP 1.1 fault", "HTTP {0} avec Content-Type {1}, sans fault SOAP 1.1"),
    ("HTTP {0} with Content-Type {1}: {2}", "HTTP {0} avec Content-Type {1} : {2}"),
    # conformance/judge.py
    ("no MSA segment", "pas de segment MSA"),
    ("no acknowledgement", "pas d'acquittement"),
    # conformance/exchange.py
    ("{0}: the connection was closed without an answer", "{0} : la connexion a été fermée sans réponse"),
    ("{0}: nothing listens there", "{0} : rien n'écoute à cette adresse"),
    ("{0}: no answer within {1} seconds", "{0} : pas de réponse en {1} secondes"),
    # what the operating system and the XML parser say most
    ("{0}: [Errno {1}] Connection reset by peer", "{0} : la connexion a été coupée par le serveur (Errno {1})"),
    ("{0}: [Errno {1}] Name or service not known", "{0} : ce nom d'hôte est inconnu (Errno {1})"),
    ("{0}: [Errno {1}] No route to host", "{0} : aucune route vers cet hôte (Errno {1})"),
    ("{0}: [SSL: CERTIFICATE_VERIFY_FAILED] {1}", "{0} : le certificat du serveur n'est pas reconnu ({1})"),
    ("{0}: [SSL: {1}", "{0} : échec de TLS ([SSL: {1})"),
    ("{0}: Remote end closed connection without response", "{0} : la connexion a été fermée sans réponse"),
    ("Start tag expected, '<' not found, line {0}, column {1}", "XML attendu, '<' introuvable, ligne {0}, colonne {1}"),
    ("Document is empty, line {0}, column {1}", "document vide, ligne {0}, colonne {1}"),
    ("Opening and ending tag mismatch: {0}, line {1}, column {2}", "balises mal appariées : {0}, ligne {1}, colonne {2}"),
    ("Premature end of data in tag {0}, line {1}, column {2}", "fin prématurée dans la balise {0}, ligne {1}, colonne {2}"),
)


def french(text: str) -> str:
    """The sentence in French; as it is, where the table does not have it."""
    for pattern, sentence in _rows():
        found = pattern.fullmatch(text)
        if found:
            return sentence.format(*found.groups())
    return text


@cache
def _rows() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(_PLACE.sub("(.*?)", re.escape(english)), re.DOTALL), sentence) for english, sentence in PHRASES)
