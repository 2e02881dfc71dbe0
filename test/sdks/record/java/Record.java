import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.SdkField;
import software.amazon.awssdk.core.SdkPojo;
import software.amazon.awssdk.core.SdkRequest;
import software.amazon.awssdk.core.client.builder.SdkSyncClientBuilder;
import software.amazon.awssdk.core.document.Document;
import software.amazon.awssdk.core.protocol.MarshallingType;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.sync.ResponseTransformer;
import software.amazon.awssdk.core.traits.ListTrait;
import software.amazon.awssdk.core.traits.MapTrait;
import software.amazon.awssdk.http.ExecutableHttpRequest;
import software.amazon.awssdk.http.HttpExecuteRequest;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.http.apache5.Apache5HttpClient;
import software.amazon.awssdk.http.apache5.ProxyConfiguration;
import software.amazon.awssdk.protocols.jsoncore.JsonNode;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.utils.builder.Buildable;

/**
 * Writes down what the AWS SDK for Java v2 sends: one line of JSON for each operation, with the members that its input
 * has filled.
 *
 * <p>Every request goes through a proxy on a loopback port, which is where it ends; the keys are examples.
 */
public class Record {
    static final String ACCOUNT = "111122223333";
    static final URI GATEWAY = URI.create("http://gw.example.internal:8080");
    static final String MARK = "x-recorded"; // a header that says for which operation the SDK sent a request

    /** Client classes, and what botocore calls their services. */
    static final String[][] SERVICES = {
        {"apigateway.ApiGateway", "apigateway"}, {"cloudwatch.CloudWatch", "cloudwatch"}, {"cloudwatchlogs.CloudWatchLogs", "logs"},
        {"dynamodb.DynamoDb", "dynamodb"}, {"ec2.Ec2", "ec2"}, {"iam.Iam", "iam"}, {"kms.Kms", "kms"}, {"lambda.Lambda", "lambda"}, {"rds.Rds", "rds"},
        {"route53.Route53", "route53"}, {"s3.S3", "s3"}, {"s3control.S3Control", "s3control"}, {"secretsmanager.SecretsManager", "secretsmanager"},
        {"sns.Sns", "sns"}, {"sqs.Sqs", "sqs"}, {"ssm.Ssm", "ssm"}, {"sts.Sts", "sts"},
    };

