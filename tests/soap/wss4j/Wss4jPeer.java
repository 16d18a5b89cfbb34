/**
 * Apache WSS4J as a peer: signs and verifies messages, one job for each line of standard input.
 *
 * <pre>
 *   java -cp ... Wss4jPeer.java TRUST.p12 KEY.p12 PASSWORD
 *   verify FILE                            -> "ok NAME NAME ..." (signed elements), or "refused REASON"
 *   sign FORM ALGORITHM DIGEST IN OUT PART -> "ok"; FORM is one of WSS4J's key identifiers, PART a list {ns}name,...
 * </pre>
 */

import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.OutputKeys;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.apache.ws.security.WSConstants;
import org.apache.ws.security.WSDataRef;
import org.apache.ws.security.WSEncryptionPart;
import org.apache.ws.security.WSSecurityEngine;
import org.apache.ws.security.WSSecurityEngineResult;
import org.apache.ws.security.components.crypto.Merlin;
import org.apache.ws.security.message.WSSecHeader;
import org.apache.ws.security.message.WSSecSignature;
import org.w3c.dom.Document;

public final class Wss4jPeer {
    private static final Map<String, Integer> FORMS = Map.of(
        "direct", WSConstants.BST_DIRECT_REFERENCE,
        "issuer-serial", WSConstants.ISSUER_SERIAL,
        "x509", WSConstants.X509_KEY_IDENTIFIER,
        "ski", WSConstants.SKI_KEY_IDENTIFIER,
        "thumbprint", WSConstants.THUMBPRINT_IDENTIFIER);

    public static void main(String[] arguments) throws Exception {
        Merlin crypto = new Merlin();
        crypto.setTrustStore(store(arguments[0], arguments[2]));
        crypto.setKeyStore(store(arguments[1], arguments[2]));
        BufferedReader jobs = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line = jobs.readLine(); line != null; line = jobs.readLine()) {
            String[] job = line.split(" ");
            try {
                System.out.println(job[0].equals("verify") ? verify(job[1], crypto) : sign(job, crypto, arguments[2]));
            } catch (Exception error) {
                System.out.println("refused " + String.valueOf(error).replace('\n', ' '));
            }
        }
    }

    private static String verify(String file, Merlin crypto) throws Exception {
        StringBuilder said = new StringBuilder("ok");
        for (WSSecurityEngineResult result : new WSSecurityEngine().processSecurityHeader(read(file), null, null, crypto)) {
            List<?> references = (List<?>) result.get(WSSecurityEngineResult.TAG_DATA_REF_URIS);
            for (Object reference : references == null ? List.of() : references) {
                said.append(' ').append(((WSDataRef) reference).getName().getLocalPart());
            }
        }
        return said.toString();
    }

    private static String sign(String[] job, Merlin crypto, String password) throws Exception {
        Document document = read(job[4]);
        WSSecHeader header = new WSSecHeader();
        header.insertSecurityHeader(document);
        WSSecSignature signature = new WSSecSignature();
        signature.setUserInfo("1", password);
        signature.setKeyIdentifierType(FORMS.get(job[1]));
        if (!job[2].equals("default")) {
            signature.setSignatureAlgorithm(job[2]);
            signature.setDigestAlgo(job[3]);
        }
        List<WSEncryptionPart> parts = new ArrayList<>();
        for (String part : job[6].split(",")) {
            int end = part.indexOf('}');
            String namespace = end < 0 ? "" : part.substring(1, end);
            parts.add(new WSEncryptionPart(part.substring(end + 1), namespace, "Element"));
        }
        signature.setParts(parts);
        signature.build(document, crypto, header);
        try (OutputStream out = new FileOutputStream(new File(job[5]))) {
            Transformer writer = TransformerFactory.newInstance().newTransformer();
            writer.setOutputProperty(OutputKeys.OMIT_XML_DECLARATION, "yes");
            writer.transform(new DOMSource(document), new StreamResult(out));
        }
        return "ok";
    }

    private static Document read(String file) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        return factory.newDocumentBuilder().parse(new File(file));
    }

    private static KeyStore store(String file, String password) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(file)) {
            store.load(in, password.toCharArray());
        }
        return store;
    }
}
