package peer;

import static org.openehealth.ipf.platform.camel.ihe.xds.XdsCamelValidators.*;

import java.io.File;
import java.nio.file.Files;
import java.util.function.Function;

import org.apache.camel.Exchange;
import org.apache.camel.Processor;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.impl.DefaultCamelContext;
import org.apache.catalina.startup.Tomcat;
import org.apache.cxf.BusFactory;
import org.apache.cxf.transport.servlet.CXFNonSpringServlet;
import org.openehealth.ipf.commons.ihe.xds.core.ebxml.ebxml30.ProvideAndRegisterDocumentSetRequestType;
import org.openehealth.ipf.commons.ihe.xds.core.ebxml.ebxml30.RetrieveDocumentSetRequestType;
import org.openehealth.ipf.commons.ihe.xds.core.stub.ebrs30.lcm.SubmitObjectsRequest;
import org.openehealth.ipf.commons.ihe.xds.core.stub.ebrs30.query.AdhocQueryRequest;
import org.openehealth.ipf.platform.camel.ihe.xds.core.converters.EbXML30Converters;

/** Serves ITI-18, ITI-41, ITI-42 and ITI-43 as IPF's endpoints do, before a store in memory: {@code Peer PORT} (0: any). */
public final class Peer {

    private Peer() {
    }

    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        File folder = Files.createTempDirectory("peer").toFile();
        tomcat.setBaseDir(folder.getPath());
        tomcat.setHostname("127.0.0.1");
        tomcat.setPort(Integer.parseInt(arguments[0]));
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        var context = tomcat.addContext("", folder.getPath());
        CXFNonSpringServlet servlet = new CXFNonSpringServlet();
        servlet.setBus(BusFactory.getDefaultBus());
        var wrapper = Tomcat.addServlet(context, "cxf", servlet);
        wrapper.setLoadOnStartup(1);
        context.addServletMappingDecoded("/services/*", "cxf");
        tomcat.start();

        try {
            DefaultCamelContext camel = new DefaultCamelContext();
            camel.addRoutes(routes(new Store()));
            camel.start();
        } catch (Exception error) {
            error.printStackTrace();
            System.exit(1); // Tomcat's threads would go on
        }
        System.out.println("peer at http://127.0.0.1:" + tomcat.getConnector().getLocalPort() + "/services");
        System.out.flush();
        tomcat.getServer().await();
    }

    private static RouteBuilder routes(Store store) {
        return new RouteBuilder() {
            @Override
            public void configure() {
                errorHandler(noErrorHandler());
                from("xds-iti42:iti42?audit=false").process(iti42RequestValidator())
                        .process(answer(SubmitObjectsRequest.class,
                                body -> EbXML30Converters.convert(store.register(EbXML30Converters.convert(body)))))
                        .process(iti42ResponseValidator());
                from("xds-iti18:iti18?audit=false").process(iti18RequestValidator())
                        .process(answer(AdhocQueryRequest.class,
                                body -> EbXML30Converters.convert(store.query(EbXML30Converters.convert(body)))))
                        .process(iti18ResponseValidator());
                from("xds-iti41:iti41?audit=false").process(iti41RequestValidator())
                        .process(answer(ProvideAndRegisterDocumentSetRequestType.class,
                                body -> EbXML30Converters.convert(store.provide(EbXML30Converters.convert(body)))))
                        .process(iti41ResponseValidator());
                from("xds-iti43:iti43?audit=false").process(iti43RequestValidator())
                        .process(answer(RetrieveDocumentSetRequestType.class,
                                body -> EbXML30Converters.convert(store.retrieve(EbXML30Converters.convert(body)))))
                        .process(iti43ResponseValidator());
            }
        };
    }

    private static <T> Processor answer(Class<T> type, Function<T, Object> handler) {
        return (Exchange exchange) -> exchange.getMessage().setBody(handler.apply(exchange.getIn().getMandatoryBody(type)));
    }
}
