// An XDS.b client with JAX-WS (Metro): submit (ITI-41, MTOM), find (ITI-18), retrieve (ITI-43).
//
//   mvn package -Durl=http://127.0.0.1:8080 && java -cp 'target/client.jar:target/lib/*' Client URL PATIENT_CX FILE
//
// wsimport makes the classes of the messages. MTOM and WS-Addressing are features of the port: JAX-WS does both by itself.
import ihe.iti.xds_b._2007.DocumentRegistryPortType;
import ihe.iti.xds_b._2007.DocumentRegistryService;
import ihe.iti.xds_b._2007.DocumentRepositoryPortType;
import ihe.iti.xds_b._2007.DocumentRepositoryService;
import ihe.iti.xds_b._2007.ProvideAndRegisterDocumentSetRequestType;
import ihe.iti.xds_b._2007.RetrieveDocumentSetRequestType;
import ihe.iti.xds_b._2007.RetrieveDocumentSetResponseType;
import ihe.iti.xds_b._2007.DocumentRequestType;
import jakarta.xml.bind.JAXBContext;
import jakarta.xml.ws.BindingProvider;
import jakarta.xml.ws.soap.AddressingFeature;
import jakarta.xml.ws.soap.MTOMFeature;
import java.io.StringReader;
import java.math.BigInteger;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import oasis.names.tc.ebxml_regrep.xsd.lcm._3.SubmitObjectsRequest;
import oasis.names.tc.ebxml_regrep.xsd.query._3.AdhocQueryRequest;
import oasis.names.tc.ebxml_regrep.xsd.query._3.AdhocQueryResponse;
import oasis.names.tc.ebxml_regrep.xsd.query._3.ResponseOptionType;
import oasis.names.tc.ebxml_regrep.xsd.query._3.ReturnType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.AdhocQueryType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ExtrinsicObjectType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.SlotType1;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ValueListType;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryErrorList;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryResponseType;

public class Client {
    static final String SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success";
    static final String APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved";

    final DocumentRepositoryPortType repository;
    final DocumentRegistryPortType registry;

    Client(String base) throws Exception {
        repository = new DocumentRepositoryService(URI.create(base + "/xds/repository?wsdl").toURL())
            .getDocumentRepositoryPortSoap12(new MTOMFeature(), new AddressingFeature());
        registry = new DocumentRegistryService(URI.create(base + "/xds/registry?wsdl").toURL())
            .getDocumentRegistryPortSoap12(new AddressingFeature());
        ((BindingProvider) repository).getRequestContext().put(BindingProvider.ENDPOINT_ADDRESS_PROPERTY, base + "/xds/repository");
        ((BindingProvider) registry).getRequestContext().put(BindingProvider.ENDPOINT_ADDRESS_PROPERTY, base + "/xds/registry");
    }

    /** A UUID as an OID under 2.25: a unique id that needs no registration (ITU-T X.667). */
    static String newOid() {
        return "2.25." + new BigInteger(UUID.randomUUID().toString().replace("-", ""), 16);
    }

    /** The metadata come from the template beside the examples: read into the same objects that you would fill from your data. */
    static SubmitObjectsRequest metadata(Map<String, String> values) throws Exception {
        String text = Files.readString(Path.of("..", "submission.xml"));
        for (Map.Entry<String, String> value : values.entrySet())
            text = text.replace("@" + value.getKey() + "@", value.getValue().replace("&", "&amp;").replace("<", "&lt;").replace("\"", "&quot;"));
        return (SubmitObjectsRequest) JAXBContext.newInstance(SubmitObjectsRequest.class).createUnmarshaller().unmarshal(new StringReader(text));
    }

    RegistryResponseType submit(String patientId, String documentId, Path file) throws Exception {
        String name = file.getFileName().toString();
        String mimeType = name.endsWith(".xml") ? "text/xml" : name.endsWith(".pdf") ? "application/pdf" : "text/plain";
        String now = DateTimeFormatter.ofPattern("yyyyMMddHHmmss").format(ZonedDateTime.now(ZoneOffset.UTC)); // DTM is UTC
        ProvideAndRegisterDocumentSetRequestType request = new ProvideAndRegisterDocumentSetRequestType();
        request.setSubmitObjectsRequest(metadata(Map.of("patientId", patientId, "documentId", documentId, "setId", newOid(),
            "mimeType", mimeType, "title", name, "now", now)));
        ProvideAndRegisterDocumentSetRequestType.Document document = new ProvideAndRegisterDocumentSetRequestType.Document();
        document.setId("Document01");
        document.setValue(Files.readAllBytes(file));
        request.getDocument().add(document);
        return repository.documentRepositoryProvideAndRegisterDocumentSetB(request);
    }

