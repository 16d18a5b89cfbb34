package peer;

import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;

import org.openehealth.ipf.commons.ihe.xds.core.metadata.Association;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.AssociationType;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.Author;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.Code;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.DocumentAvailability;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.DocumentEntry;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.DocumentEntryType;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.Folder;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.Hl7v2Based;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.ObjectReference;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.SubmissionSet;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.TimeRange;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.Timestamp;
import org.openehealth.ipf.commons.ihe.xds.core.metadata.XDSMetaClass;
import org.openehealth.ipf.commons.ihe.xds.core.requests.QueryRegistry;
import org.openehealth.ipf.commons.ihe.xds.core.requests.query.*;
import org.openehealth.ipf.commons.ihe.xds.core.responses.QueryResponse;
import org.openehealth.ipf.commons.ihe.xds.core.responses.Status;
import org.openehealth.ipf.commons.ihe.xds.core.validate.ValidationMessage;
import org.openehealth.ipf.commons.ihe.xds.core.validate.XDSMetaDataException;

/** One stored query over a {@link Store}: those of ITI-18, with patient, status, type and codes as filters. */
final class Search {

    private final Store store;
    private final QueryResponse found = new QueryResponse(Status.SUCCESS);

    Search(Store store) {
        this.store = store;
    }

    QueryResponse answer(QueryRegistry request) {
        Query query = request.getQuery();
        if (query instanceof FindDocumentsByReferenceIdQuery one) {
            find(one, entry -> one.getReferenceIds().getOuterList().stream().allMatch(clause -> clause.stream()
                    .anyMatch(id -> entry.getReferenceIdList().stream().anyMatch(own -> Hl7v2Based.render(own).equals(id)))));
        } else if (query instanceof FindDocumentsQuery one) {
            find(one, entry -> true);
        } else if (query instanceof FindFoldersQuery one) {
            keep(found.getFolders(), store.folders, folder -> Objects.equals(folder.getPatientId(), one.getPatientId())
                    && one.getStatus().contains(folder.getAvailabilityStatus())
                    && within(one.getLastUpdateTime(), folder.getLastUpdateTime()) && all(one.getCodes(), folder.getCodeList()));
        } else if (query instanceof FindSubmissionSetsQuery one) {
            keep(found.getSubmissionSets(), store.sets, set -> Objects.equals(set.getPatientId(), one.getPatientId())
                    && one.getStatus().contains(set.getAvailabilityStatus()) && any(one.getContentTypeCodes(), set.getContentTypeCode())
                    && within(one.getSubmissionTime(), set.getSubmissionTime())
                    && (one.getAuthorPerson() == null || like(List.of(one.getAuthorPerson()), set.getAuthors()))
                    && (empty(one.getSourceIds()) || one.getSourceIds().contains(set.getSourceId())));
        } else if (query instanceof GetAllQuery one) {
            everything(one);
        } else if (query instanceof GetDocumentsAndAssociationsQuery one) {
            keep(found.getDocumentEntries(), store.entries, named(one.getUuids(), one.getUniqueIds()));
            touching(uuids(found.getDocumentEntries()));
        } else if (query instanceof GetDocumentsQuery one) {
            keep(found.getDocumentEntries(), store.entries, named(one.getUuids(), one.getUniqueIds()).or(entry ->
                    !empty(one.getLogicalUuid()) && one.getLogicalUuid().contains(entry.getLogicalUuid())));
        } else if (query instanceof GetFoldersQuery one) {
            keep(found.getFolders(), store.folders, named(one.getUuids(), one.getUniqueIds()).or(entry ->
                    !empty(one.getLogicalUuid()) && one.getLogicalUuid().contains(entry.getLogicalUuid())));
        } else if (query instanceof GetAssociationsQuery one) {
            touching(new HashSet<>(one.getUuids()));
        } else if (query instanceof GetSubmissionSetsQuery one) {
            Predicate<Association> holds = link -> link.getAssociationType() == AssociationType.HAS_MEMBER
                    && store.sets.containsKey(link.getSourceUuid()) && one.getUuids().contains(link.getTargetUuid());
            store.links.values().stream().filter(holds).forEach(found.getAssociations()::add);
            keep(found.getSubmissionSets(), store.sets, set -> sources().contains(set.getEntryUuid()));
        } else if (query instanceof GetFoldersForDocumentQuery one) {
            Set<String> documents = documents(one);
            keep(found.getFolders(), store.folders, folder -> store.links.values().stream()
                    .anyMatch(link -> folder.getEntryUuid().equals(link.getSourceUuid()) && documents.contains(link.getTargetUuid())));
        } else if (query instanceof GetSubmissionSetAndContentsQuery one) {
            keep(found.getSubmissionSets(), store.sets, named(one.getUuid(), one.getUniqueId()));
            contents(uuids(found.getSubmissionSets()), one);
        } else if (query instanceof GetFolderAndContentsQuery one) {
            keep(found.getFolders(), store.folders, named(one.getUuid(), one.getUniqueId()));
            contents(uuids(found.getFolders()), one);
        } else if (query instanceof GetRelatedDocumentsQuery one) {
            related(one);
        } else {
            throw new XDSMetaDataException(ValidationMessage.UNSUPPORTED_QUERY_TYPE, query.getType());
        }
        return request.getReturnType() == QueryReturnType.OBJECT_REF ? references() : found;
    }

