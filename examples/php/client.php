<?php
/**
 * An XDS.b client with PHP's SoapClient: submit (ITI-41, MTOM), find (ITI-18), retrieve (ITI-43).
 *
 *   php client.php URL PATIENT_CX FILE
 *
 * SoapClient knows neither MTOM nor WS-Addressing. `XdsClient` shows the way round both: the headers are SoapHeader objects,
 * and `__doRequest` packs the finished envelope with its documents, and unpacks the answer, before and after SoapClient sees it.
 */
declare(strict_types=1);

const WSA = 'http://www.w3.org/2005/08/addressing';
const XOP = 'http://www.w3.org/2004/08/xop/include';
const SUCCESS = 'urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success';
const APPROVED = 'urn:oasis:names:tc:ebxml-regrep:StatusType:Approved';

class XdsClient extends SoapClient
{
    /** Content-ID => [media type, bytes]: what the next message carries beside its envelope. */
    private array $attachments = [];

    public function __construct(private string $url)
    {
        parent::__construct("$url?wsdl", [
            'soap_version' => SOAP_1_2,
            'location' => $url,
            'cache_wsdl' => WSDL_CACHE_NONE,
            'features' => SOAP_SINGLE_ELEMENT_ARRAYS, // a list of one is a list
        ]);
    }

    /** One call: $body is the whole child of the SOAP body. */
    public function call(string $operation, string $action, string $body, array $attachments = []): object
    {
        $this->attachments = $attachments;
        return $this->__soapCall($operation, [new SoapVar($body, XSD_ANYXML)], null, [
            new SoapHeader(WSA, 'Action', $action, true),
            new SoapHeader(WSA, 'MessageID', 'urn:uuid:' . uuid()),
            new SoapHeader(WSA, 'To', $this->url),
        ]);
    }

    public function __doRequest(string $request, string $location, string $action, int $version, bool $oneWay = false): ?string
    {
        $boundary = 'MIMEBoundary-' . uuid();
        $parts = ['root@carnet.example' => ['application/xop+xml; charset=UTF-8; type="application/soap+xml"', $request]]
            + $this->attachments;
        $package = '';
        foreach ($parts as $id => [$type, $bytes]) {
            $package .= "--$boundary\r\nContent-Type: $type\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <$id>\r\n\r\n$bytes\r\n";
        }
        $connection = curl_init($location);
        curl_setopt_array($connection, [
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_POSTFIELDS => "$package--$boundary--\r\n",
            CURLOPT_HTTPHEADER => [
                "Content-Type: multipart/related; boundary=\"$boundary\"; type=\"application/xop+xml\"; "
                    . "start=\"<root@carnet.example>\"; start-info=\"application/soap+xml\"; action=\"$action\"",
            ],
        ]);
        $answer = curl_exec($connection);
        if ($answer === false) {
            throw new SoapFault('Receiver', curl_error($connection));
        }
        return unpackAnswer($answer, (string) curl_getinfo($connection, CURLINFO_CONTENT_TYPE));
    }
}

/** The envelope of an MTOM answer with every xop:Include replaced by base64, which SoapClient reads. */
function unpackAnswer(string $answer, string $contentType): string
{
    if (!preg_match('/boundary="?([^";]+)/', $contentType, $found)) {
        return $answer;
    }
    $envelope = null;
    $contents = [];
    foreach (array_slice(explode("--$found[1]", "\r\n$answer"), 1, -1) as $part) {
        [$head, $bytes] = explode("\r\n\r\n", substr($part, 2, -2), 2);
        preg_match('/Content-ID:\s*<([^>]*)>/i', $head, $id);
        $envelope ??= $bytes;
        $contents[$id[1] ?? ''] = $bytes;
    }
    $document = new DOMDocument();
    $document->loadXML($envelope, LIBXML_NONET);
    foreach (iterator_to_array($document->getElementsByTagNameNS(XOP, 'Include')) as $include) {
        $id = rawurldecode(substr($include->getAttribute('href'), strlen('cid:')));
        $include->parentNode->replaceChild($document->createTextNode(base64_encode($contents[$id])), $include);
    }
    return $document->saveXML();
}

function uuid(): string
{
    $bytes = random_bytes(16);
    $bytes[6] = chr(ord($bytes[6]) & 0x0f | 0x40);
    $bytes[8] = chr(ord($bytes[8]) & 0x3f | 0x80);
    return vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex($bytes), 4));
}

/** A unique id: an OID under an arc of your own, then what never comes again. */
function newOid(): string
{
    return '1.2.3.4.5.' . time() . '.' . random_int(1, PHP_INT_MAX);
}

function xml(string $text): string
{
    return htmlspecialchars($text, ENT_XML1 | ENT_QUOTES, 'UTF-8');
}

