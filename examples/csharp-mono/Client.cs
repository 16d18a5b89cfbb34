// An XDS.b client in C#, for Mono and .NET alike: submit (ITI-41, MTOM), find (ITI-18), retrieve (ITI-43).
//
//   mcs -r:System.Xml.Linq.dll Client.cs && mono Client.exe URL PATIENT_CX FILE
//
// WCF's MTOM works too, but hides the message; here the package is built by hand, and what is on the wire is what you read.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Numerics;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;

static class Client
{
    static readonly XNamespace Soap = "http://www.w3.org/2003/05/soap-envelope";
    static readonly XNamespace Wsa = "http://www.w3.org/2005/08/addressing";
    static readonly XNamespace Xop = "http://www.w3.org/2004/08/xop/include";
    static readonly XNamespace Xds = "urn:ihe:iti:xds-b:2007";
    static readonly XNamespace Rim = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0";
    static readonly XNamespace Rs = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0";
    static readonly XNamespace Query = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0";
    const string UniqueId = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab";

    // A UUID as an OID under 2.25: a unique id that needs no registration (ITU-T X.667).
    static string NewOid()
    {
        byte[] bytes = Guid.NewGuid().ToByteArray().Concat(new byte[] { 0 }).ToArray(); // the last byte keeps the number positive
        return "2.25." + new BigInteger(bytes);
    }

    static XElement Envelope(string action, string to, XElement body)
    {
        return new XElement(Soap + "Envelope",
            new XElement(Soap + "Header",
                new XElement(Wsa + "Action", new XAttribute(Soap + "mustUnderstand", "1"), action),
                new XElement(Wsa + "MessageID", "urn:uuid:" + Guid.NewGuid()),
                new XElement(Wsa + "To", to)),
            new XElement(Soap + "Body", body));
    }

    // Sends an MTOM package and gives the envelope of the answer, its documents put back as base64.
    static XElement Post(string url, string action, XElement body, byte[] document = null, string mimeType = null)
    {
        string boundary = "MIMEBoundary-" + Guid.NewGuid();
        var request = (HttpWebRequest)WebRequest.Create(url);
        request.Method = "POST";
        request.ServicePoint.Expect100Continue = false;
        request.ContentType = "multipart/related; boundary=\"" + boundary + "\"; type=\"application/xop+xml\"; "
            + "start=\"<root@carnet.example>\"; start-info=\"application/soap+xml\"; action=\"" + action + "\"";
        using (Stream stream = request.GetRequestStream())
        {
            string envelope = Envelope(action, url, body).ToString(SaveOptions.DisableFormatting);
            WritePart(stream, boundary, "root@carnet.example", "application/xop+xml; charset=UTF-8; type=\"application/soap+xml\"",
                Encoding.UTF8.GetBytes(envelope));
            if (document != null)
                WritePart(stream, boundary, "document@carnet.example", mimeType, document);
            Write(stream, "--" + boundary + "--\r\n");
        }
        HttpWebResponse response;
        try { response = (HttpWebResponse)request.GetResponse(); }
        catch (WebException error) when (error.Response != null) { response = (HttpWebResponse)error.Response; } // a fault has a body too
        using (response)
        using (var memory = new MemoryStream())
        {
            response.GetResponseStream().CopyTo(memory);
            return Unpack(memory.ToArray(), response.ContentType);
        }
    }

    static void WritePart(Stream stream, string boundary, string id, string type, byte[] content)
    {
        Write(stream, "--" + boundary + "\r\nContent-Type: " + type + "\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <" + id + ">\r\n\r\n");
        stream.Write(content, 0, content.Length);
        Write(stream, "\r\n");
    }

    static void Write(Stream stream, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        stream.Write(bytes, 0, bytes.Length);
    }

    static XElement Unpack(byte[] answer, string contentType)
    {
        Match boundary = Regex.Match(contentType, "boundary=\"?([^\";]+)");
        if (!contentType.StartsWith("multipart/related"))
            return XElement.Parse(Encoding.UTF8.GetString(answer));
        Encoding latin1 = Encoding.GetEncoding("iso-8859-1"); // one character for each byte, and back
        string[] parts = ("\r\n" + latin1.GetString(answer)).Split(new[] { "\r\n--" + boundary.Groups[1].Value }, StringSplitOptions.None);
        XElement envelope = null;
        var contents = new Dictionary<string, byte[]>();
        foreach (string part in parts.Skip(1).Take(parts.Length - 2))
        {
            int split = part.IndexOf("\r\n\r\n");
            string id = Regex.Match(part.Substring(0, split), "content-id:\\s*<([^>]*)>", RegexOptions.IgnoreCase).Groups[1].Value;
            byte[] content = latin1.GetBytes(part.Substring(split + 4));
            if (envelope == null) envelope = XElement.Parse(Encoding.UTF8.GetString(content));
            else contents[id] = content;
        }
        foreach (XElement include in envelope.Descendants(Xop + "Include").ToList())
            include.ReplaceWith(Convert.ToBase64String(contents[Uri.UnescapeDataString(include.Attribute("href").Value.Substring("cid:".Length))]));
        return envelope;
    }

