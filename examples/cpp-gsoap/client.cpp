// An XDS.b client with gSOAP: submit (ITI-41, MTOM), find (ITI-18), retrieve (ITI-43).
//
//   make URL=http://127.0.0.1:8080 && ./client URL PATIENT_CX FILE
//
// wsdl2h and soapcpp2 make the classes of the messages; the wsa plugin writes the WS-Addressing headers; SOAP_ENC_MTOM sends
// what has a `type` as a MIME part.
#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <sstream>

#include "DocumentRepository_USCOREBinding_USCORESoap12.nsmap"
#include "soapDocumentRepository_USCOREBinding_USCORESoap12Proxy.h"
#include "wsaapi.h"

using Proxy = DocumentRepository_USCOREBinding_USCORESoap12Proxy;
using std::string;

static string read(const string &name) {
    std::ifstream file(name, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + name);
    return string(std::istreambuf_iterator<char>(file), {});
}

// A unique id: an OID under an arc of your own, then what never comes again.
static string new_oid() {
    static std::random_device random;
    auto now = std::chrono::system_clock::now().time_since_epoch().count();
    return "1.2.3.4.5." + std::to_string(now) + "." + std::to_string(random());
}

static string now() {  // DTM is UTC
    char text[16];
    time_t seconds = time(nullptr);
    strftime(text, sizeof text, "%Y%m%d%H%M%S", gmtime(&seconds));
    return text;
}

static string escape(const string &value) {
    string text;
    for (char c : value) text += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '"' ? "&quot;" : string(1, c);
    return text;
}

// Every reason of a refusal, not only the first.
static int show(const char *step, const string &status, _rs__RegistryErrorList *list, const string &more = "") {
    std::cout << step << status.substr(status.rfind(':') + 1) << more << "\n";
    int errors = 0;
    if (list)
        for (auto *error : list->RegistryError) {
            std::cout << "          " << error->errorCode << ": " << error->codeContext << "\n";
            errors++;
        }
    return errors;
}

struct Client {
    struct soap *soap;
    Proxy proxy;
    string url;

    explicit Client(const string &base) : soap(soap_new1(SOAP_ENC_MTOM | SOAP_C_UTFSTRING)), proxy(soap), url(base) {
        soap_register_plugin(soap, soap_wsa);
    }
    ~Client() { soap_destroy(soap); soap_end(soap); }

    // Every message has its headers; a fault says that the message was not understood.
    void address(const string &to, const char *action) { soap_wsa_request(soap, soap_wsa_rand_uuid(soap), to.c_str(), action); }
    void check(int error) {
        if (error) { soap_stream_fault(soap, std::cerr); throw std::runtime_error("fault"); }
    }

    // The metadata come from the template beside the examples: read into the same objects that you would fill from your data.
    _lcm__SubmitObjectsRequest *metadata(const std::map<string, string> &values) {
        string text = read("../submission.xml");
        for (auto &value : values)
            for (size_t at; (at = text.find("@" + value.first + "@")) != string::npos;)
                text.replace(at, value.first.size() + 2, escape(value.second));
        std::istringstream stream(text);
        auto *request = soap_new__lcm__SubmitObjectsRequest(soap);
        soap->is = &stream;
        check(soap_read__lcm__SubmitObjectsRequest(soap, request));
        soap->is = nullptr;
        return request;
    }

    rs__RegistryResponseType submit(const string &patient, const string &document_id, const string &file) {
        const string extension = file.substr(file.rfind('.') + 1);
        const string type = extension == "xml" ? "text/xml" : extension == "pdf" ? "application/pdf" : "text/plain";
        static string bytes;
        bytes = read(file);
        auto *request = soap_new_xds__ProvideAndRegisterDocumentSetRequestType(soap);
        request->lcm__SubmitObjectsRequest = metadata({{"patientId", patient}, {"documentId", document_id}, {"setId", new_oid()},
            {"mimeType", type}, {"title", file.substr(file.rfind('/') + 1)}, {"now", now()}});
        request->Document.resize(1);
        auto &document = request->Document[0];
        document.id = "Document01";
        document.__item.__ptr = (unsigned char *)bytes.data();
        document.__item.__size = (int)bytes.size();
        document.__item.type = soap_strdup(soap, type.c_str());  // with a type it travels as a MIME part
        rs__RegistryResponseType response;
        address(url + "/xds/repository", "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b");
        check(proxy.DocumentRepository_USCOREProvideAndRegisterDocumentSet_b((url + "/xds/repository").c_str(),
            "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b", request, response));
        return response;
    }