    private void find(FindDocumentsQuery query, Predicate<DocumentEntry> further) {
        keep(found.getDocumentEntries(), store.entries, entry -> Objects.equals(entry.getPatientId(), query.getPatientId())
                && query.getStatus().contains(entry.getAvailabilityStatus())
                && typed(query.getDocumentEntryTypes(), entry)
                && any(query.getClassCodes(), entry.getClassCode()) && any(query.getTypeCodes(), entry.getTypeCode())
                && any(query.getFormatCodes(), entry.getFormatCode())
                && any(query.getPracticeSettingCodes(), entry.getPracticeSettingCode())
                && any(query.getHealthcareFacilityTypeCodes(), entry.getHealthcareFacilityTypeCode())
                && all(query.getConfidentialityCodes(), entry.getConfidentialityCodes())
                && all(query.getEventCodes(), entry.getEventCodeList())
                && within(query.getCreationTime(), entry.getCreationTime())
                && within(query.getServiceStartTime(), entry.getServiceStartTime())
                && within(query.getServiceStopTime(), entry.getServiceStopTime())
                && (empty(query.getAuthorPersons()) || like(query.getAuthorPersons(), entry.getAuthors()))
                && (empty(query.getDocumentAvailability()) || query.getDocumentAvailability().contains(
                        Objects.requireNonNullElse(entry.getDocumentAvailability(), DocumentAvailability.ONLINE)))
                && further.test(entry));
    }

    private void everything(GetAllQuery query) {
        keep(found.getDocumentEntries(), store.entries, entry -> Objects.equals(entry.getPatientId(), query.getPatientId())
                && query.getStatusDocuments().contains(entry.getAvailabilityStatus()) && typed(query.getDocumentEntryTypes(), entry)
                && any(query.getFormatCodes(), entry.getFormatCode())
                && all(query.getConfidentialityCodes(), entry.getConfidentialityCodes()));
        keep(found.getSubmissionSets(), store.sets, set -> Objects.equals(set.getPatientId(), query.getPatientId())
                && query.getStatusSubmissionSets().contains(set.getAvailabilityStatus()));
        keep(found.getFolders(), store.folders, folder -> Objects.equals(folder.getPatientId(), query.getPatientId())
                && query.getStatusFolders().contains(folder.getAvailabilityStatus()));
        Set<String> ends = uuids(found.getDocumentEntries());
        ends.addAll(uuids(found.getSubmissionSets()));
        ends.addAll(uuids(found.getFolders()));
        touching(ends);
    }

    private void contents(Set<String> holders, GetByIdAndCodesQuery query) {
        Predicate<DocumentEntry> wanted = entry -> typed(query.getDocumentEntryTypes(), entry)
                && any(query.getFormatCodes(), entry.getFormatCode())
                && all(query.getConfidentialityCodes(), entry.getConfidentialityCodes());
        Map<String, Association> held = new LinkedHashMap<>();
        store.links.values().stream().filter(link -> holders.contains(link.getSourceUuid()))
                .forEach(link -> held.put(link.getTargetUuid(), link));
        keep(found.getDocumentEntries(), store.entries, entry -> held.containsKey(entry.getEntryUuid()) && wanted.test(entry));
        keep(found.getFolders(), store.folders, folder -> held.containsKey(folder.getEntryUuid()));
        Set<String> shown = uuids(found.getDocumentEntries());
        shown.addAll(uuids(found.getFolders()));
        store.links.values().stream().filter(link -> held.containsKey(link.getEntryUuid())
                && (shown.contains(link.getTargetUuid()) || !store.entries.containsKey(link.getTargetUuid())))
                .forEach(found.getAssociations()::add);
        found.getAssociations().forEach(link -> shown.add(link.getEntryUuid()));
        held.values().stream().filter(link -> shown.contains(link.getTargetUuid())).forEach(found.getAssociations()::add);
    }

