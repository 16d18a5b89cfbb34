"""What readers of answers, checks of plans and of files say, in French: they speak English, since they raise exceptions.

A row is a sentence with places ({0}, {1} ...) in both languages, as in `schemas/sentences`, which has what findings and faults say.
A sentence that is in no table stays as it is (it is a library's, or the target's own).
"""

# ruff: noqa: E501 - a row is read as a row

from __future__ import annotations

import re
from functools import cache

from conformance.explanations.catalogue import explanations
from schemas.sentences import french as sentences
from schemas.sentences.french import Sentences
from security.rules import TRUST_RULES

_NAME = re.compile(r"\{(\w+)\}")
_CONTEXT = re.compile(r"(?P<body>.*) \[(?P<rule>[A-Z]+-[\w-]+)(?P<section>, [^\]]*)?\](?P<link> \S+)?", re.DOTALL)
_VALUE = re.compile(r"(?P<said>.*) \(value: '(?P<value>.*)'\)", re.DOTALL)
_LONGEST = 4000
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
    ("a Content-ID is not ASCII: {0}", "un Content-ID n'est pas en ASCII : {0}"),
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
    (
        "{0}: the answer is longer than {1} bytes; the rest was not read",
        "{0} : la réponse dépasse {1} octets ; le reste n'a pas été lu",
    ),
    ("{0}: no answer within {1} seconds", "{0} : pas de réponse en {1} secondes"),
    # what the operating system and the XML parser say most
    ("{0}: [Errno {1}] Connection reset by peer", "{0} : la connexion a été coupée par le serveur (Errno {1})"),
    ("{0}: [Errno {1}] Name or service not known", "{0} : ce nom d'hôte est inconnu (Errno {1})"),
    ("{0}: [Errno {1}] No route to host", "{0} : aucune route vers cet hôte (Errno {1})"),
    ("{0}: [SSL: CERTIFICATE_VERIFY_FAILED] {1}", "{0} : le certificat du serveur n'est pas reconnu ({1})"),
    ("{0}: [SSL: {1}", "{0} : échec de TLS ([SSL: {1})"),
    ("{0}: Remote end closed connection without response", "{0} : la connexion a été fermée sans réponse"),
    # conformance/schematron*.py
    ("Schematron sets need the package saxonche: pip install 'carnet[schematron]' (or pip install saxonche)", "les jeux Schematron veulent le paquet saxonche : pip install 'carnet[schematron]' (ou pip install saxonche)"),
    ("the set reads the value set '{0}', which is not there: name its folder by --value-sets DIR", "le jeu lit le jeu de valeurs « {0} », qui n'est pas là : donnez son dossier par --value-sets DOSSIER"),
    ("the set reads '{0}': only files beside it or in the folder of the value sets are read", "le jeu lit « {0} » : seuls des fichiers à côté de lui ou du dossier des jeux de valeurs sont lus"),
    ("the document is not well-formed XML: {0}", "le document n'est pas du XML bien formé : {0~}"),
    ("{0}: cannot be read: {1}", "{0} : illisible : {1}"),
    ("{0}: cannot be compiled: {1}", "{0} : ne se compile pas : {1}"),
    ("{0}: the root is {1}, expected is sch:schema or an xsl:stylesheet", "{0} : la racine est {1}, attendu : sch:schema ou un xsl:stylesheet"),
    ("{0}: queryBinding '{1}' is not read; known are xslt, xslt2 and xslt3", "{0} : queryBinding « {1} » n'est pas lu ; connus : xslt, xslt2 et xslt3"),
    ("{0}: includes go deeper than {1} files", "{0} : les inclusions dépassent {1} fichiers de profondeur"),
    ("{0}: the pattern '{1}' is of '{2}', which is no abstract pattern here", "{0} : le motif « {1} » est de « {2} », qui n'est pas un motif abstrait d'ici"),
    ("{0}: the rules extend one another without end", "{0} : les règles s'étendent l'une l'autre sans fin"),
    ("{0}: include '{1}' is no relative file name", "{0} : l'inclusion « {1} » n'est pas un nom de fichier relatif"),
    ("{0}: a rule extends '{1}', which is no abstract rule here", "{0} : une règle étend « {1} », qui n'est pas une règle abstraite d'ici"),
    ("the set uses xsl:{0}: a set is one file that judges and does nothing else", "le jeu utilise xsl:{0} : un jeu est un fichier qui juge et ne fait rien d'autre"),
    ("the set uses the attribute {0}: expressions stand in attributes, as they are", "le jeu utilise l'attribut {0} : les expressions se trouvent dans des attributs, telles quelles"),
    ("the set calls {0}(): it may read by doc() and document(), from its folders", "le jeu appelle {0}() : il peut lire par doc() et document(), dans ses dossiers"),
    ("{0}:  the set reads {1}: only files of its folders are read", "{0} : le jeu lit {1} : seuls des fichiers de ses dossiers sont lus"),
    # conformance/check_*.py
    ("the file is neither an HTTP message, nor a MIME package, nor XML", "le fichier n'est ni un message HTTP, ni un paquet MIME, ni du XML"),
    ("the root element {0} of namespace '{1}' is not known", "l'élément racine {0} de l'espace de noms « {1} » n'est pas connu"),
    ("the status is Success beside {0} error(s) of severity Error", "le statut est Success à côté de {0} erreur(s) de sévérité Error"),
    ("the standard has no status '{0}'", "la norme n'a pas de statut « {0} »"),
    ("the status is Failure and no error says why", "le statut est Failure et aucune erreur ne dit pourquoi"),
    ("the standard has no code '{0}'", "la norme n'a pas de code « {0} »"),
    ("the document begins as {0}, its mimeType is {1}", "le document commence comme {0}, son mimeType est {1}"),
    (
        "{0} is in the namespace '{1}', which is none of IHE's",
        "{0} est dans l'espace de noms « {1} », qui n'est pas d'IHE",
    ),
    (
        "Declare the namespace {0} for it and what it holds, letter by letter.",
        "Déclarez-lui l'espace de noms {0}, ainsi qu'à son contenu, lettre à lettre.",
    ),
    (
        "Write it as the schemas demand; order and namespace are the usual culprits.",
        "Écrivez-le comme le demandent les schémas ; l'ordre et l'espace de noms sont les coupables habituels.",
    ),
    ("Write mimeType='{0}'.", "Écrivez mimeType='{0}'."),
    ("Write {0}.", "Écrivez {0}."),
    ("HTTP {0}", "HTTP {0}"),
    ("document {0}", "document {0}"),
    ("root part, decoded", "partie racine, décodée"),
    ("text of UTF-16", "texte en UTF-16"),
    ("the chunks end after {0} octets without the last one", "les morceaux finissent après {0} octets sans le dernier"),
    ("a chunk of {0} octets has {1}", "un morceau de {0} octets en a {1}"),
    ("not well-formed XML: {0}", "XML mal formé : {0~}"),
    ("the request is a {0}", "la requête est un {0}"),
    ("the body is empty", "le corps est vide"),
    ("Send SOAP by POST.", "Envoyez le SOAP par POST."),
    ("the answer has no wsa:RelatesTo", "la réponse n'a pas de wsa:RelatesTo"),
    ("Repeat the MessageID of the request in wsa:RelatesTo.", "Répétez le MessageID de la requête dans wsa:RelatesTo."),
    ("this address", "cette adresse"),
    ("Content-Length beside Transfer-Encoding", "Content-Length à côté de Transfer-Encoding"),
    ("names no part", "ne désigne aucune partie"),
    ("the header {0} is sent twice", "l'en-tête {0} est envoyé deux fois"),
    ("the assertion holds until {0}, which is over", "l'assertion vaut jusqu'à {0}, ce qui est passé"),
    ("the assertion is of {0} and has no end of its own", "l'assertion est du {0} et n'a pas de fin à elle"),
    ("AuthnInstant is later than IssueInstant", "AuthnInstant est postérieur à IssueInstant"),
    ("blanks stand around the value '{0}'", "des blancs entourent la valeur « {0} »"),
    ("the signature relies on SHA-1", "la signature repose sur SHA-1"),
    ("Make a fresh assertion for each message.", "Faites une nouvelle assertion pour chaque message."),
    (
        "Nobody is authenticated after the assertion that says so; set the clocks by NTP.",
        "Personne n'est authentifié après l'assertion qui le dit ; réglez les horloges par NTP.",
    ),
    ("Sign with SHA-256.", "Signez en SHA-256."),
    (
        "Write the value without blanks, before the assertion is signed.",
        "Écrivez la valeur sans blancs, avant de signer l'assertion.",
    ),
)