    rim__SlotType1 *slot(const string &name, const string &value) {
        auto *slot = soap_new_rim__SlotType1(soap);
        slot->name = name;
        slot->ValueList = soap_new_rim__ValueListType(soap);
        slot->ValueList->Value.push_back(value);
        return slot;
    }

    _query__AdhocQueryResponse find(const string &patient) {
        auto *request = soap_new__query__AdhocQueryRequest(soap);
        request->ResponseOption = soap_new_query__ResponseOptionType(soap);
        request->ResponseOption->returnType = query__ReturnType__LeafClass;
        request->ResponseOption->returnComposedObjects = true;
        request->rim__AdhocQuery = soap_new_rim__AdhocQueryType(soap);
        request->rim__AdhocQuery->id = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d";  // FindDocuments
        auto &slots = request->rim__AdhocQuery->Slot;
        slots.push_back(slot("$XDSDocumentEntryPatientId", "'" + patient + "'"));  // strings stand in single quotes,
        slots.push_back(slot("$XDSDocumentEntryStatus", "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')"));  // lists in brackets
        _query__AdhocQueryResponse response;
        address(url + "/xds/registry", "urn:ihe:iti:2007:RegistryStoredQuery");
        soap_clr_omode(soap, SOAP_ENC_MTOM);  // a query travels as plain SOAP
        check(proxy.DocumentRegistry_USCORERegistryStoredQuery((url + "/xds/registry").c_str(), "urn:ihe:iti:2007:RegistryStoredQuery", request, response));
        soap_set_omode(soap, SOAP_ENC_MTOM);
        return response;
    }

    xds__RetrieveDocumentSetResponseType retrieve(const string &repository_id, const string &document_id) {
        auto *request = soap_new_xds__RetrieveDocumentSetRequestType(soap);
        auto *wanted = soap_new_xds__DocumentRequestType(soap);
        wanted->RepositoryUniqueId = repository_id;
        wanted->DocumentUniqueId = document_id;
        request->DocumentRequest.push_back(wanted);
        xds__RetrieveDocumentSetResponseType response;
        address(url + "/xds/repository", "urn:ihe:iti:2007:RetrieveDocumentSet");
        check(proxy.DocumentRepository_USCORERetrieveDocumentSet((url + "/xds/repository").c_str(), "urn:ihe:iti:2007:RetrieveDocumentSet", request, response));
        return response;
    }
};

static int run(const string &url, const string &patient, const string &file) {
    Client client(url);
    const string document_id = new_oid();

    auto stored = client.submit(patient, document_id, file);
    if (show("submit   ", stored.status, stored.RegistryErrorList)) return 1;

    auto answer = client.find(patient);
    int count = 0;
    string repository_id;
    for (auto &object : answer.rim__RegistryObjectList->__union_RegistryObjectListType) {
        if (object.__union_RegistryObjectListType != SOAP_UNION__rim__union_RegistryObjectListType_ExtrinsicObject) continue;
        auto *entry = object.union_RegistryObjectListType.ExtrinsicObject;
        count++;
        for (auto *id : entry->ExternalIdentifier)
            if (id->value == document_id)
                for (auto *slot : entry->Slot)
                    if (slot->name == "repositoryUniqueId") repository_id = slot->ValueList->Value[0];
    }
    show("find     ", answer.status, answer.RegistryErrorList, " " + std::to_string(count) + " documents");
    if (repository_id.empty()) return 1;

    auto got = client.retrieve(repository_id, document_id);
    const auto *part = got.DocumentResponse.empty() ? nullptr : &got.DocumentResponse[0]->Document;
    const bool same = part && string((const char *)part->__ptr, part->__size) == read(file);
    show("retrieve ", got.rs__RegistryResponse->status, got.rs__RegistryResponse->RegistryErrorList, same ? " the same bytes" : " OTHER BYTES");
    if (!same) return 1;

    // What a refusal looks like: a unique id that exists, with other content.
    auto refused = client.submit(patient, document_id, "client.cpp");
    return show("refused  ", refused.status, refused.RegistryErrorList) ? 0 : 1;
}

int main(int count, char **arguments) {
    try {
        return run(arguments[1], arguments[2], arguments[3]);
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
