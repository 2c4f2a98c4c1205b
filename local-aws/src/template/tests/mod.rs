//! Rules of the whole, on small templates.

mod events;

use serde_json::json;

use super::*;

fn settings(parameters: &[(&str, &str)]) -> Settings {
    let parameters = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings {
        suffix: "X1".to_owned(),
        parameters,
        ..Settings::default()
    }
}

/// Resources at their usual depth, under a head that every template has.
fn parse(rest: &str) -> Result<Template, String> {
    let text = format!("Transform: AWS::Serverless-2016-10-31\n{rest}");
    Template::parse(&text, &settings(&[])).map_err(|error| error.to_string())
}

const TABLE: &str = "
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_IMAGE}
";

/// A function with these further properties, two spaces deeper than `Properties`.
fn function(more: &str) -> String {
    format!(
        "Resources:{TABLE}
  Failures:
    Type: AWS::SQS::Queue
  Kept:
    Type: AWS::S3::Bucket
  Web: {{Type: AWS::Serverless::HttpApi}}
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: ../functions/reader/
{more}"
    )
}

fn mapping(more: &str) -> Result<StreamMapping, String> {
    let template = parse(&function(&format!(
        "      Events:
        Rows:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Rows.StreamArn
            StartingPosition: LATEST
{more}"
    )))?;
    Ok(template.mappings[0].clone())
}

#[test]
fn a_table_defines_exactly_its_key_attributes() {
    let with = |old: &str, new: &str| {
        parse(&format!("Resources:{}", TABLE.replace(old, new))).unwrap_err()
    };
    assert_eq!(
        with(
            "AttributeName: pk, AttributeType",
            "AttributeName: id, AttributeType"
        ),
        "Rows.Properties.AttributeDefinitions (line 7): the key pk is not defined"
    );
    assert_eq!(
        with(
            "AttributeDefinitions: [",
            "AttributeDefinitions: [{AttributeName: id, AttributeType: S}, "
        ),
        "Rows.Properties.AttributeDefinitions (line 7): id is defined but no key"
    );
    assert!(with("HASH", "RANGE").contains("must have a HASH key"));
    assert!(
        with("PAY_PER_REQUEST", "PROVISIONED")
            .contains("BillingMode (line 6): PROVISIONED is not supported")
    );
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    assert_eq!(
        parse(
            "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties:\n      FifoQueue: true"
        )
        .unwrap_err(),
        "Q.Properties.FifoQueue (line 6): FifoQueue is not understood by the local stack"
    );
    assert_eq!(
        parse("Resources:\n  S:\n    Type: AWS::StepFunctions::StateMachine").unwrap_err(),
        "S.Type (line 4): AWS::StepFunctions::StateMachine is not understood by the local stack"
    );
    assert!(
        parse("Resources: {}\nHooks: {}")
            .unwrap_err()
            .starts_with("Hooks (line 3): Hooks is not understood")
    );
    assert!(
        parse("Resources: {Q: {Type: AWS::SQS::Queue, UpdatePolicy: {}}}")
            .unwrap_err()
            .starts_with("Q.UpdatePolicy")
    );
    assert!(
        parse(&function("      Layers: [x]"))
            .unwrap_err()
            .starts_with("Reader.Properties.Layers (line ")
    );
}

#[test]
fn types_without_a_meaning_on_a_desk_are_skipped_but_their_references_checked() {
    let alarm = |target: &str| {
        format!(
            "Resources:\n  Topic: {{Type: AWS::SNS::Topic}}\n  Alarm:\n    Type: AWS::CloudWatch::Alarm\n    \
             Properties: {{Anything: !Ref {target}}}\nOutputs:\n  Alarms: {{Value: !Ref Topic}}"
        )
    };
    let template = parse(&alarm("Topic")).unwrap();
    let nothing = Template {
        stack_name: "local".to_owned(),
        ..Template::default()
    };
    assert_eq!(template, nothing);
    assert_eq!(
        parse(&alarm("Topik")).unwrap_err(),
        "Alarm.Properties.Anything (line 6): refers to Topik, which the template does not have"
    );
}