/** Every reason of a refusal, not only the first. */
function errors(object $response): array
{
    return array_map(fn ($error) => "$error->errorCode: $error->codeContext", $response->RegistryErrorList->RegistryError ?? []);
}

function shown(object $response): string
{
    return implode("\n          ", [substr(strrchr($response->status, ':'), 1), ...errors($response)]);
}

function submit(XdsClient $repository, string $patientId, string $documentId, string $file): object
{
    $mimeType = match (pathinfo($file, PATHINFO_EXTENSION)) { 'xml' => 'text/xml', 'pdf' => 'application/pdf', default => 'text/plain' };
    $metadata = strtr(file_get_contents(__DIR__ . '/../submission.xml'), [
        '@patientId@' => xml($patientId),
        '@documentId@' => $documentId,
        '@setId@' => newOid(),
        '@mimeType@' => $mimeType,
        '@title@' => xml(basename($file)),
        '@now@' => gmdate('YmdHis'), // DTM is UTC
    ]);
    return $repository->call(
        'DocumentRepository_ProvideAndRegisterDocumentSet-b',
        'urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b',
        '<x:ProvideAndRegisterDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007">' . $metadata
            . '<x:Document id="Document01"><i:Include xmlns:i="' . XOP . '" href="cid:document@carnet.example"/></x:Document>'
            . '</x:ProvideAndRegisterDocumentSetRequest>',
        ['document@carnet.example' => [$mimeType, file_get_contents($file)]],
    );
}

function find(XdsClient $registry, string $patientId): object
{
    $slot = fn ($name, $value) => "<r:Slot name=\"$name\"><r:ValueList><r:Value>" . xml($value) . '</r:Value></r:ValueList></r:Slot>';
    return $registry->call(
        'DocumentRegistry_RegistryStoredQuery',
        'urn:ihe:iti:2007:RegistryStoredQuery',
        '<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">'
            . '<q:ResponseOption returnComposedObjects="true" returnType="LeafClass"/>'
            . '<r:AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d">' // FindDocuments
            . $slot('$XDSDocumentEntryPatientId', "'$patientId'") // strings stand in single quotes,
            . $slot('$XDSDocumentEntryStatus', "('" . APPROVED . "')") // lists in brackets
            . '</r:AdhocQuery></q:AdhocQueryRequest>',
    );
}

function retrieve(XdsClient $repository, string $repositoryId, string $documentId): object
{
    return $repository->call(
        'DocumentRepository_RetrieveDocumentSet',
        'urn:ihe:iti:2007:RetrieveDocumentSet',
        '<x:RetrieveDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007"><x:DocumentRequest>'
            . "<x:RepositoryUniqueId>$repositoryId</x:RepositoryUniqueId><x:DocumentUniqueId>$documentId</x:DocumentUniqueId>"
            . '</x:DocumentRequest></x:RetrieveDocumentSetRequest>',
    );
}

function main(string $base, string $patientId, string $file): int
{
    $repository = new XdsClient("$base/xds/repository");
    $registry = new XdsClient("$base/xds/registry");
    $documentId = newOid();

    $stored = submit($repository, $patientId, $documentId, $file);
    echo 'submit   ', shown($stored), "\n";
    if ($stored->status !== SUCCESS) {
        return 1;
    }

    $answer = find($registry, $patientId);
    $repositoryId = null;
    $entries = $answer->RegistryObjectList->ExtrinsicObject ?? [];
    foreach ($entries as $entry) {
        if (in_array($documentId, array_column($entry->ExternalIdentifier, 'value'), true)) {
            $slots = array_column($entry->Slot, 'ValueList', 'name');
            $repositoryId = $slots['repositoryUniqueId']->Value[0];
        }
    }
    echo 'find     ', shown($answer), ' ', count($entries), " documents\n";
    if ($repositoryId === null) {
        return 1;
    }

    $got = retrieve($repository, $repositoryId, $documentId);
    $same = ($got->DocumentResponse[0]->Document ?? null) === file_get_contents($file);
    echo 'retrieve ', shown($got->RegistryResponse), ' ', $same ? 'the same bytes' : 'OTHER BYTES', "\n";
    if (!$same) {
        return 1;
    }

    // What a refusal looks like: a unique id that exists, with other content.
    $refused = submit($repository, $patientId, $documentId, __FILE__);
    echo 'refused  ', shown($refused), "\n";
    return errors($refused) ? 0 : 1;
}

try {
    exit(main(...array_slice($argv, 1)));
} catch (SoapFault $fault) { // the message was not understood
    fwrite(STDERR, "fault: {$fault->getMessage()}\n");
    exit(1);
}
