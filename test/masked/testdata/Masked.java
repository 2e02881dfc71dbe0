import java.util.Base64;
import java.util.Map;
import software.amazon.awssdk.core.ResponseBytes;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;

/** Reads masked answers and prints how the SDK took each: a name, a tab, base64. */
public class Masked {
    public static void main(String[] args) {
        try (S3Client s3 = S3Client.builder().forcePathStyle(true).build(); DynamoDbClient dynamodb = DynamoDbClient.create()) {
            for (String key : args) {
                ResponseBytes<GetObjectResponse> got = s3.getObjectAsBytes(r -> r.bucket("reports").key(key));
                say(key, got.asByteArray());
            }
            Map<String, AttributeValue> item = dynamodb.query(r -> r.tableName("people").keyConditionExpression("id = :i")
                .expressionAttributeValues(Map.of(":i", AttributeValue.fromS("1")))).items().get(0);
            say("ssn", item.get("ssn").s().getBytes());
            say("card", item.get("nested").m().get("card").n().getBytes());
            say("raw", item.get("raw").b().asByteArray());
        }
    }

    static void say(String name, byte[] got) {
        System.out.println(name + "\t" + Base64.getEncoder().encodeToString(got));
    }
}
