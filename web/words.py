"""Every phrase of the pages, in English and French."""

from __future__ import annotations

LANGUAGES = ("en", "fr")

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("Sandbox", "Bac à sable"),
    "sandboxes": ("Sandboxes", "Bacs à sable"),
    "front": (
        "Each vendor has a sandbox of its own: address, store and patients. What your software sends is kept whole, answered by "
        "the real server, and checked.",
        "Chaque éditeur a son bac à sable : adresse, stockage et patients. Ce que votre logiciel envoie est gardé en entier, "
        "reçoit la réponse du vrai serveur, et est vérifié.",
    ),
    "open": ("Open a sandbox", "Ouvrir un bac à sable"),
    "name": ("Name (letters, digits, - and _)", "Nom (lettres, chiffres, - et _)"),
    "addresses": ("Send to", "Envoyer à"),
    "patients": ("Patients known here", "Patients connus ici"),
    "add_patient": ("Make a patient known", "Faire connaître un patient"),
    "messages": ("Messages", "Messages"),
    "none": ("Nothing has arrived yet.", "Rien n'est encore arrivé."),
    "waiting": ("New messages appear by themselves.", "Les nouveaux messages apparaissent d'eux-mêmes."),
    "expectations": ("What is expected", "Ce qui est attendu"),
    "met_by": ("shown by message", "montré par le message"),
    "source": ("Submit", "Déposer"),
    "life": ("Versions, masking, removal", "Versions, masquage, suppression"),
    "consumer": ("Find and retrieve", "Chercher et récupérer"),
    "errors": ("Refusals", "Refus"),
    "number": ("No.", "N°"),
    "at": ("Time (UTC)", "Heure (UTC)"),
    "transaction": ("Transaction", "Transaction"),
    "outcome": ("Outcome", "Résultat"),
    "findings": ("Findings", "Constats"),
    "size": ("In / out", "Reçu / rendu"),
    "took": ("Took", "Durée"),
    "from": ("From", "De"),
    "fault": ("Fault", "Erreur SOAP"),
    "request": ("Request", "Requête"),
    "response": ("Answer", "Réponse"),
    "answered": ("What the server answered", "Ce que le serveur a répondu"),
    "checked": ("What the check found in the request", "Ce que la vérification a trouvé dans la requête"),
    "clean": ("Nothing to mend.", "Rien à corriger."),
    "line": ("line", "ligne"),
    "explain": ("explained", "expliqué"),
    "curl": ("As curl", "En curl"),
    "copy": ("Copy", "Copier"),
    "copied": ("Copied", "Copié"),
    "replay": ("Send it again", "Renvoyer"),
    "replayed": ("Sent again as message", "Renvoyé comme message"),
    "download": ("Download", "Télécharger"),
    "body": ("body alone", "corps seul"),
    "evidence": ("Download the evidence (zip)", "Télécharger les preuves (zip)"),
    "compare": ("Compare", "Comparer"),
    "compare_with": ("Compare with message", "Comparer avec le message"),
    "same": ("The two requests are the same, line by line.", "Les deux requêtes sont identiques, ligne à ligne."),
    "cut": ("Not shown whole: download it to see the rest.", "Pas montré en entier : téléchargez-le pour voir le reste."),
    "not_whole": ("The request ended before its end.", "La requête s'est arrêtée avant la fin."),
    "back": ("All messages", "Tous les messages"),
    "other": ("Français", "English"),
    "unknown": ("There is nothing at this address.", "Il n'y a rien à cette adresse."),
    "refused": (
        "This name cannot be used: 1 to 40 letters, digits, - or _, beginning with a letter or digit.",
        "Ce nom ne convient pas : 1 à 40 lettres, chiffres, - ou _, en commençant par une lettre ou un chiffre.",
    ),
    "too_many": (
        "No further sandbox is made: there are as many as there may be. Remove a folder of those that nobody uses.",
        "Pas de bac à sable de plus : leur nombre est au maximum. Supprimez le dossier d'un bac que personne n'utilise.",
    ),
    "bad_patient": (
        "This is no patient id: give a CX such as 4711^^^&1.2.3.4.5&ISO.",
        "Ce n'est pas un identifiant de patient : donnez un CX tel que 4711^^^&1.2.3.4.5&ISO.",
    ),
    "foreign": ("Forms are taken from this site only.", "Les formulaires ne sont acceptés que depuis ce site."),
    "misdirected": (
        "This listener does not go by the name in Host. Reach it by localhost or its IP address, or start it with "
        "--public-url http://NAME:PORT; a proxy before it must pass Host on.",
        "Cet écouteur ne porte pas le nom indiqué dans Host. Adressez-vous à localhost ou à son adresse IP, ou lancez-le avec "
        "--public-url http://NOM:PORT ; un mandataire placé devant doit transmettre Host.",
    ),
    "error": ("error", "erreur"),
    "warning": ("warning", "avertissement"),
    "tolerated": ("tolerated here, refused elsewhere", "toléré ici, refusé ailleurs"),
    "advice": ("advice", "conseil"),
}


def word(name: str, language: str) -> str:
    """The phrase in `en` or `fr`. KeyError for one that does not exist."""
    return _WORDS[name][LANGUAGES.index(language)]


def language_of(query: dict[str, list[str]], accept_language: str) -> str:
    """`?lang=` wins, then the first of the browser's languages that we speak, then English."""
    asked = query.get("lang", [""])[0]
    if asked in LANGUAGES:
        return asked
    for piece in accept_language.split(","):
        one = piece.split(";")[0].strip().lower()[:2]
        if one in LANGUAGES:
            return one
    return "en"
