package peer;

import static org.openehealth.ipf.commons.ihe.xds.core.validate.ValidationMessage.*;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;

import jakarta.activation.DataHandler;
import jakarta.mail.util.ByteArrayDataSource;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.Association;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.AssociationType;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.AvailabilityStatus;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.Document;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.DocumentEntry;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.Folder;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.SubmissionSet;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.Timestamp;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.XDSMetaClass;
import org.openehealth.ipf.commons.ihe.xds.core.requests.DocumentReference;
import org.openehealth.ipf.commons.ihe.xds.core.requests.ProvideAndRegisterDocumentSet;
import org.openehealth.ipf.commons.ihe.xds.core.requests.QueryRegistry;
import org.openehealth.ipf.commons.ihe.xds.core.requests.RegisterDocumentSet;
import org.openehealth.ipf.commons.ihe.xds.core.requests.RetrieveDocumentSet;
import org.openehealth.ipf.commons.ihe.xds.core.responses.ErrorCode;
import org.openehealth.ipf.commons.ihe.xds.core.responses.ErrorInfo;
import org.openehealth.ipf.commons.ihe.xds.core.responses.QueryResponse;
import org.openehealth.ipf.commons.ihe.xds.core.responses.Response;
import org.openehealth.ipf.commons.ihe.xds.core.responses.RetrievedDocument;
import org.openehealth.ipf.commons.ihe.xds.core.responses.RetrievedDocumentSet;
import org.openehealth.ipf.commons.ihe.xds.core.responses.Severity;
import org.openehealth.ipf.commons.ihe.xds.core.responses.Status;
import org.openehealth.ipf.commons.ihe.xds.core.validate.XDSMetaDataException;

/** What was registered and stored, in memory. Checks what IPF's validators leave to an application; one lock for everything. */
final class Store {

    static final String REPOSITORY = "1.2.250.1.213.99.77";

    final Map<String, SubmissionSet> sets = new LinkedHashMap<>();
    final Map<String, DocumentEntry> entries = new LinkedHashMap<>();
    final Map<String, Folder> folders = new LinkedHashMap<>();
    final Map<String, Association> links = new LinkedHashMap<>();
    private final Map<String, byte[]> contents = new HashMap<>();

    // ---------------------------------------------------------------------------------------------------- submissions

    synchronized Response provide(ProvideAndRegisterDocumentSet request) {
        Map<String, byte[]> received = new HashMap<>();
        List<DocumentEntry> documents = new ArrayList<>();
        for (Document document : request.getDocuments()) {
            DocumentEntry entry = document.getDocumentEntry();
            byte[] content = bytes(document.getDataHandler());
            String hash = sha1(content);
            if (entry.getHash() != null && !entry.getHash().equalsIgnoreCase(hash)) {
                throw new XDSMetaDataException(INCORRECT_HASH);
            }
            if (entry.getSize() != null && entry.getSize() != content.length) {
                throw new XDSMetaDataException(INCORRECT_SIZE);
            }
            entry.setHash(hash);
            entry.setSize((long) content.length);
            entry.setRepositoryUniqueId(REPOSITORY);
            received.put(entry.getUniqueId(), content);
            documents.add(entry);
        }
        Response answer = add(request.getSubmissionSet(), documents, request.getFolders(), request.getAssociations());
        if (answer.getStatus() == Status.SUCCESS) {
            contents.putAll(received);
        }
        return answer;
    }

    synchronized Response register(RegisterDocumentSet request) {
        return add(request.getSubmissionSet(), request.getDocumentEntries(), request.getFolders(), request.getAssociations());
    }

    private Response add(SubmissionSet set, List<DocumentEntry> documents, List<Folder> packages, List<Association> associations) {
        if (sets.values().stream().anyMatch(one -> one.getUniqueId().equals(set.getUniqueId()))
                || packages.stream().anyMatch(folder -> folders.values().stream()
                        .anyMatch(one -> one.getUniqueId().equals(folder.getUniqueId())))) {
            Response refusal = new Response(Status.FAILURE);
            refusal.getErrors().add(error(ErrorCode.DUPLICATE_UNIQUE_ID_IN_REGISTRY, "a uniqueId is registered already"));
            return refusal;
        }
        List<XDSMetaClass> objects = new ArrayList<>();
        objects.add(set);
        objects.addAll(documents);
        objects.addAll(packages);
        Map<String, String> ids = new HashMap<>();
        objects.forEach(one -> ids.put(one.getEntryUuid(), registered(one.getEntryUuid())));
        judge(set, documents, associations, ids);
        for (XDSMetaClass one : objects) {
            one.setEntryUuid(ids.get(one.getEntryUuid()));
            one.setLogicalUuid(one.getEntryUuid());
            one.setAvailabilityStatus(AvailabilityStatus.APPROVED);
        }
        sets.put(set.getEntryUuid(), set);
        documents.forEach(one -> entries.put(one.getEntryUuid(), one));
        packages.forEach(one -> folders.put(one.getEntryUuid(), one));
        packages.forEach(one -> one.setLastUpdateTime(Timestamp.now()));
        for (Association link : associations) {
            link.setEntryUuid(registered(link.getEntryUuid()));
            link.setSourceUuid(ids.getOrDefault(link.getSourceUuid(), link.getSourceUuid()));
            link.setTargetUuid(ids.getOrDefault(link.getTargetUuid(), link.getTargetUuid()));
            link.setAvailabilityStatus(AvailabilityStatus.APPROVED);
            links.put(link.getEntryUuid(), link);
        }
        associations.forEach(link -> follow(link, set));
        return new Response(Status.SUCCESS);
    }