#[test]
fn what_sam_makes_can_be_named_where_it_is_skipped() {
    let alarm = |made: &str| {
        let events = "      Events:
        New: {Type: DynamoDB, Properties: {Stream: !GetAtt Rows.StreamArn, StartingPosition: LATEST}}
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Web, Method: GET, Path: /}}";
        parse(&function(&format!(
            "{events}\n  Alarm: {{Type: AWS::CloudWatch::Alarm, Properties: {{Of: !Ref {made}}}}}"
        )))
    };
    for made in ["ReaderRole", "ReaderNew", "WebApiGatewayDefaultStage"] {
        assert!(alarm(made).is_ok(), "{made}");
    }
    for other in ["ReaderNews", "ReaderGet", "Reader2"] {
        assert!(alarm(other).is_err(), "{other}");
    }
}

#[test]
fn a_variable_that_names_a_skipped_resource_is_refused() {
    let text = function(
        "      Environment: {Variables: {TOPIC: !Ref Topic}}\n  Topic: {Type: AWS::SNS::Topic}",
    );
    assert!(
        parse(&text)
            .unwrap_err()
            .ends_with("refers to Topic, an AWS::SNS::Topic, which does not exist on a desk")
    );
}

#[test]
fn a_false_condition_drops_the_resource_and_a_reference_to_it_is_refused() {
    let text = |variable: &str| {
        format!(
            "Conditions:\n  Never: !Equals [a, b]\n{}  Spare: {{Type: AWS::SQS::Queue, Condition: Never}}\n",
            function(&format!(
                "      Environment: {{Variables: {{QUEUE: {variable}}}}}\n"
            ))
        )
    };
    let template = parse(&text("!If [Never, !Ref Spare, !Ref AWS::NoValue]")).unwrap();
    assert_eq!(template.queues.len(), 1);
    assert!(template.functions[0].environment.is_empty());
    assert!(
        parse(&text("!Ref Spare"))
            .unwrap_err()
            .contains("refers to Spare, which is not made, as condition Never is false")
    );
}

#[test]
fn globals_reach_every_function() {
    let text = format!(
        "Globals:\n  Function:\n    Timeout: 7\n{}",
        function("      MemorySize: 256")
    );
    let template = parse(&text).unwrap();
    let reader = template.function("Reader").unwrap();
    assert_eq!(
        (
            reader.timeout_seconds,
            reader.memory_mb,
            reader.binary.as_str()
        ),
        (7, 256, "reader")
    );
}

#[test]
fn only_written_out_statements_are_taken_as_policies() {
    let policies = |policy: &str| parse(&function(&format!("      Policies: [{policy}]")));
    assert!(
        policies("DynamoDBCrudPolicy: {TableName: !Ref Rows}")
            .unwrap_err()
            .contains("DynamoDBCrudPolicy is not understood")
    );
    assert!(
        policies("AWSLambda_FullAccess")
            .unwrap_err()
            .contains("must be a map")
    );
    assert!(
        policies("Statement: {Effect: Allow, Action: 'a:B'}")
            .unwrap_err()
            .contains("Resource is missing")
    );
    let template = policies(
        "Statement: {Effect: Deny, Action: 'a:B', Resource: '*', Condition: {StringLike: {'a:Key': [x, y]}}}",
    );
    let statement = &template.unwrap().functions[0].policies[0];
    assert_eq!(statement.effect, Effect::Deny);
    assert_eq!(statement.conditions[0].values, ["x", "y"]);
}

#[test]
fn variables_that_lambda_sets_are_refused() {
    let error = parse(&function("      Environment: {Variables: {AWS_REGION: x}}")).unwrap_err();
    assert!(
        error.contains("AWS_REGION")
            && error.ends_with("is set by Lambda and refused as a variable"),
        "{error}"
    );
    let long = format!(
        "      Environment: {{Variables: {{LONG: {}}}}}",
        "x".repeat(4096)
    );
    assert!(
        parse(&function(&long))
            .unwrap_err()
            .contains("take 4100 bytes")
    );
}