    static SlotType1 slot(String name, String value) {
        SlotType1 slot = new SlotType1();
        slot.setName(name);
        slot.setValueList(new ValueListType());
        slot.getValueList().getValue().add(value);
        return slot;
    }

    AdhocQueryResponse find(String patientId) {
        AdhocQueryRequest request = new AdhocQueryRequest();
        request.setResponseOption(new ResponseOptionType());
        request.getResponseOption().setReturnType(ReturnType.LEAF_CLASS);
        request.getResponseOption().setReturnComposedObjects(true);
        AdhocQueryType query = new AdhocQueryType();
        query.setId("urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"); // FindDocuments
        query.getSlot().add(slot("$XDSDocumentEntryPatientId", "'" + patientId + "'")); // strings stand in single quotes,
        query.getSlot().add(slot("$XDSDocumentEntryStatus", "('" + APPROVED + "')")); // lists in brackets
        request.setAdhocQuery(query);
        return registry.documentRegistryRegistryStoredQuery(request);
    }

    RetrieveDocumentSetResponseType retrieve(String repositoryId, String documentId) {
        DocumentRequestType wanted = new DocumentRequestType();
        wanted.setRepositoryUniqueId(repositoryId);
        wanted.setDocumentUniqueId(documentId);
        RetrieveDocumentSetRequestType request = new RetrieveDocumentSetRequestType();
        request.getDocumentRequest().add(wanted);
        return repository.documentRepositoryRetrieveDocumentSet(request);
    }

    /** Every reason of a refusal, not only the first. */
    static void show(String step, String status, RegistryErrorList errors, String more) {
        System.out.println(step + status.substring(status.lastIndexOf(':') + 1) + more);
        if (errors != null)
            errors.getRegistryError().forEach(e -> System.out.println("          " + e.getErrorCode() + ": " + e.getCodeContext()));
    }

    public static void main(String[] arguments) throws Exception {
        Client client = new Client(arguments[0]);
        String patientId = arguments[1], documentId = newOid();
        Path file = Path.of(arguments[2]);

        RegistryResponseType stored = client.submit(patientId, documentId, file);
        show("submit   ", stored.getStatus(), stored.getRegistryErrorList(), "");
        if (!stored.getStatus().equals(SUCCESS)) System.exit(1);

        AdhocQueryResponse answer = client.find(patientId);
        List<ExtrinsicObjectType> entries = answer.getRegistryObjectList().getExtrinsicObjectOrRegistryPackageOrAssociation().stream()
            .filter(ExtrinsicObjectType.class::isInstance).map(ExtrinsicObjectType.class::cast).toList();
        show("find     ", answer.getStatus(), answer.getRegistryErrorList(), " " + entries.size() + " documents");
        String repositoryId = entries.stream()
            .filter(entry -> entry.getExternalIdentifier().stream().anyMatch(id -> id.getValue().equals(documentId)))
            .flatMap(entry -> entry.getSlot().stream()).filter(slot -> slot.getName().equals("repositoryUniqueId"))
            .map(slot -> slot.getValueList().getValue().get(0)).findFirst().orElse(null);
        if (repositoryId == null) System.exit(1);

        RetrieveDocumentSetResponseType got = client.retrieve(repositoryId, documentId);
        boolean same = !got.getDocumentResponse().isEmpty()
            && Arrays.equals(got.getDocumentResponse().get(0).getDocument(), Files.readAllBytes(file));
        show("retrieve ", got.getRegistryResponse().getStatus(), got.getRegistryResponse().getRegistryErrorList(), same ? " the same bytes" : " OTHER BYTES");
        if (!same) System.exit(1);

        // What a refusal looks like: a unique id that exists, with other content.
        RegistryResponseType refused = client.submit(patientId, documentId, Path.of("pom.xml"));
        show("refused  ", refused.getStatus(), refused.getRegistryErrorList(), "");
        System.exit(refused.getRegistryErrorList() == null ? 1 : 0);
    }
}
