"""Every XML namespace Carnet reads or writes, once (ITI TF-2: V.2.4)."""

SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
WSA_2004 = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
XOP = "http://www.w3.org/2004/08/xop/include"
XMLMIME = "http://www.w3.org/2005/05/xmlmime"
XML = "http://www.w3.org/XML/1998/namespace"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"

RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
XDS = "urn:ihe:iti:xds-b:2007"
XDR = "urn:ihe:iti:xdr:2014"
RMD = "urn:ihe:iti:rmd:2017"

WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSSE11 = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
HL7V3 = "urn:hl7-org:v3"
#: The services of the French DMP: management of the record, authorisations.
GDP = "asip:ci-sis:gdp:2010"
HABILITATIONS = "urn:si-dmp-habilitations"

WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSDL_SOAP12 = "http://schemas.xmlsoap.org/wsdl/soap12/"

#: Namespaces of ebXML RegRep 2.1 (XDS.a): recognised only to be refused by name.
RIM_2_1 = "urn:oasis:names:tc:ebxml-regrep:rim:xsd:2.1"
RS_2_1 = "urn:oasis:names:tc:ebxml-regrep:registry:xsd:2.1"
QUERY_2_1 = "urn:oasis:names:tc:ebxml-regrep:query:xsd:2.1"

#: Prefixes under which Carnet writes. Stored fragments rely on them: never rename one.
PREFIXES = {"s": SOAP12, "wsa": WSA, "rim": RIM, "rs": RS, "lcm": LCM, "query": QUERY, "xds": XDS, "rmd": RMD, "xop": XOP}


def q(namespace: str, local: str) -> str:
    """The `{namespace}local` form that lxml uses."""
    return f"{{{namespace}}}{local}"