def known_french(text: str) -> str | None:
    """The sentence in French, None where neither this table nor those of `schemas/sentences` have it."""
    return _own().french(text) or _refused(text) or sentences.known_french(text)


def french(text: str) -> str:
    """The sentence in French; as it is, where no table has it."""
    return known_french(text) or text


def french_context(text: str) -> str | None:
    """`codeContext` or the reason of a fault, as servers of this project write it, in French; None for another server's words.

    `object attribute: what is wrong (value: '...'). How to mend it. [RULE, section] address`
    """
    found = _CONTEXT.fullmatch(text) if len(text) < _LONGEST else None
    if found is None:
        return None
    body, known = found["body"], explanations().get(found["rule"])
    ends = [place.start() for place in re.finditer(r"\.(?= |$)", body)]
    for end in ends:
        said, remedy = body[:end], body[end + 2 :]
        valued = _VALUE.fullmatch(said)
        where, message = _wherever(valued["said"] if valued else said)
        if message:
            value = f" (valeur : « {valued['value']} »)" if valued else ""
            mend = known_french(remedy) or (known.remedy.of("fr") if known is not None and remedy else "")
            return f"{where}{message}{value}. {mend} [{found['rule']}{found['section'] or ''}]{found['link'] or ''}".replace(".  [", ". [")
    return None


def _wherever(text: str) -> tuple[str, str]:
    """The object before the colon, and the sentence in French; nothing where the tables do not have it."""
    at = text.find(": ")
    while at >= 0 and known_french(text[:at]) is None:
        rest = known_french(text[at + 2 :])
        if rest is not None:
            return f"{text[:at]} : ", rest
        at = text.find(": ", at + 2)
    return "", known_french(text) or ""


@cache
def _own() -> Sentences:
    return Sentences(PHRASES)


@cache
def _refusals() -> Sentences:
    """What trust refuses, by the texts of its rows."""
    pairs = [pair for row in TRUST_RULES for pair in ((row.text_en, row.text_fr), (row.remedy_en, row.remedy_fr)) if pair[0]]
    return Sentences((_numbered(english), _numbered(french, english)) for english, french in pairs if _alike(english, french))


def _refused(text: str) -> str | None:
    return _refusals().french(text)


def _alike(english: str, french: str) -> bool:
    """Without a value that one language has alone."""
    return set(_NAME.findall(english)) == set(_NAME.findall(french))


def _numbered(pattern: str, order: str = "") -> str:
    """The named places of a `str.format` pattern by the numbers that they have in `order`; in French they are sentences again."""
    names = list(dict.fromkeys(_NAME.findall(order or pattern)))
    return _NAME.sub(lambda place: f"{{{names.index(place[1])}{'~' if order else ''}}}", pattern)