#[test]
fn a_route_needs_its_api_and_both_method_and_path_or_neither() {
    let route = |properties: &str| {
        let events =
            format!("      Events: {{Web: {{Type: HttpApi, Properties: {{{properties}}}}}}}");
        parse(&function(&events)).map(|template| template.http_routes[0].key.to_string())
    };
    assert_eq!(
        route("ApiId: !Ref Web, Method: get, Path: '/v1/{id}'").unwrap(),
        "GET /v1/{id}"
    );
    assert_eq!(
        route("ApiId: !Ref Web, Method: ANY, Path: /"),
        Ok("ANY /".to_owned())
    );
    assert_eq!(route("ApiId: !Ref Web"), Ok("$default".to_owned()));
    assert!(
        route("Method: GET, Path: /")
            .unwrap_err()
            .contains("SAM makes another API")
    );
    assert!(
        route("ApiId: !Ref Web, Path: /")
            .unwrap_err()
            .contains("need each other")
    );
    assert!(
        route("ApiId: !Ref Web, Method: ANY, Path: !Sub '/${Web}'")
            .unwrap_err()
            .contains("SAM does not take Fn::Sub")
    );
    assert!(
        route("ApiId: !Ref Web, Method: ANY, Path: /a/")
            .unwrap_err()
            .contains("ends with a slash")
    );
    assert!(
        route("ApiId: !Ref Rows")
            .unwrap_err()
            .contains("is no HTTP API of this template")
    );
}

#[test]
fn two_functions_cannot_have_the_same_route() {
    let event = "{Type: HttpApi, Properties: {ApiId: !Ref Web, Method: GET, Path: /x}}";
    let error = parse(&function(&format!(
        "      Events: {{A: {event}, B: {event}}}"
    )))
    .unwrap_err();
    assert!(
        error.ends_with("route GET /x belongs to Reader already"),
        "{error}"
    );
}

#[test]
fn a_mapping_has_lambdas_defaults() {
    let mapping = mapping("").unwrap();
    assert_eq!(
        (
            mapping.table.as_str(),
            mapping.batch_size,
            mapping.window_seconds
        ),
        ("Rows", 100, 0)
    );
    assert_eq!(
        (mapping.max_retry_attempts, mapping.max_record_age_seconds),
        (None, None)
    );
    assert_eq!(mapping.starting_position, StartingPosition::Latest);
    assert!(
        mapping.is_enabled && !mapping.reports_batch_item_failures && !mapping.bisects_on_error
    );
    assert!(mapping.matches(&json!({"eventName": "MODIFY"})));
}

#[test]
fn a_mapping_is_read_in_full() {
    let mapping = mapping(
        "            FilterCriteria: {Filters: [{Pattern: '{\"eventName\":[\"INSERT\"]}'}, {Pattern: '{\"eventName\":[\"REMOVE\"]}'}]}
            MaximumRetryAttempts: 0
            MaximumRecordAgeInSeconds: 60
            ParallelizationFactor: 2
            DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Failures.Arn}}",
    )
    .unwrap();
    assert!(mapping.matches(&json!({"eventName": "REMOVE"})));
    assert!(!mapping.matches(&json!({"eventName": "MODIFY"})));
    assert_eq!(
        (mapping.max_retry_attempts, mapping.max_record_age_seconds),
        (Some(0), Some(60))
    );
    assert_eq!(
        mapping.on_failure_arn.as_deref(),
        Some("arn:aws:sqs:us-east-1:000000000000:local-Failures-X1")
    );
}

#[test]
fn a_mapping_may_give_records_up_to_a_bucket() {
    let mapping = mapping(
        "            DestinationConfig: {OnFailure: {Type: S3, Destination: !GetAtt Kept.Arn}}",
    )
    .unwrap();
    assert_eq!(
        mapping.on_failure_arn.as_deref(),
        Some("arn:aws:s3:::local-kept-x1")
    );
}