    private void related(GetRelatedDocumentsQuery query) {
        Set<String> documents = documents(query);
        store.links.values().stream()
                .filter(link -> query.getAssociationTypes().contains(link.getAssociationType())
                        && store.entries.containsKey(link.getSourceUuid()) && store.entries.containsKey(link.getTargetUuid())
                        && (documents.contains(link.getSourceUuid()) || documents.contains(link.getTargetUuid())))
                .forEach(found.getAssociations()::add);
        Set<String> ends = sources();
        found.getAssociations().forEach(link -> ends.add(link.getTargetUuid()));
        keep(found.getDocumentEntries(), store.entries, entry -> ends.contains(entry.getEntryUuid()));
    }

    // ------------------------------------------------------------------------------------------------------- conditions

    private QueryResponse references() {
        QueryResponse answer = new QueryResponse(Status.SUCCESS);
        Set<String> all = new java.util.LinkedHashSet<>(uuids(found.getDocumentEntries()));
        all.addAll(uuids(found.getSubmissionSets()));
        all.addAll(uuids(found.getFolders()));
        found.getAssociations().forEach(link -> all.add(link.getEntryUuid()));
        all.forEach(uuid -> answer.getReferences().add(new ObjectReference(uuid)));
        return answer;
    }

    private Set<String> documents(GetFromDocumentQuery query) {
        Set<String> wanted = new HashSet<>();
        store.entries.values().stream().filter(named(query.getUuid(), query.getUniqueId()))
                .forEach(entry -> wanted.add(entry.getEntryUuid()));
        return wanted;
    }

    private void touching(Set<String> ends) {
        store.links.values().stream().filter(link -> ends.contains(link.getSourceUuid()) || ends.contains(link.getTargetUuid()))
                .forEach(found.getAssociations()::add);
    }

    private Set<String> sources() {
        Set<String> uuids = new HashSet<>();
        found.getAssociations().forEach(link -> uuids.add(link.getSourceUuid()));
        return uuids;
    }

    private static <T extends XDSMetaClass> void keep(List<T> answer, Map<String, T> from, Predicate<? super T> wanted) {
        from.values().stream().filter(wanted).forEach(answer::add);
    }

    private static Set<String> uuids(Collection<? extends XDSMetaClass> objects) {
        Set<String> uuids = new HashSet<>();
        objects.forEach(one -> uuids.add(one.getEntryUuid()));
        return uuids;
    }

    private static Predicate<XDSMetaClass> named(Object uuid, Object uniqueId) {
        List<?> uuids = uuid instanceof List<?> several ? several : uuid == null ? List.of() : List.of(uuid);
        List<?> uniqueIds = uniqueId instanceof List<?> several ? several : uniqueId == null ? List.of() : List.of(uniqueId);
        return one -> uuids.contains(one.getEntryUuid()) || uniqueIds.contains(one.getUniqueId());
    }

    private static boolean typed(List<DocumentEntryType> types, DocumentEntry entry) {
        return empty(types) ? entry.getType() != DocumentEntryType.ON_DEMAND : types.contains(entry.getType());
    }

    /** From is inclusive, To is exclusive; what has no time stays in (ITI TF-2: 3.18.4.1.2.3.3). */
    private static boolean within(TimeRange range, Timestamp time) {
        if (range == null || time == null) {
            return true;
        }
        return (range.getFrom() == null || !time.getDateTime().isBefore(range.getFrom().getDateTime()))
                && (range.getTo() == null || time.getDateTime().isBefore(range.getTo().getDateTime()));
    }

    private static boolean like(List<String> patterns, List<Author> authors) {
        return patterns.stream().map(pattern -> Pattern.quote(pattern).replace("%", "\\E.*\\Q").replace("_", "\\E.\\Q"))
                .anyMatch(pattern -> authors.stream().anyMatch(author -> author.getAuthorPerson() != null
                        && Hl7v2Based.render(author.getAuthorPerson()).matches(pattern)));
    }

    private static boolean empty(Collection<?> values) {
        return values == null || values.isEmpty();
    }

    private static boolean same(Code wanted, Code code) {
        return code != null && Objects.equals(wanted.getCode(), code.getCode())
                && Objects.equals(wanted.getSchemeName(), code.getSchemeName());
    }

    private static boolean any(List<Code> wanted, Code code) {
        return empty(wanted) || wanted.stream().anyMatch(one -> same(one, code));
    }

    private static boolean all(QueryList<Code> wanted, List<Code> codes) {
        return wanted == null || wanted.getOuterList().stream()
                .allMatch(clause -> clause.stream().anyMatch(one -> codes.stream().anyMatch(code -> same(one, code))));
    }
}