    private static String registered(String id) {
        return id != null && id.startsWith("urn:uuid:") ? id : "urn:uuid:" + UUID.randomUUID();
    }

    private void judge(SubmissionSet set, List<DocumentEntry> documents, List<Association> associations, Map<String, String> ids) {
        for (String id : ids.values()) {
            if (sets.containsKey(id) || entries.containsKey(id) || folders.containsKey(id) || links.containsKey(id)) {
                throw new XDSMetaDataException(UUID_NOT_UNIQUE);
            }
        }
        for (DocumentEntry document : documents) {
            for (DocumentEntry one : entries.values()) {
                if (one.getUniqueId().equals(document.getUniqueId())
                        && !String.valueOf(one.getHash()).equalsIgnoreCase(String.valueOf(document.getHash()))) {
                    throw new XDSMetaDataException(DIFFERENT_HASH_CODE_IN_RESUBMISSION);
                }
            }
        }
        for (Association link : associations) {
            DocumentEntry target = entries.get(link.getTargetUuid());
            if (link.getAssociationType() == AssociationType.HAS_MEMBER || ids.containsKey(link.getTargetUuid())) {
                continue;
            }
            if (target == null) {
                throw new XDSMetaDataException(UNRESOLVED_REFERENCE, link.getTargetUuid());
            }
            if (target.getAvailabilityStatus() == AvailabilityStatus.DEPRECATED) {
                throw new XDSMetaDataException(DEPRECATED_OBJ_CANNOT_BE_TRANSFORMED);
            }
            if (!Objects.equals(target.getPatientId(), set.getPatientId())) {
                throw new XDSMetaDataException(DOC_ENTRY_PATIENT_ID_WRONG);
            }
        }
    }

    /** What a replacement does to what it replaces, and an addition to its Folder (ITI TF-2: 3.42.4.1.3). */
    private void follow(Association link, SubmissionSet set) {
        Folder folder = folders.get(link.getSourceUuid());
        if (folder != null) {
            folder.setLastUpdateTime(Timestamp.now());
        }
        if (!link.getAssociationType().isReplace()) {
            return;
        }
        deprecate(link.getTargetUuid());
        for (Association held : List.copyOf(links.values())) {
            if (folders.containsKey(held.getSourceUuid()) && held.getTargetUuid().equals(link.getTargetUuid())) {
                Association member = link(held.getSourceUuid(), link.getSourceUuid());
                link(set.getEntryUuid(), member.getEntryUuid());
                folders.get(held.getSourceUuid()).setLastUpdateTime(Timestamp.now());
            }
        }
    }

    private Association link(String source, String target) {
        Association made = new Association(AssociationType.HAS_MEMBER, registered(null), source, target);
        made.setAvailabilityStatus(AvailabilityStatus.APPROVED);
        links.put(made.getEntryUuid(), made);
        return made;
    }

    private void deprecate(String uuid) {
        DocumentEntry entry = entries.get(uuid);
        if (entry == null || entry.getAvailabilityStatus() == AvailabilityStatus.DEPRECATED) {
            return;
        }
        entry.setAvailabilityStatus(AvailabilityStatus.DEPRECATED);
        for (Association link : links.values()) {
            boolean hangs = link.getAssociationType() == AssociationType.APPEND
                    || link.getAssociationType() == AssociationType.TRANSFORM;
            if (hangs && link.getTargetUuid().equals(uuid)) {
                deprecate(link.getSourceUuid());
            }
        }
    }

    // -------------------------------------------------------------------------------------------- queries and documents

    synchronized QueryResponse query(QueryRegistry request) {
        return new Search(this).answer(request);
    }

    synchronized RetrievedDocumentSet retrieve(RetrieveDocumentSet request) {
        RetrievedDocumentSet answer = new RetrievedDocumentSet();
        for (DocumentReference wanted : request.getDocuments()) {
            byte[] content = contents.get(wanted.getDocumentUniqueId());
            if (!REPOSITORY.equals(wanted.getRepositoryUniqueId())) {
                answer.getErrors().add(error(ErrorCode.UNKNOWN_REPOSITORY_ID, wanted.getRepositoryUniqueId()));
            } else if (content == null) {
                answer.getErrors().add(error(ErrorCode.DOCUMENT_UNIQUE_ID_ERROR, wanted.getDocumentUniqueId()));
            } else {
                String type = entries.values().stream().filter(one -> wanted.getDocumentUniqueId().equals(one.getUniqueId()))
                        .findFirst().orElseThrow().getMimeType();
                DataHandler data = new DataHandler(new ByteArrayDataSource(content, type));
                answer.getDocuments().add(new RetrievedDocument(data, wanted, null, null, type));
            }
        }
        Status partly = answer.getDocuments().isEmpty() ? Status.FAILURE : Status.PARTIAL_SUCCESS;
        answer.setStatus(answer.getErrors().isEmpty() ? Status.SUCCESS : partly);
        return answer;
    }

    private static ErrorInfo error(ErrorCode code, String about) {
        return new ErrorInfo(code, about, Severity.ERROR, null, null);
    }

    private static byte[] bytes(DataHandler data) {
        try (var stream = data.getInputStream()) {
            return stream.readAllBytes();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static String sha1(byte[] content) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-1").digest(content));
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }
}