    static Map<String, JsonNode> values;
    static String service;
    static String operation;
    static String last; // the operation's last request, but for the names
    static int lines;
    static int missed;
    static final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] args) throws Exception {
        values = JsonNode.parser().parse(Files.readString(Path.of(args[0]))).asObject();
        HttpServer sink = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        sink.createContext("/", Record::take);
        sink.start();
        URI proxy = URI.create("http://127.0.0.1:" + sink.getAddress().getPort());
        for (String[] s : SERVICES) {
            service = s[1];
            Class<?> type = Class.forName("software.amazon.awssdk.services." + s[0] + "Client");
            record(type, List.of(client(type, proxy, null), client(type, proxy, GATEWAY)));
        }
        System.err.println(lines + " requests, " + missed + " operations that the SDK did not send");
        System.exit(0);
    }

    static Object client(Class<?> type, URI proxy, URI endpoint) throws Exception {
        AwsClientBuilder<?, ?> b = (AwsClientBuilder<?, ?>) type.getMethod("builder").invoke(null);
        b.region(Region.US_EAST_1);
        b.credentialsProvider(
                StaticCredentialsProvider.create(AwsBasicCredentials.builder().accessKeyId("AKIDEXAMPLE").secretAccessKey("secret").accountId(ACCOUNT).build()));
        b.overrideConfiguration(o -> o.retryStrategy(AwsRetryStrategy.doNotRetry()));
        if (endpoint != null) {
            b.endpointOverride(endpoint);
        }
        ((SdkSyncClientBuilder<?, ?>) b).httpClient(new InTheClear(proxy));
        return ((Buildable) b).build();
    }

    /** Sends what the SDK has signed without TLS, and marked. */
    static class InTheClear implements SdkHttpClient {
        final SdkHttpClient next;

        InTheClear(URI proxy) {
            next = Apache5HttpClient.builder().proxyConfiguration(ProxyConfiguration.builder().endpoint(proxy).build()).build();
        }

        @Override
        public ExecutableHttpRequest prepareRequest(HttpExecuteRequest e) {
            SdkHttpRequest r = e.httpRequest();
            int port = r.protocol().equals("https") ? 80 : r.port();
            SdkHttpRequest clear = r.toBuilder().protocol("http").port(port).putHeader(MARK, service + " " + operation).build();
            return next.prepareRequest(HttpExecuteRequest.builder().request(clear).contentStreamProvider(e.contentStreamProvider().orElse(null)).build());
        }

        @Override
        public void close() {
            next.close();
        }
    }

    /** Records a client's operations, by turns at AWS's host and at the gateway's. */
    static void record(Class<?> type, List<Object> clients) {
        Map<String, Method> operations = new TreeMap<>();
        for (Method m : type.getMethods()) {
            Class<?>[] in = m.getParameterTypes();
            boolean one = in.length > 0 && SdkRequest.class.isAssignableFrom(in[0]) && !m.getName().endsWith("Paginator");
            if (!one || !Arrays.stream(in).skip(1).allMatch(p -> p == RequestBody.class || p == ResponseTransformer.class)) {
                continue;
            }
            String name = in[0].getSimpleName().replaceAll("Request$", "");
            if (!operations.containsKey(name) || operations.get(name).getParameterCount() > in.length) {
                operations.put(name, m);
            }
        }
        int i = 0;
        for (Map.Entry<String, Method> e : operations.entrySet()) {
            operation = e.getKey();
            last = null;
            String reason = call(clients.get(i++ % 2), e.getValue());
            if (last == null) {
                missed++;
                System.err.println(service + " " + operation + " was not sent: " + reason);
                continue;
            }
            lines++;
            out.println("{\"service\":" + quote(service) + ",\"operation\":" + quote(operation) + "," + last + "}");
        }
    }

    /** Calls an operation and returns why it failed, as it does. */
    static String call(Object client, Method m) {
        try {
            List<Object> args = new ArrayList<>();
            for (Class<?> p : m.getParameterTypes()) {
                if (p == RequestBody.class) {
                    args.add(RequestBody.fromString("blob"));
                } else if (p == ResponseTransformer.class) {
                    args.add(ResponseTransformer.toBytes());
                } else {
                    args.add(filled((SdkPojo) p.getMethod("builder").invoke(null), 2));
                }
            }
            m.invoke(client, args.toArray());
            return "it succeeded";
        } catch (ReflectiveOperationException e) {
            return String.valueOf(e.getCause());
        }
    }

    /** Fills a builder, structures depth levels deep at most, and builds. */
    static Object filled(SdkPojo builder, int depth) {
        Class<?> model = builder.getClass().getEnclosingClass();
        boolean union = Arrays.stream(model.getClasses()).anyMatch(c -> c.isEnum() && c.getSimpleName().equals("Type"));
        for (SdkField<?> f : builder.sdkFields()) {
            Object value = value(f, f.memberName(), depth);
            if (value == null) {
                continue;
            }
            f.set(builder, value);
            if (union) {
                break;
            }
        }
        return ((Buildable) builder).build();
    }

    static Object value(SdkField<?> f, String name, int depth) {
        JsonNode listed = null;
        for (String key : new String[] {service + " " + operation + " " + name, service + " " + name, name}) {
            if (listed == null) {
                listed = values.get(key);
            }
        }
        MarshallingType<?> type = f.marshallingType();
        if (listed != null && listed.isNull()) {
            return null;
        } else if (type == MarshallingType.STRING) {
            return listed != null ? listed.text() : text(name);
        } else if (type == MarshallingType.SDK_POJO) {
            return depth > 0 ? filled(f.constructor().get(), depth - 1) : null;
        } else if (type == MarshallingType.LIST) {
            Object element = value(f.getTrait(ListTrait.class).memberFieldInfo(), name, depth);
            return element == null ? null : List.of(element);
        } else if (type == MarshallingType.MAP) {
            Object value = value(f.getTrait(MapTrait.class).valueFieldInfo(), name, depth);
            return value == null ? null : Map.of("key", value);
        }
        return scalar(type);
    }

    static Object scalar(MarshallingType<?> type) {
        if (type == MarshallingType.INTEGER) {
            return 1;
        } else if (type == MarshallingType.LONG) {
            return 1L;
        } else if (type == MarshallingType.SHORT) {
            return (short) 1;
        } else if (type == MarshallingType.FLOAT) {
            return 1.5f;
        } else if (type == MarshallingType.DOUBLE) {
            return 1.5;
        } else if (type == MarshallingType.BIG_DECIMAL) {
            return BigDecimal.ONE;
        } else if (type == MarshallingType.BOOLEAN) {
            return true;
        } else if (type == MarshallingType.INSTANT) {
            return Instant.ofEpochSecond(1600000000);
        } else if (type == MarshallingType.SDK_BYTES) {
            return SdkBytes.fromUtf8String("blob");
        } else if (type == MarshallingType.DOCUMENT) {
            return Document.fromString("a");
        }
        return null;
    }

    static String text(String name) {
        String lower = name.toLowerCase(Locale.ROOT);
        if (lower.endsWith("rolearn")) {
            return "arn:aws:iam::" + ACCOUNT + ":role/role";
        }
        return lower.endsWith("arn") ? "arn:aws:" + service + ":us-east-1:" + ACCOUNT + ":thing/name" : "name";
    }

    static final Pattern SCOPE = Pattern.compile("Credential=[^/]+/\\d+/[^/]+/([^/]+)/");

    /** Headers of the connection, the signature and the SDK's own log. */
    static final List<String> DROPPED =
            List.of("accept-encoding", "amz-sdk-invocation-id", "amz-sdk-request", "authorization", "connection", "content-length", "expect", "host", "proxy-connection", "transfer-encoding", "upgrade", "user-agent", "x-amz-date", MARK);

    static void take(HttpExchange x) throws IOException {
        byte[] body = x.getRequestBody().readAllBytes();
        if ((service + " " + operation).equals(x.getRequestHeaders().getFirst(MARK))) {
            last = line(x, body);
        }
        x.sendResponseHeaders(400, -1);
        x.close();
    }

    static String line(HttpExchange x, byte[] body) {
        Map<String, List<String>> sorted = new TreeMap<>();
        x.getRequestHeaders().forEach((name, v) -> sorted.put(name.toLowerCase(Locale.ROOT), v));
        List<String> headers = new ArrayList<>();
        sorted.forEach((name, v) -> {
            if (!DROPPED.contains(name)) {
                v.forEach(text -> headers.add("[" + quote(name) + "," + quote(text) + "]"));
            }
        });
        Matcher scope = SCOPE.matcher(String.valueOf(x.getRequestHeaders().getFirst("authorization")));
        String target = x.getRequestURI().toString().replaceFirst("^http://[^/?]+", "");
        return "\"scope\":" + quote(scope.find() ? scope.group(1) : "") + ",\"host\":" + quote(x.getRequestHeaders().getFirst("host")) + ",\"rest\":{\"method\":" + quote(x.getRequestMethod())
                + ",\"target\":" + quote(target.startsWith("/") ? target : "/" + target) + ",\"headers\":[" + String.join(",", headers) + "],\"body\":" + quote(Base64.getEncoder().encodeToString(body)) + "}";
    }

    static String quote(String s) {
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            b.append(c == '"' || c == '\\' ? "\\" + c : c < ' ' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return b.append('"').toString();
    }
}