    // Status, and every reason of a refusal; a fault says that the message was not understood.
    static string Outcome(XElement answer, out bool success)
    {
        success = false;
        XElement fault = answer.Descendants(Soap + "Text").FirstOrDefault();
        if (fault != null) return "Fault " + fault.Value;
        XElement response = answer.Descendants().First(e => e.Name == Rs + "RegistryResponse" || e.Name == Query + "AdhocQueryResponse");
        string status = response.Attribute("status").Value.Split(':').Last();
        success = status == "Success";
        var errors = response.Descendants(Rs + "RegistryError").Select(e => e.Attribute("errorCode").Value + ": " + e.Attribute("codeContext").Value);
        return string.Join("\n          ", new[] { status }.Concat(errors));
    }

    static XElement Submit(string url, string patientId, string documentId, string file)
    {
        string extension = Path.GetExtension(file);
        string mimeType = extension == ".xml" ? "text/xml" : extension == ".pdf" ? "application/pdf" : "text/plain";
        var values = new Dictionary<string, string> {
            { "patientId", patientId }, { "documentId", documentId }, { "setId", NewOid() }, { "mimeType", mimeType },
            { "title", Path.GetFileName(file) }, { "now", DateTime.UtcNow.ToString("yyyyMMddHHmmss") } }; // DTM is UTC
        string template = File.ReadAllText(Path.Combine(AppDomain.CurrentDomain.BaseDirectory, "..", "submission.xml"));
        string metadata = Regex.Replace(template, "@(\\w+)@", m => System.Security.SecurityElement.Escape(values[m.Groups[1].Value]));
        var body = new XElement(Xds + "ProvideAndRegisterDocumentSetRequest", XElement.Parse(metadata),
            new XElement(Xds + "Document", new XAttribute("id", "Document01"), new XElement(Xop + "Include", new XAttribute("href", "cid:document@carnet.example"))));
        return Post(url + "/xds/repository", "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b", body, File.ReadAllBytes(file), mimeType);
    }

    static XElement Slot(string name, string value)
    {
        return new XElement(Rim + "Slot", new XAttribute("name", name), new XElement(Rim + "ValueList", new XElement(Rim + "Value", value)));
    }

    static XElement Find(string url, string patientId)
    {
        var body = new XElement(Query + "AdhocQueryRequest",
            new XElement(Query + "ResponseOption", new XAttribute("returnComposedObjects", "true"), new XAttribute("returnType", "LeafClass")),
            new XElement(Rim + "AdhocQuery", new XAttribute("id", "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"), // FindDocuments
                Slot("$XDSDocumentEntryPatientId", "'" + patientId + "'"), // strings stand in single quotes, lists in brackets
                Slot("$XDSDocumentEntryStatus", "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')")));
        return Post(url + "/xds/registry", "urn:ihe:iti:2007:RegistryStoredQuery", body);
    }

    static XElement Retrieve(string url, string repositoryId, string documentId)
    {
        var body = new XElement(Xds + "RetrieveDocumentSetRequest", new XElement(Xds + "DocumentRequest",
            new XElement(Xds + "RepositoryUniqueId", repositoryId), new XElement(Xds + "DocumentUniqueId", documentId)));
        return Post(url + "/xds/repository", "urn:ihe:iti:2007:RetrieveDocumentSet", body);
    }

    static int Main(string[] args)
    {
        string url = args[0], patientId = args[1], file = args[2], documentId = NewOid();
        bool success;

        string stored = Outcome(Submit(url, patientId, documentId, file), out success);
        Console.WriteLine("submit   " + stored);
        if (!success) return 1;

        XElement answer = Find(url, patientId);
        Console.WriteLine("find     " + Outcome(answer, out success) + " " + answer.Descendants(Rim + "ExtrinsicObject").Count() + " documents");
        XElement mine = answer.Descendants(Rim + "ExtrinsicObject").FirstOrDefault(entry => entry.Elements(Rim + "ExternalIdentifier")
            .Any(id => id.Attribute("identificationScheme").Value == UniqueId && id.Attribute("value").Value == documentId));
        if (mine == null) return 1;
        string repositoryId = mine.Elements(Rim + "Slot").First(s => s.Attribute("name").Value == "repositoryUniqueId").Value.Trim();

        XElement got = Retrieve(url, repositoryId, documentId);
        XElement content = got.Descendants(Xds + "Document").FirstOrDefault();
        bool same = content != null && Convert.FromBase64String(content.Value).SequenceEqual(File.ReadAllBytes(file));
        Console.WriteLine("retrieve " + Outcome(got, out success) + (same ? " the same bytes" : " OTHER BYTES"));
        if (!same) return 1;

        // What a refusal looks like: a unique id that exists, with other content.
        XElement refused = Submit(url, patientId, documentId, System.Reflection.Assembly.GetExecutingAssembly().Location);
        Console.WriteLine("refused  " + Outcome(refused, out success));
        return success ? 1 : 0;
    }
}