#[test]
fn a_bucket_does_only_what_is_understood() {
    let bucket = |properties: &str| {
        parse(&format!(
            "Resources: {{B: {{Type: AWS::S3::Bucket, Properties: {{{properties}}}}}}}"
        ))
    };
    let template = bucket("BucketName: mine, OwnershipControls: {Rules: []}").unwrap();
    let mine = template.bucket("arn:aws:s3:::mine").unwrap();
    assert_eq!(
        (mine.logical_id.as_str(), mine.name.as_str()),
        ("B", "mine")
    );
    assert!(
        bucket("WebsiteConfiguration: {}")
            .unwrap_err()
            .contains("WebsiteConfiguration is not understood")
    );
}

#[test]
fn a_mapping_is_refused_where_lambda_would_refuse_it() {
    let cases = [
        ("BatchSize: 0", "must be a number from 1 to 10000, not 0"),
        ("MaximumRecordAgeInSeconds: 59", "must be -1, or from 60"),
        (
            "TumblingWindowInSeconds: 30",
            "TumblingWindowInSeconds is not understood",
        ),
        (
            "FunctionResponseTypes: [ReportItems]",
            "ReportItems is no response type",
        ),
        (
            "FilterCriteria: {Filters: [{Pattern: '{\"eventName\":\"INSERT\"}'}]}",
            "at eventName: must be a list",
        ),
        (
            "DestinationConfig: {OnFailure: {Type: SNS, Destination: x}}",
            "SNS is not supported here",
        ),
        (
            "DestinationConfig: {OnFailure: {Type: SQS, Destination: x}}",
            "refers to x, which is no queue",
        ),
    ];
    for (property, problem) in cases {
        let error = mapping(&format!("            {property}")).unwrap_err();
        assert!(error.contains(problem), "{property}: {error}");
    }
}

#[test]
fn a_stream_must_be_switched_on() {
    let text = function(
        "      Events: {Rows: {Type: DynamoDB, Properties: {Stream: !GetAtt Rows.StreamArn, StartingPosition: LATEST}}}",
    );
    let without = text.replace(
        "      StreamSpecification: {StreamViewType: NEW_IMAGE}\n",
        "",
    );
    assert!(
        parse(&without)
            .unwrap_err()
            .ends_with("refers to Rows, a table without StreamSpecification")
    );
}

#[test]
fn a_queue_has_sqs_defaults_and_an_existing_dead_letter_queue() {
    let queues = |target: &str| {
        parse(&format!(
            "Resources:\n  Dead: {{Type: AWS::SQS::Queue}}\n  Work:\n    Type: AWS::SQS::Queue\n    Properties:\n      \
             QueueName: work\n      RedrivePolicy: {{deadLetterTargetArn: {target}, maxReceiveCount: '5'}}"
        ))
    };
    let template = queues("!GetAtt Dead.Arn").unwrap();
    let work = template
        .queue("arn:aws:sqs:us-east-1:000000000000:work")
        .unwrap();
    assert_eq!(
        (
            work.visibility_timeout_seconds,
            work.retention_seconds,
            work.delay_seconds
        ),
        (30, 345_600, 0)
    );
    assert_eq!(work.redrive.as_ref().unwrap().max_receive_count, 5);
    assert!(
        queues("arn:other")
            .unwrap_err()
            .contains("refers to arn:other, which is no queue")
    );
}

#[test]
fn a_socket_route_leads_to_a_function() {
    let api = |target: &str| {
        parse(&function(&format!(
            "  Sockets:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes: {{$default: {{FunctionArn: !GetAtt {target}.Arn}}}}"
        )))
    };
    assert_eq!(
        api("Reader").unwrap().websocket.unwrap().routes["$default"],
        "Reader"
    );
    assert!(
        api("Rows")
            .unwrap_err()
            .contains("is no function of this template")
    );
}
